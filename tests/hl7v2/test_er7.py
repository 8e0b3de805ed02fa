"""ER7: separators, line ends, segments, cells; what is refused and what is borne with."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.hl7v2 import er7

MSH = r"MSH|^~\&|EMAR|WARD|KF|HIS|20260301120000+0100||RAS^O17^RAS_O17|M1|P|2.5.1"
PID = "PID|1||4711^^^HIS^MR||Doe^Jane"


def parsed(*lines: str, end: str = "\r") -> er7.Message:
    return er7.parse("".join(line + end for line in lines))


Finding = tuple[str, str, str]


def refusal(text: str) -> Finding:
    with pytest.raises(Refused) as caught:
        er7.parse(text)
    (issue,) = caught.value.issues
    return issue.code, issue.hl7, issue.where


class TestHeader:
    def test_every_part_is_read(self) -> None:
        message = parsed(MSH, PID)
        assert (message.code, message.event, message.structure) == ("RAS", "O17", "RAS_O17")
        assert (message.control_id, message.processing_id, message.version) == ("M1", "P", "2.5.1")
        assert message.sender == ("EMAR", "WARD")

    def test_fields_have_the_numbers_of_the_standard(self) -> None:
        message = parsed(MSH, PID)
        assert message.msh.get(1) == "|"
        assert message.msh.get(2) == r"^~\&"
        assert message.msh.get(3) == "EMAR"
        assert message.segments[1].get(3) == "4711^^^HIS^MR"
        assert message.segments[1].get(99) == ""
        assert hl7.parse(message.text)["MSH.F9.R1.C2"] == message.event

    @pytest.mark.parametrize(
        ("msh_9", "version", "structure"),
        [
            ("RDE^O25", "2.5.1", "RDE_O11"),
            ("ORU^R42", "2.6", "ORU_R01"),
            ("ORU^R40", "2.6", "ORU_R40"),
            ("ADT^A04", "2.5.1", "ADT_A01"),
            ("ADT^A08", "2.3", "ADT_A01"),
            ("RAS", "2.3.1", "RAS_O01"),
            ("RAS", "2.4", "RAS_O17"),
            ("RAS^O01", "2.3", "RAS_O01"),
            ("OMP", "2.5", "OMP_O09"),
            ("ACK^A01", "2.5", "ACK"),
            ("XYZ", "2.5", "XYZ"),
            ("RDE^O25^RDE_O25", "2.5.1", "RDE_O25"),
        ],
    )
    def test_an_empty_structure_is_derived(self, msh_9: str, version: str, structure: str) -> None:
        assert er7.parse(rf"MSH|^~\&|||||||{msh_9}|1|P|{version}").structure == structure

    def test_other_separators(self) -> None:
        message = er7.parse("MSH$*+?%$A$B$$$2026$$RAS*O17$1$P$2.5.1\rPID$1$$1*2+3%4")
        seps = message.separators
        assert (seps.field, seps.component, seps.repetition, seps.escape, seps.subcomponent) == tuple("$*+?%")
        assert seps.msh2 == "*+?%"
        assert message.event == "O17"
        first, second = er7.repetitions(message.segments[1].get(3), seps)
        assert er7.components(first, seps) == ["1", "2"]
        assert er7.subcomponents(second, seps) == ["3", "4"]
        assert er7.unescape("a?F?b", seps) == "a$b"

    def test_a_truncation_character(self) -> None:
        message = er7.parse(r"MSH|^~\&#|||||||RAS^O17|1|P|2.7" + "\r")
        assert message.separators.truncation == "#"
        assert er7.unescape(r"5\P\6", message.separators) == "5#6"
        assert er7.escape("5#6", message.separators) == r"5\P\6"
        assert message.text.startswith(r"MSH|^~\&#|")

    @pytest.mark.parametrize(
        ("text", "issue"),
        [
            ("", ("not-hl7", "100", "MSH")),
            ('{"resourceType": "Bundle"}', ("not-hl7", "100", "MSH")),
            ("PID|1\rMSH|^~\\&|", ("not-hl7", "100", "MSH")),
            ("MSH", ("separators", "102", "MSH-2")),
            ("MSH|", ("separators", "102", "MSH-2")),
            ("MSH|^^~&|A", ("separators", "102", "MSH-2")),
            ("MSH|^~|&|A", ("header-short", "101", "MSH-9")),
            ("MSH|^~\\|A", ("header-short", "101", "MSH-9")),
            ("MSHA^~\\&A", ("separators", "102", "MSH-2")),
            ("MSH\u00a6^~\\&\u00a6A", ("separators", "102", "MSH-1")),
            ("MSH|\x01\x02\x03\x04|A", ("separators", "102", "MSH-2")),
            ("MSH|^~ &|A", ("separators", "102", "MSH-2")),
            ("MSH|ABCD|A", ("separators", "102", "MSH-2")),
            ("MSH|^~\\&!?|A", ("separators", "102", "MSH-2")),
            (r"MSH|^~\&|A|B|C|D|2026", ("header-short", "101", "MSH-9")),
            (r"MSH|^~\&|A|B|C|D|2026||RAS^O17||P|2.5", ("header-short", "101", "MSH-10")),
            (r"MSH|^~\&|A|B|C|D|2026||RAS^O17|~~X|P|2.5", ("header-short", "101", "MSH-10")),
            (f"{MSH}\rPI", ("truncated", "100", "MSH")),
            (f"{MSH}\rpid|1", ("truncated", "100", "MSH")),
            (f"{MSH}\r{PID}\r|||", ("truncated", "100", "MSH")),
            (f"{MSH}\rPIDX|1", ("truncated", "100", "MSH")),
            (f"{MSH}\r{PID}\r{MSH}", ("several-messages", "100", "MSH[2]")),
        ],
    )
    def test_refused(self, text: str, issue: Finding) -> None:
        assert refusal(text) == issue


class TestLines:
    @pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
    def test_every_line_end(self, end: str) -> None:
        assert [segment.name for segment in parsed(MSH, PID, "PV1|1", end=end).segments] == [
            "MSH",
            "PID",
            "PV1",
        ]

    def test_a_bare_line_feed_in_a_cr_message_is_data(self) -> None:
        message = er7.parse(f"{MSH}\rNTE|1||first\nOBX|second\rPV1|1\r")
        assert [segment.name for segment in message.segments] == ["MSH", "NTE", "PV1"]
        assert message.segments[1].get(3) == "first\nOBX"

    def test_crlf_within_a_cr_message_ends_a_segment(self) -> None:
        message = er7.parse(f"{MSH}\r{PID}\r\nPV1|1\r\n\r\n")
        assert [segment.fields[-1] for segment in message.segments] == ["2.5.1", "Doe^Jane", "1"]

    def test_an_lf_message_may_have_crlf(self) -> None:
        assert [s.name for s in er7.parse(f"{MSH}\n{PID}\r\nPV1|1\rPV2|1\n").segments] == [
            "MSH",
            "PID",
            "PV1",
            "PV2",
        ]

    def test_a_crlf_message_may_have_lf_before_a_segment_only(self) -> None:
        message = er7.parse(f"{MSH}\r\n{PID}\nNTE|1||a\nb\r\nPV1|1\n")
        assert [segment.name for segment in message.segments] == ["MSH", "PID", "NTE", "PV1"]
        assert message.segments[2].get(3) == "a\nb"

    def test_a_final_line_feed_after_a_cr_message_is_no_data(self) -> None:
        assert er7.parse(f"{MSH}\r{PID}\n").segments[-1].get(5) == "Doe^Jane"

    def test_blank_lines_framing_and_byte_order_mark_are_left_out(self) -> None:
        message = er7.parse(f"\ufeff\x0b\r\n{MSH}\r\n\r\n{PID}\r\n   \r\n\x1c\r")
        assert [segment.name for segment in message.segments] == ["MSH", "PID"]

    def test_unknown_and_bare_segments_are_kept(self) -> None:
        message = parsed(MSH, PID, "ZKT|1|x", "RXR", "XYZ|", "OBX|1")
        assert [segment.name for segment in message.segments[2:]] == ["ZKT", "RXR", "XYZ", "OBX"]

    def test_line_and_occurrence(self) -> None:
        message = parsed(MSH, PID, "OBX|1", "", "NTE|1", "OBX|2")
        assert [(s.name, s.line, s.occurrence) for s in message.segments[2:]] == [
            ("OBX", 3, 1),
            ("NTE", 4, 1),
            ("OBX", 5, 2),
        ]

    def test_where_names_the_occurrence_only_where_there_are_several(self) -> None:
        message = parsed(MSH, PID, "OBX|1", "OBX|2")
        pid, first, second = message.segments[1:]
        assert message.where(pid) == "PID"
        assert message.where(pid, 3, 4, 2) == "PID-3[2].4"
        assert message.where(first, 5) == "OBX[1]-5"
        assert message.where(second, 5, 1) == "OBX[2]-5.1"

    def test_a_huge_field_and_a_nul(self) -> None:
        huge = "x" * (1 << 22) + "\0"
        assert parsed(MSH, f"OBX|1|ED|||{huge}|").segments[1].get(5) == huge


class TestWriting:
    def test_trailing_empty_fields_are_left_out(self) -> None:
        assert er7.encode_segment("PID", {1: "1", 3: "x", 9: ""}) == "PID|1||x"
        assert er7.encode_segment("PID", ["", "1", "", "x", ""]) == "PID|1||x"
        assert er7.encode_segment("RXR", {}) == "RXR"

    def test_the_header_is_written_from_the_separators(self) -> None:
        seps = er7.Separators("$", "*", "+", "?", "%")
        assert er7.encode_segment("MSH", {9: "ACK", 10: "1"}, seps) == "MSH$*+?%$$$$$$$ACK$1"
        assert er7.encode_segment("MSH", {}) == r"MSH|^~\&"
        assert er7.encode_segment("MSH", ["MSH", "!", "????", "A"]) == r"MSH|^~\&|A"

    def test_joining_leaves_out_empty_ends(self) -> None:
        assert er7.join_components(["a", "", "b", "", ""], er7.DEFAULT) == "a^^b"
        assert er7.join_repetitions(["a", "b", ""], er7.DEFAULT) == "a~b"
        assert er7.join_subcomponents(["", "b", ""], er7.DEFAULT) == "&b"
        assert er7.repetitions("", er7.DEFAULT) == []
        assert er7.components("", er7.DEFAULT) == [""]

    cells = st.text(st.characters(codec="utf-8", exclude_characters="|\r\n\x0b\x1c\ufeff"), max_size=8)
    names = st.from_regex(r"\A[A-Z][A-Z0-9]{2}\Z").filter(lambda name: name not in ("MSH", "FHS", "BHS"))

    @given(
        st.lists(st.tuples(names, st.lists(cells, max_size=6)), max_size=5),
        st.sampled_from(["\r", "\n", "\r\n"]),
    )
    def test_what_is_written_is_read_again(self, rows: list[tuple[str, list[str]]], end: str) -> None:
        lines = [er7.encode_segment(name, ["", *fields]) for name, fields in rows]
        message = parsed(MSH, *lines, end=end)
        assert [segment.name for segment in message.segments[1:]] == [name for name, _ in rows]
        for segment, (_, fields) in zip(message.segments[1:], rows, strict=True):
            assert [segment.get(n) for n in range(1, len(fields) + 1)] == fields
        assert er7.parse(message.text).text == message.text

    @given(st.lists(cells.map(lambda text: text.replace("^", "").replace("~", "").replace("&", "")), max_size=5))
    def test_components_come_apart_as_they_were_joined(self, parts: list[str]) -> None:
        joined = er7.join_components(parts, er7.DEFAULT)
        apart = er7.components(joined, er7.DEFAULT)
        assert apart + [""] * (len(parts) - len(apart)) == (parts or [""])
