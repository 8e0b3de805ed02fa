"""Every Bundle that a message makes in these tests fits its profiles: one that does not never leaves the service."""

from __future__ import annotations

import pytest

from ketafhir.fhir.profile.check import check
from ketafhir.hl7v2.er7 import Message
from ketafhir.translate.session import Session, Step


@pytest.fixture(autouse=True)
def fits(monkeypatch: pytest.MonkeyPatch) -> None:
    take = Session.take

    def checked(session: Session, message: Message) -> Step:
        step = take(session, message)
        assert check(step.bundle) == []
        return step

    monkeypatch.setattr(Session, "take", checked)
