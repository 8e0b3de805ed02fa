"""That senders know, written behind the traffic: together, and by two at once without harm."""

from __future__ import annotations

import threading
from pathlib import Path

from service_peers import adt
from test_intake import channel

from ketafhir.service.intake import Intake
from ketafhir.service.legs import Legs
from ketafhir.store.sqlite import SqliteStore


def test_two_who_flush_at_once_write_each_once(tmp_path: Path) -> None:
    """As when the service ends while a flush is under way."""
    store = SqliteStore(tmp_path / "store.db")
    through = channel()
    intake, legs = Intake(store, {"ehr": through}), Legs(store)
    for number in range(40):
        legs.note(intake.take(through, adt(f"M{number}"), "p"), delivered=number % 2 == 0)
    failures: list[BaseException] = []

    def flush() -> None:
        try:
            legs.flush()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=flush) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    told = ["delivered", "undelivered"]
    assert [store.show(number + 1).ack_state for number in range(40)] == told * 20
    store.close()
