"""A network that delays, cuts, swallows and mixes up acknowledgments, before our listener and behind our sender."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hostile_proxy import FAULTS, between
from service_peers import Running, adt, config, fhir_sink, running

from ketafhir.config import DeliverySettings, ReceiverSettings
from ketafhir.errors import TransferError
from ketafhir.mllp.acknowledgment import answers, code
from ketafhir.mllp.sender import Sender

QUICK = DeliverySettings(wait=0.02, longest_wait=0.2, attempts=1000, parked_wait=0.1)


async def send_all(port: int, patients: int, each: int) -> list[str]:
    """Every patient's messages in order over a connection of its own, each until it is acknowledged."""

    async def send(patient: int) -> list[str]:
        done = []
        async with Sender("127.0.0.1", port, reply_timeout=0.5, connect_timeout=2) as sender:
            for number in range(each):
                control_id = f"M{patient}-{number}"
                message = adt(control_id, f"SYN-{patient}", name=f"Doe^{number}")
                while True:
                    try:
                        reply = await sender.exchange(message, expect=answers(message))
                    except TransferError:
                        await asyncio.sleep(0.01)
                        continue
                    assert code(reply) == "AA", reply
                    done.append(control_id)
                    break
        return done

    return [name for found in await asyncio.gather(*map(send, range(patients))) for name in found]


def stored(service: Running) -> list[str]:
    """MSH-10 of all messages, in the order of acceptance."""
    rows, after = [], (0, 0)
    while page := service.app.store.page(after=after, limit=500):
        rows += page
        after = page[-1].cursor
    return [
        row.control_id for row in sorted({row.message_id: row for row in rows}.values(), key=lambda one: one.message_id)
    ]


def hostile(folder: Path, patients: int, each: int, often: float, seed: int) -> Counter[str]:
    """Senders -> proxy -> a service -> proxy -> another service; gives the faults there were."""
    with (
        fhir_sink() as sink,
        running(config(folder / "far.db", sink.url)) as far,
        between(far.port, often, seed) as behind,
    ):
        receiver = ReceiverSettings("archive", f"mllp://127.0.0.1:{behind.port}", ("ADT",), reply_timeout=0.5)
        settings = replace(config(folder / "near.db", sink.url), receivers=(receiver,), delivery=QUICK)
        with running(settings) as near, between(near.port, often, seed + 1_000_000) as before:
            acknowledged = asyncio.run(send_all(before.port, patients, each))
            near.drain(60 + patients * each)
            assert len(acknowledged) == patients * each
            assert Counter(stored(near)) == Counter(acknowledged), "lost, or taken twice"
            found = stored(far)
            assert Counter(found) == Counter(acknowledged), "lost behind the sender, or taken for acknowledged"
            for patient in range(patients):
                own = [name for name in found if name.startswith(f"M{patient}-")]
                assert own == [f"M{patient}-{number}" for number in range(each)], "order"
            for row in near.app.store.page(limit=1):
                assert {one.state for one in near.app.store.show(row.message_id).deliveries} == {"done"}
            assert behind.done["swallowed"]
            return before.done + behind.done


@pytest.mark.timeout(120)
def test_nothing_is_lost_or_matched_to_the_wrong_acknowledgment(tmp_path: Path) -> None:
    found = hostile(tmp_path, patients=5, each=8, often=0.35, seed=8)
    assert sum(found[name] for name in FAULTS) > 15


@pytest.mark.reliability
@pytest.mark.timeout(7200)
def test_nothing_of_four_thousand_is_lost_or_matched_to_the_wrong_acknowledgment(tmp_path: Path) -> None:
    found = hostile(tmp_path, patients=20, each=200, often=0.2, seed=20261122)
    assert all(found[name] > 50 for name in FAULTS), found
