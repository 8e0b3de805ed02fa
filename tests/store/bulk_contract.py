"""What an operator does with many messages at once, on whichever database."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace

import pytest
from contract import FHIR, Clock, claim, inbound, message, send

from ketafhir.store import bulk
from ketafhir.store.bulk import How, Selection
from ketafhir.store.protocol import NewDelivery, NotAllowed, Result, Settlement, Store, dead, done, park


def ended(store: Store, name: str, partition: str, ending: Settlement) -> int:
    number = store.accept(message(name, partition)).message_id
    store.settle(send(store), ending)
    return number


def pump_order(store: Store, partition: str, ending: Settlement) -> int:
    order = inbound("PUMP", b"MSH", Result("translated", deliveries=[NewDelivery(FHIR, (partition,), b"MSH")]))
    number = store.accept(replace(order, message_type="RGV^O15")).message_id
    store.settle(send(store), ending)
    return number


def states(store: Store) -> list[str]:
    return [row.state for row in store.page(limit=100)]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "CHUNK", 3)


class BulkContract:
    def test_it_is_told_first_and_then_done_and_noted(self, store: Store) -> None:
        for number in range(4):
            ended(store, f"P{number}", f"p{number}", park("bad"))
            ended(store, f"D{number}", f"d{number}", dead("bad"))
        wanted, notes, steps = Selection(("parked", "dead")), [], []
        told = bulk.retry(store, wanted, How())
        assert (told.found, told.again) == ({(FHIR, "parked"): 4, (FHIR, "dead"): 4}, 8)
        assert states(store) == ["parked", "dead"] * 4
        how = How(do=True, note=lambda ids: notes.extend(ids), progress=steps.append)
        assert bulk.retry(store, wanted, how).again == 8
        assert states(store) == ["queued"] * 8
        assert (notes, steps) == ([1, 2, 3, 4, 5, 6, 7, 8], [3, 6, 8])

    def test_only_what_is_chosen(self, store: Store, clock: Clock) -> None:
        clock.now = 1000.0
        both = [NewDelivery(to, ("p",), b"x") for to in ("a", "b")]
        number = store.accept(inbound("TWO", b"x", Result("translated", deliveries=both))).message_id
        for to, ending in (("a", dead("bad")), ("b", park("bad"))):
            delivery = claim(store, destination=to)
            store.mark_inflight(delivery, 60)
            store.settle(delivery, ending)
        clock.now = 2000.0
        ended(store, "LATER", "q", dead("bad"))
        assert store.destinations() == ["a", "b", FHIR]
        assert bulk.retry(store, Selection(("dead",), "b"), How(do=True)).again == 0
        assert bulk.retry(store, Selection(("dead",), until=2000.0), How(do=True)).found == {("a", "dead"): 1}
        assert [one.state for one in store.show(number).deliveries] == ["queued", "parked"]
        assert bulk.retry(store, Selection(("dead",), since=2000.0), How()).found == {(FHIR, "dead"): 1}
        assert bulk.retry(store, Selection(("dead",), since=2000.5), How()).again == 0
        assert bulk.retry(store, Selection(("dead",), until=1000.0), How()).again == 0

    def test_what_is_refused_is_told_and_stops_no_other(self, store: Store) -> None:
        ended(store, "OLD", "p", dead("bad"))
        ended(store, "NEW", "p", done())
        pump_order(store, "q", dead("bad"))
        ended(store, "FREE", "r", dead("bad"))
        for do in (False, True):
            told = bulk.retry(store, Selection(("dead",)), How(do=do))
            assert (told.again, told.refusals) == (1, 2)
            assert "overtaken by message 2" in told.refused[0]
            assert "look at the pump" in told.refused[1]
        assert states(store) == ["dead", "done", "dead", "queued"]
        assert bulk.retry(store, Selection(("dead",)), How(do=True, force=True, confirm=True)).again == 2

    def test_what_was_refused_is_translated_again(self, store: Store) -> None:
        for number in range(5):
            store.accept(message(f"R{number}", outcome="refused"))
        assert bulk.retry(store, Selection(("refused",)), How()).found == {("", "refused"): 5}
        assert bulk.retry(store, Selection(("refused",)), How(do=True)).again == 5
        assert len(store.unfinished()) == 5

    def test_a_span_of_one_patient_goes_again_in_its_order(self, store: Store) -> None:
        for number in range(8):
            ended(store, f"C{number}", "p", done())
        told = bulk.replay(store, Selection(bulk.REPLAYED), How())
        assert (told.again, told.refusals, store.paused()) == (8, 0, [])
        assert bulk.replay(store, Selection(bulk.REPLAYED), How(do=True)).again == 8
        assert store.paused() == []
        sent = []
        while (delivery := store.claim("w", 60, FHIR)) is not None:
            sent.append(delivery.message_id)
            store.mark_inflight(delivery, 60)
            store.settle(delivery, done())
        assert sent == [1, 2, 3, 4, 5, 6, 7, 8]

    def test_nothing_goes_again_where_a_later_one_stays(self, store: Store, clock: Clock) -> None:
        for number in range(5):
            ended(store, f"C{number}", "p", done())
            clock.move(10)
        wanted = Selection(bulk.REPLAYED, until=clock.now - 10)
        assert bulk.replay(store, wanted, How()).refusals == 4
        with pytest.raises(NotAllowed, match="4 are refused, the first: message 1 was overtaken by message 5"):
            bulk.replay(store, wanted, How(do=True))
        assert states(store) == ["done"] * 5
        assert bulk.replay(store, wanted, How(do=True, force=True)).again == 4

    def test_an_order_to_a_pump_among_them_is_confirmed_first(self, store: Store) -> None:
        ended(store, "C1", "p", done())
        pump_order(store, "q", done())
        with pytest.raises(NotAllowed, match="look at the pump"):
            bulk.replay(store, Selection(bulk.REPLAYED), How(do=True))
        assert bulk.replay(store, Selection(bulk.REPLAYED), How(do=True, confirm=True)).again == 2

    def test_it_breaks_off_with_the_newest_queued_and_can_be_asked_again(self, store: Store) -> None:
        """An older state never stands behind a newer one, wherever it ends."""
        for number in range(7):
            ended(store, f"C{number}", "p", done())

        def full(count: int) -> None:
            raise BrokenPipeError

        with pytest.raises(BrokenPipeError):
            bulk.replay(store, Selection(bulk.REPLAYED), How(do=True, progress=full))
        assert states(store) == ["done"] * 4 + ["queued"] * 3
        assert store.paused() == []
        assert bulk.replay(store, Selection(bulk.REPLAYED), How(do=True)).again == 4

    def test_what_is_asked_for_twice_is_done_once(self, store: Store) -> None:
        def note(ids: Sequence[int]) -> None:
            store.audit("cli me", "replay", *ids)

        def sent() -> list[int]:
            found = []
            while (delivery := store.claim("w", 60, FHIR)) is not None:
                found.append(delivery.message_id)
                store.mark_inflight(delivery, 60)
                store.settle(delivery, done())
            return found

        for name in ("C1", "C2", "C3"):
            ended(store, name, "p", done())
        wanted, once = Selection(bulk.REPLAYED), How(do=True, note=note)
        assert bulk.replay(store, wanted, once).again == 3
        assert sent() == [1, 2, 3]
        told = bulk.replay(store, wanted, How())
        assert (told.again, told.refusals) == (0, 3)
        with pytest.raises(NotAllowed, match="3 are refused, the first: message 1 was sent again once already"):
            bulk.replay(store, wanted, once)
        assert bulk.replay(store, wanted, replace(once, seen=1)).again == 3
        assert sent() == [1, 2, 3]
        assert len(store.audited()) == 6

    def test_a_rendering_of_many_that_is_asked_for_twice_is_done_once(self, store: Store) -> None:
        def note(ids: Sequence[int]) -> None:
            store.audit("cli me", "replay", *ids)

        store.accept(message("R1", outcome="refused"))
        ended(store, "C1", "p", done())
        store.accept(message("C2", "p"))
        send(store)
        wanted, once = Selection(bulk.RENDERED), How(do=True, note=note)
        told = bulk.render_again(store, wanted, once)
        assert (told.again, told.refused) == (
            2,
            ["message 3 is being sent at this moment: try again when that has ended"],
        )
        assert [one.message_id for one in store.audited()] == [1, 2], "what was refused was none"
        store.complete(1, Result("refused"))
        for how in (How(), once):
            told = bulk.render_again(store, Selection(("refused",)), how)
            assert (told.again, told.refusals) == (0, 1)
        assert bulk.render_again(store, Selection(("refused",)), replace(once, seen=1)).again == 1

    def test_what_is_under_way_ends_first(self, store: Store) -> None:
        ended(store, "C1", "p", done())
        store.accept(message("C2", "p"))
        delivery = send(store)
        asked = threading.Thread(target=lambda: bulk.replay(store, Selection(bulk.REPLAYED), How(do=True)))
        asked.start()
        while not store.paused():
            pass
        assert bulk.REASON in store.paused()[0].reason
        store.settle(delivery, done())
        asked.join(20)
        assert states(store) == ["queued", "queued"]

    def test_what_an_operator_has_paused_stays_so(self, store: Store) -> None:
        ended(store, "C1", "p", done())
        store.pause(FHIR, "update")
        assert bulk.replay(store, Selection(bulk.REPLAYED), How(do=True)).again == 1
        assert [one.reason for one in store.paused()] == ["update"]

    def test_many_are_rendered_again(self, store: Store) -> None:
        for number in range(4):
            ended(store, f"C{number}", f"p{number}", done())
        store.accept(message("WAITS", "q"))
        assert bulk.render_again(store, Selection(bulk.RENDERED), How()).found == {("", "translated"): 5}
        assert bulk.render_again(store, Selection(bulk.RENDERED), How(do=True)).again == 5
        assert len(store.unfinished()) == 5
        assert states(store)[-1] == "dead"
        told = bulk.retry(store, Selection(("dead",)), How(do=True, force=True))
        assert told.found == {}, "given up for the new rendering"
