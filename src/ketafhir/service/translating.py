"""One message folded into what the store knows of its patients, and what follows from it for the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import orjson

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import json
from ketafhir.fhir.profile.check import Problem, check
from ketafhir.hl7v2.choreography import Outcome
from ketafhir.hl7v2.er7 import Message
from ketafhir.service.histories import Histories, KnownHistory
from ketafhir.store import states
from ketafhir.store.protocol import Key, NewDelivery, Result
from ketafhir.sync.public import PRODUCTION, SYNTHETIC
from ketafhir.translate.incoming import unsupported
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import Settings

_NOT_REAL = ("T", "D")  # HL7 table 0103: training, debugging
FHIR, SHADOW = "fhir", "shadow"
"""The destination of the Bundles, and what stands in its place in shadow mode."""


@dataclass(slots=True)
class Verdict:
    """What became of a message: for its acknowledgment (`told`, `issues`) and for the store (`result`)."""

    told: Outcome
    issues: list[Issue]
    result: Result
    history: KnownHistory | None = None

    def stored(self) -> None:
        """The store has taken it."""
        if self.history is not None:
            self.history.stored()


def translated(
    message: Message,
    settings: Settings,
    histories: Histories,
    noted: Sequence[Issue],
    order: str = "patient",
    destination: str = FHIR,
) -> Verdict:
    """Fold the message in. `noted` are findings that do not stop it. Raises Refused.

    Every Bundle passes the check of its profiles before it may leave: one that does not is a fault of ours, of which
    nothing is sent and nothing is remembered. The message is kept, and an operator can have it translated again.

    Deliveries are kept in order by patient: all whom the message tells of, so that a merge of two is a barrier
    for both. A wider `order` ("sender", "all") is kept beside that.
    """
    history = KnownHistory(histories)
    step = Session(settings, history).take(message)
    problems = broken(step)
    if problems:
        return untranslated("accepted", states.FAILED, [_of_ours(one) for one in problems])
    issues = [*noted, *step.issues]
    wider = _wider(message, order)
    partitions = (*history.patients_known, *wider)
    result = Result(
        states.TRANSLATED,
        issues_json(issues),
        deliveries=(NewDelivery(destination, partitions, json.dumps(step.bundle)),) if step.bundle.get("entry") else (),
        records=history.changes(step.told),
        keys=(*history.keys(step.told), *_marks(message, history, wider)),
    )
    return Verdict("accepted", issues, result, history)


def broken(step: Step) -> list[Problem]:
    """What is wrong with the Bundle. An entry that is like one that was checked is not checked again: it differs from that
    in id, time, patient, visit and numbers only, which are right whatever they are."""
    bundle = step.bundle
    entries, like = bundle.get("entry", ()), step.like
    new = [one for one in entries if (known := like.get(one["fullUrl"])) is None or not known.good]
    if check({**bundle, "entry": new} if new else bundle):
        return check(bundle)
    for known in like.values():
        known.good = True
    return []


def _of_ours(problem: Problem) -> Issue:
    hint = "report it; `ketafhir queue retry` translates the message again"
    return Issue("error", "profile-broken", problem.text, where=problem.path, hint=hint)


def _marks(message: Message, history: KnownHistory, wider: Sequence[str]) -> list[Key]:
    """Whether all that order is kept by, the patients foremost, was told of for training or debugging, or else.

    It decides what may leave for a public server (`sync.public`).
    """
    kind = SYNTHETIC if message.processing_id in _NOT_REAL else PRODUCTION
    return [*history.mark(kind), *(Key(kind, one, one) for one in wider)]


def _wider(message: Message, order: str) -> tuple[str, ...]:
    if order == "sender":
        return ("sender " + "|".join(message.sender),)
    return ("all",) if order == "all" else ()


def forwarded(verdict: Verdict, message: Message, raw: bytes, names: Sequence[str]) -> Result:
    """The result, with the message as it came for other receivers: in the order of its patients, else of its sender."""
    partitions = verdict.history.patients_known if verdict.history is not None else _wider(message, "sender")
    more = [NewDelivery(name, partitions, raw) for name in names]
    return replace(verdict.result, deliveries=(*verdict.result.deliveries, *more))


def kept(message: Message, noted: Sequence[Issue]) -> Verdict:
    """A message of a type that is not translated: taken, and nothing follows."""
    (reason,) = unsupported(message).issues
    warning = Issue("warning", reason.code, reason.text, where="MSH-9", value=reason.value, hl7=reason.hl7)
    return untranslated("accepted", states.UNSUPPORTED, [*noted, warning])


def refused(refusal: Refused, told: Outcome, noted: Sequence[Issue] = ()) -> Verdict:
    """A message whose content, or whose sender, is not taken."""
    return untranslated(told, states.REFUSED, [*refusal.issues, *noted])


def untranslated(told: Outcome, outcome: str, issues: list[Issue]) -> Verdict:
    """A message of which nothing is written."""
    return Verdict(told, issues, Result(outcome, issues_json(issues)))


def issues_json(issues: Sequence[Issue]) -> bytes:
    """Issues as the store keeps them."""
    return orjson.dumps([{name: one for name, one in asdict(issue).items() if one} for issue in issues])
