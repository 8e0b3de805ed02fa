"""One message from its bytes to its acknowledgments: known already? taken here? understood? stored?

Everything here blocks and runs in one thread, one message at a time: what a message does to the records of
its patients is decided on what the one before has done. Nothing waits for the FHIR server.

In the original mode a message is translated and then stored with its outcome in one transaction, before it is
acknowledged. In enhanced mode (MSH-15, -16) it is stored as it came, and then translated: a crash in between
leaves it to `finish`. Where its sender wants no application answer (MSH-16 NE, as with IHE PCD-01), it is acknowledged when it
is stored, and translated when nothing else waits to be stored. Whatever comes, messages are translated in the order they
were stored in.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ketafhir.errors import Issue, Refused, StoreError
from ketafhir.hl7v2.choreography import Outcome, choreography
from ketafhir.hl7v2.er7 import Message
from ketafhir.service import translating
from ketafhir.service.admission import admit, by_header, supported
from ketafhir.service.arrivals import Answered, Arrival, Arrived, Channel
from ketafhir.service.histories import Histories
from ketafhir.service.measures import Measures
from ketafhir.service.translating import Verdict
from ketafhir.store import states
from ketafhir.store.away import Away
from ketafhir.store.protocol import Accepted, NotAllowed, RecordsChanged, Store, Unfinished, Unknown
from ketafhir.translate import incoming
from ketafhir.translate.order_answers import echo

_MOST_BEHIND = 1000  # messages that are acknowledged and not translated; then one that comes waits until two are
_TOGETHER = 100  # of these read at a time
_SOME = 16  # of these translated with one commit, for somebody who waits
_RACES = 5  # a record that others write more often than this in the time of one message is a fault
_TAKEN: tuple[Outcome, ...] = ("accepted", "refused")
_log = logging.getLogger("ketafhir.service")


class Intake:
    """Takes messages of all listeners; `counts` tells how many came to what."""

    def __init__(
        self,
        store: Store,
        channels: Mapping[str, Channel],
        order: str = "patient",
        forwards: Mapping[str, Sequence[str]] = {},
        destination: str = translating.FHIR,
    ) -> None:
        """`forwards`: by the name of a receiver the types of message that go there as they came; `destination`: of Bundles."""
        self._destination = destination
        self._forwards = forwards
        self._store = store
        self._order = order
        self._channels = channels
        self._histories = Histories(store)
        self.behind = 1  # messages that are stored and not translated, at most: there may be some from before a restart
        self.counts: Counter[str] = Counter()
        self.measures = Measures()
        self._away = Away(_log, "messages are taken")

    def take(self, channel: Channel, raw: bytes, peer: str) -> Answered:
        """Answer one message. Never raises: what cannot be stored is answered AR or CE, to be sent again."""
        return self._committed([self._taken(channel, raw, peer)])[0]

    def _committed(self, answers: list[Answered]) -> list[Answered]:
        if not self.measures.store_failing:
            self._away.answered()
        return answers

    def _taken(self, channel: Channel, raw: bytes, peer: str) -> Answered:
        self.counts["received"] += 1
        arrived = Arrived(channel, raw, peer)
        if arrived.msh.get(9).startswith("ACK"):
            self.counts["acknowledgment"] += 1  # answering it would begin an endless exchange
            return Answered()
        try:
            known = self._known(arrived)
            answered = known if known is not None else self._new(arrived)
            self.measures.store(failing=False)
            return answered
        except StoreError as error:
            self.measures.store(failing=True)
            self._away.failed("a message from %s is not stored: %s", peer, error)
            self.counts["not-stored"] += 1
            text, hint = "the message could not be stored", "send it again later"
            issue = Issue("error", "not-stored", text, where="MSH", hint=hint, reject=True)
            return self.rejected(channel, raw, issue)

    def take_together(self, arrivals: Sequence[Arrival]) -> list[Answered]:
        """As `take` of one after another, but committed once, before any of them is answered."""
        self._make_way(arrivals)
        if len(arrivals) > 1:
            counted = self.counts.copy()
            try:
                with self._store.batch():
                    answers = [self._taken(one.channel, one.raw, one.peer) for one in arrivals]
                return self._committed(answers)
            except StoreError as error:
                # Nothing of them was done; which of them is to blame shows when each goes by itself.
                _log.log(self._away.level, "%d messages are not stored together: %s", len(arrivals), error)
                self.counts = counted
                self._histories.forget()
        return [self.take(one.channel, one.raw, one.peer) for one in arrivals]

    def rejected(self, channel: Channel, head: bytes, issue: Issue) -> Answered:
        """AR, or CE in enhanced mode, to a message that is not stored; `head` holds its MSH."""
        arrived = Arrived(channel, head, "")
        ack, answer = _codes(arrived, "failed")
        answered = Answered()
        answered.add("ack", channel.answers.accept(head, ack, [issue]) if ack else None)
        answered.add("answer", channel.answers.accept(head, answer, [issue]) if answer else None)
        return answered

    def finish(self, most: int | None = None) -> int:
        """Translate the oldest of what was stored and not translated, or all: of those who want no answer, after a crash, or
        when an operator asks; how many."""
        count = 0
        while most is None or count < most:
            wanted = _TOGETHER if most is None else most - count
            waiting = self._store.unfinished(wanted)
            for one in waiting:
                try:
                    self._finish(one)
                except (NotAllowed, Unknown):  # another process has done it meanwhile
                    _log.warning("message %d was translated elsewhere", one.message_id)
                self.behind = max(1, self.behind - 1)
            count += len(waiting)
            if len(waiting) < wanted:
                self.behind = 0
                break
        return count

    def finish_together(self, most: int) -> int:
        """As `finish`, with one commit."""
        try:
            with self._store.batch():
                return self.finish(most)
        except StoreError:
            self._histories.forget()
            raise

    # --- a message that came before

    def _known(self, arrived: Arrived) -> Answered | None:
        inbound = arrived.inbound()
        before = self._store.seen(inbound.sender, inbound.control_id, inbound.sha256)
        if before is None:
            return None
        if before.duplicate:
            return self._again(self._store.accept(inbound))
        text = "the same MSH-10 came before with another content: it is taken as a message of its own"
        arrived.noted.append(Issue("warning", "control-id-reused", text, where="MSH-10", hl7="205"))
        return None

    def _again(self, before: Accepted) -> Answered:
        """The acknowledgments that it got the first time."""
        self.counts["duplicate"] += 1
        answered = Answered(before.message_id, duplicate=True)
        answered.add("ack", before.ack)
        answered.add("answer", before.answer)
        return answered

    # --- a new message

    def _new(self, arrived: Arrived) -> Answered:
        refusal = self._judge(arrived)
        if arrived.modes == ("", ""):
            return self._original(arrived, refusal)
        told = _told(refusal)
        if refusal is not None and told != "refused":
            return self._turned_away(arrived, translating.refused(refusal, told, arrived.noted))
        return self._enhanced(arrived, refusal)

    def _judge(self, arrived: Arrived) -> Refused | None:
        """Read it and judge its header; why it is not to be translated."""
        channel = arrived.channel
        try:
            arrived.message = incoming.parse(arrived.raw, channel.charset or None)
            admit(arrived.message, channel.policy)
        except Refused as refusal:
            return refusal
        return None

    def _original(self, arrived: Arrived, refusal: Refused | None) -> Answered:
        """One transaction, then AA, AE or AR."""
        self._catch_up()
        answers = arrived.channel.answers

        def store(verdict: Verdict) -> Accepted:
            code = _codes(arrived, verdict.told)[0]
            shown = _shown(verdict)
            if code is None:
                ack = None
            elif arrived.message is not None and verdict.told in ("accepted", "refused"):
                ack = _answer(arrived, code, shown, enhanced=False)
            else:  # chapter 2, 2.14.1: an error that precludes application processing
                ack = answers.accept(arrived.raw, code, shown)
            return self._store.accept(arrived.inbound(ack, verdict.result))

        accepted, verdict = self._settled(arrived, refusal, store)
        answered = Answered(accepted.message_id, queued=bool(verdict.result.deliveries))
        answered.add("ack", accepted.ack)
        return answered

    def _catch_up(self) -> None:
        """What was stored before is translated before."""
        if self.behind:
            self.finish()

    def _make_way(self, arrivals: Sequence[Arrival]) -> None:
        """`_catch_up` for these, while they hold no transaction yet: others get their turn in between."""
        if self.behind and any(not _is_unanswered(Arrived(one.channel, one.raw, one.peer)) for one in arrivals):
            try:
                while self.behind:
                    self.finish_together(_SOME)
            except StoreError as error:
                _log.debug("the store does not answer: %s", error)  # each of them will find that

    def _turned_away(self, arrived: Arrived, verdict: Verdict) -> Answered:
        """Enhanced mode: CR or CE; only a sender that wants none of these gets an application answer."""
        answers = arrived.channel.answers
        code, application = _codes(arrived, verdict.told)
        ack = answers.accept(arrived.raw, code, verdict.issues) if code else None
        answer = _answer(arrived, application, verdict.issues) if application else None
        accepted = self._store.accept(arrived.inbound(ack, replace(verdict.result, answer=answer)))
        self._count(accepted.message_id, verdict)
        answered = Answered(accepted.message_id)
        answered.add("ack", ack)
        answered.add("answer", answer)
        return answered

    def _enhanced(self, arrived: Arrived, refusal: Refused | None) -> Answered:
        """Stored as it came, CA; then translated, and the application's answer."""
        unanswered = _is_unanswered(arrived)
        if unanswered and self.behind >= _MOST_BEHIND:
            self.finish(2)
        elif not unanswered:
            self._catch_up()
        code = _codes(arrived, "accepted")[0]
        ack = arrived.channel.answers.accept(arrived.raw, code) if code else None
        accepted = self._store.accept(arrived.inbound(ack))
        answered = Answered(accepted.message_id)
        answered.add("ack", ack)
        if unanswered:
            self.behind += 1
            return answered
        try:
            answer, verdict = self._complete(arrived, refusal, accepted.message_id)
        except StoreError as error:
            told = {"message_id": accepted.message_id}
            _log.error("message %d waits for its translation: %s", accepted.message_id, error, extra=told)
            return answered
        answered.add("answer", answer)
        answered.queued = bool(verdict.result.deliveries)
        return answered

    def _complete(self, arrived: Arrived, refusal: Refused | None, message_id: int) -> tuple[bytes | None, Verdict]:
        """Translate what is stored; gives the application answer too, where one is wanted."""
        answer: bytes | None = None

        def store(verdict: Verdict) -> Accepted:
            nonlocal answer
            code = _codes(arrived, verdict.told)[1]
            answer = _answer(arrived, code, _shown(verdict)) if code else None
            self._store.complete(message_id, replace(verdict.result, answer=answer))
            return Accepted(message_id, duplicate=False, reused=False, ack=None, answer=answer)

        _, verdict = self._settled(arrived, refusal, store)
        return answer, verdict

    def _finish(self, waiting: Unfinished) -> None:
        """A message of the store; its sender is not there, and gets the answer when it sends again."""
        channel = self._channel(waiting.listener)
        if channel is None:
            text = f"its listener {waiting.listener}, with zone and charset, is not configured any more"
            issue = Issue("error", "listener-gone", text, hint="configure it again, then `ketafhir queue retry`")
            self._store.complete(
                waiting.message_id, translating.untranslated("accepted", states.FAILED, [issue]).result
            )
            return
        before = self._store.show(waiting.message_id).deliveries
        arrived = Arrived(channel, waiting.raw, waiting.peer, told=frozenset(one.destination for one in before))
        answer, _ = self._complete(arrived, self._judge(arrived), waiting.message_id)
        if answer is not None:
            self._store.ack_undelivered(waiting.message_id, "answer")

    def _channel(self, name: str) -> Channel | None:
        only = next(iter(self._channels.values())) if len(self._channels) == 1 else None
        return self._channels.get(name, only)

    # --- what they share

    def _settled(
        self, arrived: Arrived, refusal: Refused | None, store: Callable[[Verdict], Accepted]
    ) -> tuple[Accepted, Verdict]:
        """Translate and store, and again where another process has written the same record meanwhile."""
        for race in range(_RACES):
            verdict = self._verdict(arrived, refusal)
            try:
                accepted = store(verdict)
            except RecordsChanged:
                if race == _RACES - 1:
                    raise
                continue
            verdict.stored()
            self._count(accepted.message_id, verdict)
            return accepted, verdict
        raise AssertionError("the last race raises")

    def _verdict(self, arrived: Arrived, refusal: Refused | None) -> Verdict:
        message, noted = arrived.message, arrived.noted
        if refusal is not None or message is None:
            assert refusal is not None
            return translating.refused(refusal, _told(refusal), noted)
        if not supported(message):
            return self._forwarded(arrived, message, translating.kept(message, noted))
        try:
            verdict = translating.translated(
                message, arrived.channel.settings, self._histories, noted, self._order, self._destination
            )
            return self._forwarded(arrived, message, verdict)
        except Refused as error:
            return translating.refused(error, _told(error), noted)
        except StoreError:
            raise
        except Exception as error:
            return _fault(error)

    def _forwarded(self, arrived: Arrived, message: Message, verdict: Verdict) -> Verdict:
        """With what goes on to other receivers."""
        types = {message.code, f"{message.code}^{message.event}"}
        names = [name for name, taken in self._forwards.items() if types & set(taken) and name not in arrived.told]
        if names:
            verdict.result = translating.forwarded(verdict, message, arrived.raw, names)
        return verdict

    def _count(self, message_id: int, verdict: Verdict) -> None:
        outcome = "rejected" if verdict.told in ("rejected", "failed") else verdict.result.outcome
        self.counts[outcome] += 1
        self.measures.found(verdict.issues)
        level = logging.DEBUG if outcome == states.TRANSLATED else logging.WARNING
        if not _log.isEnabledFor(level):
            return
        codes = ", ".join(dict.fromkeys(issue.code for issue in verdict.issues)) or "no findings"
        _log.log(level, "message %d is %s: %s", message_id, outcome, codes, extra={"message_id": message_id})


def _answer(arrived: Arrived, code: str, issues: Sequence[Issue], *, enhanced: bool = True) -> bytes:
    """The application answer, with its ORDER groups where its structure has any, in the separators of the message."""
    message, answers = arrived.message, arrived.channel.answers
    if message is None:
        return answers.accept(arrived.raw, code, issues)
    below = echo(message, code, arrived.channel.settings.tables)
    return answers.application(message, code, issues, below, enhanced=enhanced, separators=arrived.separators)


def _codes(arrived: Arrived, told: Outcome) -> tuple[str | None, str | None]:
    """MSA-1 of the first answer, and of the application answer of enhanced mode."""
    accept, application = choreography(*arrived.modes, told)
    return (application, None) if arrived.modes == ("", "") else (accept, application)


def _is_unanswered(arrived: Arrived) -> bool:
    """Whether its sender is told no more than that it is stored, whatever becomes of it then (enhanced mode, MSH-16 NE)."""
    return arrived.modes != ("", "") and not any(_codes(arrived, told)[1] for told in _TAKEN)


def _told(refusal: Refused | None) -> Outcome:
    """What a sender is told of a refusal: AE, AR and CR, or AR and CE."""
    if refusal is None:
        return "accepted"
    if by_header(refusal):
        return "rejected"
    return "failed" if any(issue.reject for issue in refusal.issues) else "refused"


def _shown(verdict: Verdict) -> list[Issue]:
    """A fault of ours is none of the sender's business."""
    return [] if verdict.result.outcome == states.FAILED else verdict.issues


def _fault(error: Exception) -> Verdict:
    """A fault of ours: kept, told as accepted, and given to the operator.

    Only its place is told: its text may hold part of the message.
    """
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "an unknown place"
    _log.error("a fault of ours: %s at %s", type(error).__name__, place)
    issue = Issue(
        "error", "internal-error", f"a fault of ours: {type(error).__name__} at {place}",
        hint="report it; `ketafhir queue retry` translates the message again",
    )  # fmt: skip
    return translating.untranslated("accepted", states.FAILED, [issue])
