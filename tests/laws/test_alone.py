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
        assert alone.json() == first.json()
        assert alone.issues == first.issues
        assert alone.records == first.records
        assert alone.losses == first.losses
