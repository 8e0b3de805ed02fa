"""`iter_fhir` takes text, bytes, or an open file of either."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from golden.cases import ROOT
from ketafhir import Refused, iter_fhir, to_fhir

EVENTS = ROOT / "RAS_O17" / "story-b-events" / "in.hl7"


def made(stream: Any) -> list[bytes]:
    found = []
    for one in iter_fhir(stream):
        assert not isinstance(one, Refused)
        found.append(one.json())
    return found


def test_every_kind_of_stream_gives_the_same(tmp_path: Path) -> None:
    wanted = made(EVENTS.read_bytes())
    assert len(wanted) == 6
    assert made(EVENTS.read_text()) == wanted
    with EVENTS.open("rb") as file:
        assert made(file) == wanted
    with EVENTS.open() as file:
        assert made(file) == wanted
    assert made(io.BytesIO(EVENTS.read_bytes())) == wanted
    assert made([]) == []


def test_text_is_not_decoded_again() -> None:
    text = (ROOT / "RAS_O17" / "latin-1" / "in.hl7").read_bytes().decode("latin-1")
    assert "8859/1" in text
    assert made(text) == [to_fhir(text).json()]
    assert "Bjørk".encode() in made(text)[0]


def test_several_messages_to_to_fhir_raise() -> None:
    with pytest.raises(Refused):
        to_fhir(EVENTS.read_bytes())
