"""Fields that moved or went between versions: where an administration was given (RXA-11, -27, -28), older numbers (PID-2, -4)."""

from __future__ import annotations

import pytest

from ketafhir import to_fhir, to_hl7v2
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.groups import walk
from ketafhir.hl7v2.strict import check
from ketafhir.translate.translation import Translation

PLACE, ADDRESS = "INFUSION^ROOM 3^CHAIR 1^WILLOW", "12 Example Street^^Willow^WI^53000"
MESSAGE = (
    "MSH|^~\\&|EMAR|WILLOW|K|HUB|20260414093000-0500||RAS^O17^RAS_O17|RAS-9|P|{version}\r"
    "PID|1|EXT-7^^^REGION^PT|SYN-1^^^WILLOW^MR|ALT-9^^^OLDSYS^PI|Doe^Jo||19740930|M\r"
    "PV1|1|O|||||||||||||||||V-1^^^WILLOW^VN\rORC|RE|P-1^EHR|F-1^PH||IP\r"
    'RXA|0|1|20260414090000-0500|""|6130^ketamine^RXN|20|mL||||{old}|H1|||||||||A||||||{place}|{address}\rRXR|IV\r'
)
NEW = MESSAGE.format(version="2.8.1", old="", place=PLACE, address=ADDRESS)
OLD = MESSAGE.format(version="2.4", old=f"{PLACE}^^^^^{ADDRESS}", place="", address="").replace(
    "||||||||\rRXR", "\rRXR"
)


def back(message: str, version: str) -> Translation:
    return to_hl7v2(json.dumps(to_fhir(message).bundle), version=version)


def cell(text: str, name: str, field: int) -> str:
    return next(one for one in er7.parse(text).segments if one.name == name).get(field)


@pytest.mark.parametrize("message", [NEW, OLD])
@pytest.mark.parametrize("version", ["2.3", "2.4", "2.5.1", "2.6", "2.7", "2.8.1"])
def test_the_place_of_an_administration_comes_back_where_the_version_has_it(message: str, version: str) -> None:
    made = back(message, version)
    old = (f"{PLACE}^^^^^{ADDRESS}", "", "")
    found = tuple(cell(made.text, "RXA", field) for field in (11, 27, 28))
    assert found in (old, ("", PLACE, ADDRESS))
    assert "RXA" not in {one.where.partition("-")[0] for one in made.issues}
    parsed = er7.parse(made.text)
    assert [one.text for one in check(parsed, walk(parsed)) if one.severity == "error" and "RXA" in one.text] == []


def test_a_place_that_an_older_field_cannot_hold_is_told() -> None:
    made = back(NEW.replace(PLACE, f"{PLACE}^^^^^told by phone"), "2.4")
    assert [one.where for one in made.issues if one.code == "version-loss"] == ["RXA-27", "RXA-28"]


@pytest.mark.parametrize(("version", "lost"), [("2.3", []), ("2.5.1", []), ("2.6", []), ("2.8.1", ["PID-2"])])
def test_older_numbers_of_a_patient_come_back_or_are_told(version: str, lost: list[str]) -> None:
    """Never in PID-3: there they could be taken for the number that the patient is known by."""
    made = back(MESSAGE.format(version="2.3", old="", place="", address=""), version)
    assert [one.where for one in made.issues if one.code == "version-loss"] == lost
    assert cell(made.text, "PID", 3) == "SYN-1^^^WILLOW^MR"
    assert cell(made.text, "PID", 2) == ("" if lost else "EXT-7^^^REGION^PT")
    assert cell(made.text, "PID", 4) == "ALT-9^^^OLDSYS^PI"
