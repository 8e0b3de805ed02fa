"""Ids are the version 5 UUIDs of RFC 4122, and stay what they are."""

from __future__ import annotations

import uuid

from hypothesis import given
from hypothesis import strategies as st

from ketafhir.fhir import ids

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://ketafhir.org/fhir")


@given(st.text(st.characters(codec="utf-8")))
def test_as_the_standard_library_makes_them(name: str) -> None:
    assert ids.uuid5(name) == str(uuid.uuid5(NAMESPACE, name))


def test_the_namespace_has_not_moved() -> None:
    """What was written under an id must be found under it by every later version."""
    assert ids.uuid5("order|urn:id:RX|4711") == "31c17407-9875-5573-a523-9342cea5ec7b"


def test_urn() -> None:
    assert ids.urn(ids.uuid5("a")) == uuid.UUID(ids.uuid5("a")).urn
