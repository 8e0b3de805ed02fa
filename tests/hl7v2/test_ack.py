"""Acknowledgements, read back with a parser that is not ours."""

from __future__ import annotations

import hl7
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Issue
from ketafhir.hl7v2 import ack, er7

HEADER = r"MSH|^~\&|EMAR|WARD|KF|HIS|20260301120000||{type}|{id}|P^T|{version}||||||{charset}"
ISSUE = Issue(
    "error",
    "unit-unknown",
    "the unit is a rate",
    where="RXA[2]-7.1",
    row="RXA_to_MedicationAdministration:4 [amount]",
    value="mg/h",
    hint="send RXA-12",
    hl7="103",
)
WARNING = Issue("warning", "code-unmapped", "kept as sent", where="OBX-3", hl7="103")
ELSEWHERE = Issue("information", "note", "about the Bundle", where="Observation[3].valueQuantity")


def received(type: str = "RAS^O17^RAS_O17", id: str = "M1", version: str = "2.5.1", charset: str = "") -> er7.Message:
    return er7.parse(HEADER.format(type=type, id=id, version=version, charset=charset) + "\rPID|1\r")


def answer(
    message: er7.Message | bytes, code: ack.Code = "AE", *issues: Issue, charset: str | None = None
) -> er7.Message:
    text = ack.acknowledge(message, code, issues, control_id="K1", timestamp="20260301120001", charset=charset)
    assert text.endswith("\r")
    return er7.parse(text)


def names(message: er7.Message) -> list[str]:
    return [segment.name for segment in message.segments]


class TestHeader:
    def test_sender_and_receiver_change_places(self) -> None:
        parsed = hl7.parse(ack.acknowledge(received(), "AA", control_id="K1", timestamp="20260301120001"))
        msh = parsed.segment("MSH")
        assert [str(msh[n]) for n in range(3, 13)] == [
            "KF", "HIS", "EMAR", "WARD", "20260301120001", "", "ACK^O17^ACK", "K1", "P^T", "2.5.1",
        ]  # fmt: skip
        assert str(parsed.segment("MSA")) == "MSA|AA|M1"

    @pytest.mark.parametrize(
        ("version", "type", "expected"),
        [
            ("2.5.1", "RAS^O17", "ACK^O17^ACK"),
            ("2.3.1", "RAS^O01", "ACK^O01^ACK"),
            ("2.3", "RAS^O01", "ACK^O01"),
            ("2.5.1", "RAS", "ACK"),
        ],
    )
    def test_the_message_type(self, version: str, type: str, expected: str) -> None:
        assert answer(received(type, version=version)).msh.get(9) == expected

    def test_other_separators_are_used_in_the_answer(self) -> None:
        message = er7.parse("MSH$*+?%$A*B$$$$2026$$RAS*O17$1*2$P$2.5\r")
        reply = answer(message, "AE", ISSUE)
        assert reply.separators.text == "$*+?%"
        assert reply.segments[1].get(2) == "1*2"
        assert reply.segments[2].get(2) == "RXA*2*7*1*1"


class TestCharset:
    def test_msh_18_is_echoed_and_kept_to(self) -> None:
        issue = Issue("error", "x", "µ and 漢", hl7="102")
        reply = answer(received(charset="8859/1"), "AE", issue)
        assert reply.msh.get(18) == "8859/1"
        assert er7.decode(er7.to_bytes(reply.text)) == reply.text
        assert "µ and ?" in reply.text

    @pytest.mark.parametrize("charset", ["KLINGON", "UNICODE UTF-16"])
    def test_a_charset_that_cannot_be_sent_is_not_echoed(self, charset: str) -> None:
        reply = answer(received(charset=charset), "AE", Issue("error", "x", "漢"))
        assert reply.msh.get(18) == ""
        assert "漢" in reply.text

    def test_the_charset_of_the_peer(self) -> None:
        reply = answer(received(), "AE", Issue("error", "x", "é漢"), charset="8859/1")
        assert "é?" in er7.to_bytes(reply.text, "8859/1").decode("latin-1")

    def test_the_header_of_bytes_that_violate_their_charset(self) -> None:
        data = HEADER.format(type="RAS^O17", id="M1", version="2.5", charset="ASCII").replace("WARD", "WÄRD")
        reply = answer(data.encode("latin-1"))
        assert reply.msh.get(6) == "W?RD"
        assert er7.to_bytes(reply.text).isascii()


class TestErrors:
    def test_err_names_segment_field_row_and_reason(self) -> None:
        parsed = hl7.parse(answer(received(), "AE", ISSUE, WARNING, ELSEWHERE).text)
        first, second, third = parsed.segments("ERR")
        assert str(first[2]) == "RXA^2^7^1^1"
        assert str(first[3]) == "103^Table value not found^HL70357"
        assert str(first[4]) == "E"
        assert str(first[5]) == "unit-unknown^the unit is a rate^99KETA"
        assert str(first[7]) == "RXA_to_MedicationAdministration:4 [amount] RXA[2]-7.1"
        assert str(first[8]) == "the unit is a rate: mg/h (send RXA-12)"
        assert (str(second[2]), str(second[4])) == ("OBX^1^3", "W")
        assert (str(third[2]), str(third[4]), str(third[7])) == ("", "I", "Observation[3].valueQuantity")

    @pytest.mark.parametrize(("version", "text"), [("2.6", "the unit is a rate"), ("2.7", ""), ("2.8.2", "")])
    def test_msa_3_until_it_was_withdrawn(self, version: str, text: str) -> None:
        reply = answer(received(version=version), "AE", WARNING, ISSUE)
        assert reply.segments[1].get(3) == text

    @pytest.mark.parametrize("version", ["2.3", "2.3.1", "2.4"])
    def test_the_old_form_is_one_err_with_repetitions(self, version: str) -> None:
        other = Issue("error", "missing", "no patient", where="PID-3", hl7="101")
        reply = answer(received(version=version), "AE", ISSUE, WARNING, other)
        assert names(reply) == ["MSH", "MSA", "ERR"]
        first, second = er7.repetitions(reply.segments[2].get(1), reply.separators)
        assert first == "RXA^2^7^103&Table value not found&HL70357&unit-unknown&the unit is a rate&99KETA"
        assert second.startswith("PID^1^3^101&")
        assert names(answer(received(version=version), "AA", WARNING)) == ["MSH", "MSA"]

    def test_what_is_echoed_is_escaped_and_has_no_controls(self) -> None:
        nasty = "a|b^c\rMSA|AA|\x0b\x1c\n\x85\\"
        issue = Issue("error", nasty, nasty, where="PID-3", row=nasty, value=nasty, hint=nasty)
        reply = answer(received(), "AE", issue)
        assert names(reply) == ["MSH", "MSA", "ERR"]
        assert not set(reply.text) & set("\x0b\x1c\n\x85")
        assert er7.unescape(reply.segments[2].get(8), reply.separators).startswith("a|b^cMSA|AA| \\: a|b")

    def test_user_messages_are_not_longer_than_their_field(self) -> None:
        reply = answer(received(), "AE", Issue("error", "x", "y" * 9999))
        assert len(reply.segments[2].get(8)) == 250
        assert len(reply.segments[1].get(3)) == 80


class TestBytes:
    def test_the_control_id_of_what_cannot_be_read(self) -> None:
        data = HEADER.format(type="RAS^O17", id="M-7", version="2.5.1", charset="").encode()
        assert ack.recover_control_id(data + b"\rPID|\xff\xfe") == "M-7"
        assert ack.recover_control_id(b"\x0b\r\n" + data) == "M-7"
        assert ack.recover_control_id(b"\xef\xbb\xbf" + data) == "M-7"
        assert ack.recover_control_id(data.decode().encode("utf-16")) == "M-7"
        assert ack.recover_control_id(data + b"x" * (1 << 20)) == "M-7"
        assert ack.recover_control_id(data[: data.index(b"|P^T")]) == "M-7"
        assert ack.recover_control_id(data.replace(b"M-7", b"M\xe9\x1c7")) == "Mé7"

    @pytest.mark.parametrize("data", [b"", b"MSH", b"MSH|", rb"MSH|^~\&|A", b"hello", b"\xff" * 100])
    def test_without_a_control_id_there_is_none(self, data: bytes) -> None:
        assert ack.recover_control_id(data) == ""
        reply = answer(data, "AR", ISSUE)
        assert reply.segments[1].get(1) == "AR"
        assert reply.segments[1].get(2) == ""

    def test_bad_separators_are_not_taken_over(self) -> None:
        reply = answer(rb"MSH|^^^^|A&B|B|C|D|2026||RAS^O17|1\2|P|2.5", "AR")
        assert reply.separators.text == r"|^~\&"
        assert reply.msh.get(5) == r"A\T\B"
        assert reply.segments[1].get(2) == r"1\E\2"

    @pytest.mark.parametrize("data", [b"MSH\xa6^~\\&\xa6A\xa6B", "MSH\u00a6^~\\&\u00a6A\u00a6B".encode()])
    def test_the_field_separator_is_a_character_of_ascii(self, data: bytes) -> None:
        """2.7: it is chosen from ASCII, so that an answer never depends on a character set that is not known yet."""
        reply = answer(data, "AR", ISSUE)
        assert reply.separators.text == r"|^~\&"
        assert reply.msh.get(5) == "A"

    @pytest.mark.parametrize("name", [b"\xa0UNICODE UTF-8", b"\xc2\xa0UNICODE UTF-8", "UN\u0131CODE".encode()])
    def test_a_name_of_a_charset_is_ascii(self, name: bytes) -> None:
        """What only looks like a charset is not said back, and the answer can be written."""
        data = HEADER.format(type="RAS^O17", id="M1", version="2.5.1", charset="X").encode().replace(b"|X", b"|" + name)
        reply = answer(data, "AE", ISSUE)
        assert reply.msh.get(18) == ""
        assert er7.to_bytes(reply.text).startswith(b"MSH|")

    def test_separators_without_an_escape_character(self) -> None:
        reply = answer(b"MSH|^~|A|B|C|D|2026||RAS^O17|1|P|2.5", "AR", Issue("error", "x", "a|b^c&d"))
        assert reply.separators.text == "|^~"
        assert reply.segments[2].get(8) == "a b c&d"

    @given(st.binary(max_size=200))
    def test_anything_is_answered(self, data: bytes) -> None:
        for prefix in (b"", b"MSH|^~\\&|", b"MSH"):
            reply = answer(prefix + data, "AR", ISSUE)
            assert names(reply) == ["MSH", "MSA", "ERR"]
            assert er7.decode(er7.to_bytes(reply.text)) == reply.text


class TestApplicationResponse:
    @pytest.mark.parametrize(
        ("type", "version", "expected"),
        [
            ("RAS^O17^RAS_O17", "2.5.1", "RRA^O18^RRA_O18"),
            ("RDE^O11", "2.5.1", "RRE^O12^RRE_O12"),
            ("RDE^O25^RDE_O11", "2.5.1", "RRE^O26^RRE_O12"),
            ("OMP^O09", "2.5.1", "ORP^O10^ORP_O10"),
            ("RGV^O15", "2.6", "RRG^O16^RRG_O16"),
            ("RDS^O13", "2.6", "RRD^O14^RRD_O14"),
            ("ORU^R01", "2.5.1", "ACK^R01^ACK"),
            ("ORU^R40", "2.6", "ORA^R41^ORA_R41"),
            ("ADT^A04", "2.5.1", "ACK^A04^ACK"),
            ("RAS^O01", "2.3", "RRA^O02"),
        ],
    )
    def test_the_type_of_the_answer(self, type: str, version: str, expected: str) -> None:
        text = ack.application_response(received(type, version=version), "AA", control_id="K2", timestamp="2026")
        reply = er7.parse(text)
        assert reply.msh.get(9) == expected
        assert (reply.msh.get(15), reply.msh.get(16)) == ("NE", "NE")
        assert reply.segments[1].fields[1:] == ["AA", "M1"]


@pytest.mark.parametrize(
    ("where", "place"),
    [
        ("RXA[2]-7.1", ("RXA", 2, 7, 1, 1)),
        ("PID-3[2].4", ("PID", 1, 3, 2, 4)),
        ("PID-3[2]", ("PID", 1, 3, 2, 0)),
        ("MSH-9", ("MSH", 1, 9, 0, 0)),
        ("OBX[12]", ("OBX", 12, 0, 0, 0)),
        ("PID", ("PID", 1, 0, 0, 0)),
        ("RXA-5.1.2", ("RXA", 1, 5, 1, 1)),
        ("RXA-6 RXA-7", ("RXA", 1, 6, 0, 0)),
        ("", ("", 0, 0, 0, 0)),
        ("Observation[3].valueQuantity", ("", 0, 0, 0, 0)),
        ("OBXtra", ("", 0, 0, 0, 0)),
        ("the charset setting", ("", 0, 0, 0, 0)),
    ],
)
def test_locate(where: str, place: tuple[str, int, int, int, int]) -> None:
    assert ack.locate(where) == place
