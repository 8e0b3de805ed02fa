"""What no text of FHIR can hold is refused, with its place; what it can goes there and back."""

from __future__ import annotations

import pytest

import ketafhir
from ketafhir import Refused

ADMIT = "\r".join(
    (
        r"MSH|^~\&|EHR|WILLOW|KETAFHIR|WILLOW|20260309082030-0500||ADT^A04^ADT_A01|M1|P|2.5.1",
        "EVN|A04|20260309082000-0500",
        "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo^^^^^L||19840211|F",
        "PV1|1|O|INFUSION^ROOM 1^^WILLOW||||||||||||||||V-SYN-1^^^WILLOW^VN",
        "",
    )
)


@pytest.mark.parametrize("odd", ["\x00", "\x01", "\x0c", "\x1f", "\\X00\\", "\\X0D0A1B\\", "\\X410B\\"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_control_character_of_a_message_is_refused(odd: str, as_bytes: bool) -> None:
    text = ADMIT.replace("Doe", f"D{odd}oe")
    with pytest.raises(Refused) as told:
        ketafhir.to_fhir(text.encode() if as_bytes else text)
    issue = told.value.issues[0]
    assert (issue.code, issue.where, issue.hl7) == ("control-character", "PID-5", "102")


def test_it_is_found_in_other_separators_and_charsets() -> None:
    other = ADMIT.replace("\\", "!").replace("Doe", "D!X07!oe")
    wide = ADMIT.replace("Doe", "D\x07oe").replace("|2.5.1", "|2.5.1||||||UNICODE UTF-16").encode("utf-16")
    for told in (other, wide):
        with pytest.raises(Refused, match="a control character"):
            ketafhir.to_fhir(told)


@pytest.mark.parametrize(
    "text", ["D\\X09\\oe", "D\\X0D0A\\oe", "D\x7foe", "D\u0085oe", "D\\T\\X00T\\oe", "DX00\\E\\oe"]
)
def test_what_fhir_can_hold_is_taken(text: str) -> None:
    bundle = ketafhir.to_fhir(ADMIT.replace("Doe", text)).bundle
    assert "|SYN-1^^^WILLOW^MR||D" in ketafhir.to_hl7v2(bundle).text


@pytest.mark.parametrize("path", ["family", "given"])
def test_a_control_character_of_a_resource_is_refused(path: str) -> None:
    bundle = ketafhir.to_fhir(ADMIT).bundle
    name = bundle["entry"][0]["resource"]["name"][0]
    name[path] = ["J\x00o"] if path == "given" else "D\x0boe"
    with pytest.raises(Refused) as told:
        ketafhir.to_hl7v2(bundle)
    issue = told.value.issues[0]
    assert issue.code == "control-character"
    assert issue.where.endswith("name[0].family" if path == "family" else "name[0].given[0]")
