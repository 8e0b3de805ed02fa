"""A history out of memory is the same history: the same Bundles, the same last state, in the same order."""

from __future__ import annotations

import sqlite3
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import feed
from golden.cases import folders
from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.hl7v2.stream import split_messages
from ketafhir.therapy.asjson import dump
from ketafhir.therapy.fold import History
from ketafhir.therapy.settled import settle
from ketafhir.translate import session as session_module
from ketafhir.translate import spill
from ketafhir.translate.incoming import parse
from ketafhir.translate.session import Session
from ketafhir.translate.settings import default

FEED = b"\r".join(islice(feed.messages(2000), 900, None))
"""Of patients of several waves: some were heard of long ago, some are heard of again (their orders, infusions and visits)."""
GOLDEN = b"\r".join((folder / "in.hl7").read_bytes() for folder in folders() if (folder / "in.hl7").is_file())


def told(data: bytes) -> list[bytes]:
    """The Bundle of each message or why it is refused, and the last state of all."""
    session, found = Session(default()), []
    for one in split_messages(data):
        try:
            found.append(json.dumps(session.take(parse(one)).bundle))
        except Refused as refusal:
            found.append(str(refusal).encode())
    return [*found, json.dumps(dump(settle(session.history)))]


@pytest.mark.parametrize("data", [FEED, GOLDEN], ids=["feed", "golden"])
def test_what_left_memory_is_told_the_same(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = told(data)
    monkeypatch.setattr(session_module, "_IN_MEMORY", 3)
    monkeypatch.setattr(spill.Spill.__init__, "__defaults__", (20,))
    fetched: list[str] = []
    monkeypatch.setattr(spill.pickle, "loads", lambda data, loads=spill.pickle.loads: fetched.append("") or loads(data))
    assert told(data) == wanted
    assert len(fetched) > 100  # or nothing was spilled


KEYS = st.text(max_size=3)
STEPS = st.lists(st.one_of(st.tuples(KEYS, st.integers()), KEYS, st.just(None)), max_size=60)


@given(known=st.dictionaries(KEYS, st.integers()), steps=STEPS)
def test_a_spilled_mapping_is_a_dict(known: dict[str, int], steps: list[tuple[str, int] | str | None]) -> None:
    """Set, get and age in any order: the same answers, the same order of keys."""
    wanted = dict(known)
    found = spill.Spilled(sqlite3.connect("", isolation_level=None), "kind", known)
    for step in steps:
        if step is None:
            found.age()
        elif isinstance(step, str):
            assert (step in found, found.get(step)) == (step in wanted, wanted.get(step))
        else:
            found[step[0]] = wanted[step[0]] = step[1]
    assert list(found.items()) == list(wanted.items())
    assert len(found) == len(wanted)


def test_a_database_that_fails_is_an_error_of_output() -> None:
    history = History()
    kept = spill.Spill(history)
    kept._database.close()
    with pytest.raises(OSError, match=r"temporary database.*TMPDIR"):
        history.patients.get("unknown")
    history.numbers["P:1"] = ("P:1", "")
    with pytest.raises(OSError, match="temporary database"):
        list(history.numbers)


def test_a_short_file_needs_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spill.sqlite3, "connect", None)
    session = Session(default())
    for one in feed.messages(50):
        session.take(parse(one))
    assert type(session.history.patients) is dict


def test_the_feed_has_the_messages_it_says() -> None:
    kinds = [one.split(b"|")[8] for one in feed.messages(800)]
    assert len(set(feed.messages(2000))) == 2000
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        b"ADT^A04^ADT_A01": 40, b"RDE^O11^RDE_O11": 40, b"RAS^O17^RAS_O17": 280, b"ORU^R01^ORU_R01": 440,
    }  # fmt: skip
