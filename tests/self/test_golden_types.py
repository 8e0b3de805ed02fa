"""Each type of message that is read, written or sent as an answer has a golden case; the types are those of the code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from golden.cases import ROOT, case_settings, folders
from ketafhir.errors import Refused
from ketafhir.hl7v2.er7 import Message
from ketafhir.hl7v2.stream import split_messages
from ketafhir.hl7v2.structures import RESPONSES
from ketafhir.translate import headers
from ketafhir.translate.incoming import READERS, parse
from ketafhir.translate.session import Session


def told(name: str) -> Iterator[Message]:
    """The messages of all files of that name."""
    for file in sorted(ROOT.rglob(name)):
        for data in split_messages(file.read_bytes().replace(b"\n", b"\r")):
            yield parse(data)


@cache
def taken() -> dict[str, str]:
    """The types that some case translates, and the case."""
    found: dict[str, str] = {}
    for folder in folders():
        session = Session(case_settings(folder))
        data = (folder / "in.hl7").read_bytes() if (folder / "in.hl7").is_file() else b""
        for one in split_messages(data):
            try:
                message = parse(one)
                session.take(message)
            except Refused:
                continue
            found.setdefault(f"{message.code}^{message.event}", folder.name)
    return found


def test_every_type_that_is_read_is_translated_in_a_case() -> None:
    assert {f"{code}^{event}" for code, event in READERS} - taken().keys() == set()


def test_every_type_that_is_written_is_written_in_a_case() -> None:
    written = list(told("out.hl7"))
    assert set(headers.STRUCTURES) - {f"{one.code}^{one.event}" for one in written} == set()
    profiles = {one.msh.get(21) for one in written}
    assert set(headers.PROFILES.values()) - profiles == set()
    assert any("IHE_PCD_003" in one for one in profiles)


def test_every_answer_is_sent_in_a_case() -> None:
    answers = list(told("answers.hl7"))
    assert {"^".join(one[:2]) for one in RESPONSES.values()} - {f"{one.code}^{one.event}" for one in answers} == set()
    assert {one.segments[1].get(1) for one in answers} >= {"AA", "AE"}


def test_a_type_without_a_case_would_be_found() -> None:
    """A case is counted for what it translates, not for what it holds."""
    assert "SIU^S12" in {f"{one.code}^{one.event}" for one in told("in.hl7")}
    assert "SIU^S12" not in taken()
