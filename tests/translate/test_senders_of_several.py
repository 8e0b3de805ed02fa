"""MSH-3 and MSH-4 of each message of a Bundle of several patients: whoever told what it tells, and nobody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ketafhir.fhir import json
from ketafhir.translate.translation import to_fhir, to_hl7v2

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
RAS = (STORIES / "b" / "10-ras-start.hl7").read_bytes().decode()
OTHER = RAS.replace("SYN-100318", "SYN-100999").replace("V-B2", "V-X9").replace("P-B2", "P-X9").replace("F-B2", "F-X9")


def entries(text: str, application: str) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = json.loads(
        to_fhir(text.replace("|EMAR|WILLOW|", f"|{application}|SITE-{application}|")).json()
    )["entry"]
    return made


def heads(*parts: list[dict[str, Any]]) -> dict[str, tuple[str, str]]:
    """MSH-3 and MSH-4 by the number of the patient."""
    held = {one["fullUrl"]: {"fullUrl": one["fullUrl"], "resource": one["resource"]} for part in parts for one in part}
    text = to_hl7v2(
        {"resourceType": "Bundle", "type": "collection", "entry": list(held.values())}, message="RAS^O17"
    ).text
    found = {}
    for message in text.split("MSH|")[1:]:
        head, pid = message.split("\r")[:2]
        found[pid.split("|")[3].split("^")[0]] = (head.split("|")[1], head.split("|")[2])
    return found


@pytest.mark.parametrize("turned", [False, True])
def test_each_patient_has_the_sender_of_its_own_record(turned: bool) -> None:
    one, other = entries(RAS, "ONE"), entries(OTHER, "TWO")
    told = heads(*((other, one) if turned else (one, other)))
    assert told == {"SYN-100318": ("ONE", "SITE-ONE"), "SYN-100999": ("TWO", "SITE-TWO")}


def test_what_names_no_sender_is_not_sent_in_the_name_of_another() -> None:
    one, other = entries(RAS, "ONE"), entries(OTHER, "TWO")
    third = entries(
        RAS.replace("100318", "100777").replace("V-B2", "V-3").replace("P-B2", "P-3").replace("F-B2", "F-3"), "THREE"
    )
    for entry in third:
        entry["resource"].get("meta", {}).pop("source", None)
    told = heads(one, other, third)
    assert told["SYN-100777"] == ("", "")
    assert told["SYN-100318"] == ("ONE", "SITE-ONE")


def test_a_subject_by_identifier_alone_is_that_patient() -> None:
    one, other = entries(RAS, "ONE"), entries(OTHER, "TWO")
    number = next(
        entry["resource"]["identifier"][0] for entry in other if entry["resource"]["resourceType"] == "Patient"
    )
    for entry in other:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = {"identifier": number}
    told = heads(one, [entry for entry in other if entry["resource"]["resourceType"] != "Patient"])
    assert told["SYN-100999"] == ("TWO", "SITE-TWO")
