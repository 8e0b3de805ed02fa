"""RXA by RXA: what is a declared loss, and what is a difference."""

from __future__ import annotations

import pytest
from story_server import record_of, story

from ketafhir.demo import compare, reader, stories, way_back
from ketafhir.hl7v2 import er7
from ketafhir.translate.settings import default

HEAD = "MSH|^~\\&|EMAR|WILLOW|||20260414||RAS^O17^RAS_O17|1|P|2.5.1\rPID|1||1^^^W^MR\rORC|RE|P1^EHR|F1^PHARM\r"
SENT = 'RXA|0|1|20260414090000-0500|""|6130^ketamine^RXN|20|mL^^UCUM|||N1||H1|1|mg/mL^^UCUM|||||||U'


def message(rxa: str) -> er7.Message:
    return er7.parse(f"{HEAD}{rxa}\r")


def with_field(number: int, text: str) -> er7.Message:
    fields = SENT.split("|")
    fields[number] = text
    return message("|".join(fields))


def compared(back: er7.Message, sent: str = SENT) -> compare.Comparison:
    return compare.compare("B", [message(sent)], [back], default().tables)


@pytest.mark.parametrize(
    ("number", "text", "loss"),
    [
        (4, "", "RXA-4: no end"),
        (4, "20260414090000-0500", "RXA-4: no end"),
        (5, "6130^ketamine^RXNORM", "RXA-5: a coding system comes back under its name in table 0396"),
        (7, "mL^mL^UCUM", "RXA-7: the unit comes back as UCUM triplet"),
        (14, "mg/mL^milligram per millilitre^UCUM", "RXA-14: the unit comes back as UCUM triplet"),
        (21, "A", "RXA-21: U and X come back as A"),
    ],
)
def test_a_declared_loss_is_counted(number: int, text: str, loss: str) -> None:
    found = compared(with_field(number, text))
    assert found.differences == []
    assert [one.startswith(loss) for one in found.losses] == [True]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (3, "20260414090100-0500"),
        (4, "20260414093000-0500"),
        (5, "6131^ketamine^RXN"),
        (5, "6130^ketamine^NDC"),
        (6, "20.0"),
        (7, "L^^UCUM"),
        (7, "mL^^LN"),
        (10, "N2"),
        (12, "M1"),
        (20, "CP"),
        (21, "D"),
    ],
)
def test_anything_else_is_a_difference_of_that_field(number: int, text: str) -> None:
    fields = SENT.split("|")
    fields += [""] * (number + 1 - len(fields))
    fields[number] = text
    (wrong,) = compared(message("|".join(fields))).differences
    assert wrong.where == f"B F1^PHARM RXA 0/1 RXA-{number}"
    assert wrong.found == text


def test_the_last_state_under_a_key_counts() -> None:
    closing = SENT.replace('""', "20260414093000-0500")
    found = compare.compare("B", [message(SENT), message(closing)], [message(closing)], default().tables)
    assert (found.compared, found.differences) == (1, [])


def test_one_too_many_and_one_too_few() -> None:
    other = message(SENT.replace("RXA|0|1|", "RXA|0|2|"))
    told = [(one.where, one.expected, one.found) for one in compared(other).differences]
    assert told == [("B F1^PHARM RXA 0/1", "one", "none"), ("B F1^PHARM RXA 0/2", "none", "one")]


def test_one_order_s_rxa_is_not_that_of_another() -> None:
    other = er7.parse(f"{HEAD.replace('P1^EHR|F1', 'P2^EHR|F2')}{SENT}\r")
    assert len(compared(other).differences) == 2


def test_story_b_comes_back_whole() -> None:
    told = story("B")
    found = way_back.of_story(told, reader.bundle("http://fhir.example", record_of(told)))
    assert (found.rxa.compared, found.rxa.differences) == (6, [])
    assert (found.results.compared, found.results.differences) == (125, [])
    assert found.text == "3 ORU^R01, 1 RAS^O17, 1 RDE^O11: equal are 6 of 6 RXA and 125 of 125 results (OBX)"


def test_a_result_that_changed_on_the_way_is_named() -> None:
    told = story("A")
    record = record_of(told)
    pulse = next(one for one in record.values() if one.get("valueQuantity", {}).get("code") == "/min")
    pulse["valueQuantity"]["value"] = 199
    found = way_back.of_story(told, reader.bundle("http://fhir.example", record))
    (wrong,) = found.results.differences
    assert wrong.found == "199"
    assert "129 of 130 results" in found.text


def test_the_messages_are_the_server_s_and_not_the_request_s() -> None:
    """HAPI adds `#` and the number of a request to meta.source: that is no part of the sender's name."""
    told = story("C")
    record = record_of(told)
    for one in record.values():
        if "source" in one.get("meta", {}):
            one["meta"]["source"] += "#dlt7qroBn283NMRD"
    found = way_back.of_story(told, reader.bundle("http://fhir.example", record))
    assert {one.application for one in found.messages} <= {"EHR", "MONITOR"}
    assert [stories.parse(one).application for one in told.messages[:1]] == ["EHR"]
