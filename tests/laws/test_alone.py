"""Law: a message by itself gives what a feed gives of its first message."""

from __future__ import annotations

from pathlib import Path

import pytest

from golden.cases import folders
from ketafhir.errors import Refused
from ketafhir.hl7v2.stream import split_messages
from ketafhir.translate.settings import default
from ketafhir.translate.translation import iter_fhir, to_fhir


@pytest.mark.parametrize("folder", [one for one in folders() if (one / "in.hl7").exists()], ids=lambda one: one.name)
def test_alone_or_first(folder: Path) -> None:
    settings = default("America/New_York", None)
    for message in split_messages((folder / "in.hl7").read_bytes()):
        first = next(iter_fhir(message, settings=settings))
        if isinstance(first, Refused):
            with pytest.raises(Refused) as refusal:
                to_fhir(message, settings=settings)
            assert refusal.value.issues == first.issues
            continue
        alone = to_fhir(message, settings=settings)
        # What was read and written before is at hand now, and changes nothing.
        assert to_fhir(message, settings=settings).json() == alone.json()
        assert alone.json() == first.json()
        assert alone.issues == first.issues
        assert alone.records == first.records
        assert alone.losses == first.losses


def test_a_patient_in_other_words_is_another() -> None:
    settings = default("America/New_York", None)
    header = "MSH|^~\\&|M|W|K|W|20260309084005-0500||ORU^R01|{}|P|2.5.1"
    result = "OBR|1||{}^M|85353-1^Vital signs^LN|||20260309084000-0500"
    value = "OBX|1|NM|8867-4^Heart rate^LN||80|/min^^UCUM|||||F|||20260309084000-0500"
    told = []
    for number, words in enumerate(
        ("A^^^W^MR||Halloway^Wren", "A^^^W^MR||Halloway^Wrenna", "B^^^W^MR||Halloway^Wren"), 1
    ):
        segments = [header.format(number), f"PID|1||{words}", "PV1|1|O", result.format(f"R-{number}"), value]
        told.append(to_fhir("\r".join(segments) + "\r", settings=settings))
    patients = [one.records.patients.popitem()[1] for one in told]
    assert [(one.key, one.names[0].given) for one in patients] == [
        ("urn:id:W|A", ("Wren",)), ("urn:id:W|A", ("Wrenna",)), ("urn:id:W|B", ("Wren",)),
    ]  # fmt: skip
    assert len({one.told for one in patients}) == 3
