"""Mutated messages, both ways: each is answered within a second, and none finds a fault of ours."""

from __future__ import annotations

import io
import random
import re
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from mutating import bundle, message
from test_intake import channel

from ketafhir.fhir.json import loads
from ketafhir.service.arrivals import Answered
from ketafhir.service.intake import Intake
from ketafhir.store import states
from ketafhir.store.sqlite import SqliteStore
from ketafhir.translate.outputs import Findings, Report
from ketafhir.translate.running import Asked, Run, translate

SECONDS = 1.0  # of processor time: the machine may have other work
TOGETHER = 40  # messages to one store, so that they meet what others told of the same patients
CODES = {"AA", "AE", "AR", "CA", "CE", "CR"}
ANSWER = re.compile(rb"MSH(.).*\rMSA\1(..)(?:\1|\r)", re.DOTALL)


def intakes(folder: Path) -> Iterator[tuple[SqliteStore, Intake]]:
    """An intake for each message: a new one after some."""
    through = channel(policy={"processing_ids": ("P", "T", "D")})
    number = 0
    while True:
        path = folder / f"{number}.db"
        store = SqliteStore(path)
        store._database._connection.execute("PRAGMA synchronous = OFF")  # type: ignore[union-attr]
        intake = Intake(store, {"ehr": through})
        for _ in range(TOGETHER):
            yield store, intake
        store.close()
        for file in folder.glob(f"{number}.db*"):
            file.unlink()
        number += 1


def to_fhir(folder: Path, count: int, seed: int) -> Counter[str]:
    """How many came to what. A Bundle that breaks its profile is a fault of ours, as a crash is."""
    chance = random.Random(seed)
    found: Counter[str] = Counter()
    through = channel(policy={"processing_ids": ("P", "T", "D")})
    for number, (store, intake) in zip(range(count), intakes(folder), strict=False):
        sent = message(chance)
        begin = time.thread_time()
        answered = intake.take(through, sent, "peer:1")
        intake.finish()  # who wants no application answer does not wait for the translation
        taken = time.thread_time() - begin
        assert taken < SECONDS, f"mutation {number} of seed {seed} took {taken:.1f} s: {sent[:300]!r}"
        found.update(_judged(store, answered, number, sent))
    return found


def _judged(store: SqliteStore, answered: Answered, number: int, sent: bytes) -> list[str]:
    for one in answered.answers:
        match = ANSWER.match(one)
        assert match is not None, one
        assert match[2].decode("latin-1") in CODES, one
    if not answered.message_id:
        return ["not-stored" if answered.answers else "no-answer-due"]
    detail = store.show(answered.message_id)
    assert detail.outcome not in (states.FAILED, states.RECEIVED), f"mutation {number}: {detail.issues!r}: {sent!r}"
    return [detail.outcome]


def to_hl7v2(count: int, seed: int) -> Counter[str]:
    chance = random.Random(seed)
    settings = channel().settings
    found: Counter[str] = Counter()
    for number in range(count):
        sent = bundle(chance)
        to = ("hl7v2", "hl7v2", "hl7v2", "fhir", "therapy")[number % 5]
        version = (None, None, "2.3", "2.8.1")[number % 4] if to == "hl7v2" else None
        issues, out = Findings(), io.BytesIO()
        report = Report(io.BytesIO()) if number % 3 == 0 else None
        begin = time.thread_time()
        refused = translate(Run(Asked(to, None, version), settings, issues, out, "body", report), iter([sent]))
        taken = time.thread_time() - begin
        assert taken < SECONDS, f"mutation {number} of seed {seed} took {taken:.1f} s: {sent[:300]!r}"
        outcome = loads(b"".join(issues.json()))
        assert outcome["resourceType"] == "OperationOutcome"
        errors = any(issue["severity"] in ("error", "fatal") for issue in outcome["issue"])
        assert errors is refused
        found["refused" if refused else "written"] += 1
    return found


def test_mutated_messages_to_fhir(tmp_path: Path) -> None:
    found = to_fhir(tmp_path, 500, seed=20261122)
    assert found["translated"] > 100
    assert found["refused"] > 100


def test_mutated_bundles_to_hl7v2() -> None:
    found = to_hl7v2(600, seed=20261122)
    assert found["written"] > 100
    assert found["refused"] > 100


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_two_hundred_thousand_mutated_messages_to_fhir(tmp_path: Path) -> None:
    assert to_fhir(tmp_path, 200_000, seed=1)["translated"] > 50_000


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_two_hundred_thousand_mutated_bundles_to_hl7v2() -> None:
    assert to_hl7v2(200_000, seed=1)["refused"] > 20_000
