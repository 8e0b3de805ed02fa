"""Public servers: which they are, what may leave for them, how fast."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ketafhir.config import PolicySettings, parse
from ketafhir.config.public import is_public
from ketafhir.config.sections import PUBLIC_HOSTS
from ketafhir.errors import ConfigError, Refused
from ketafhir.store.protocol import Delivery, Inbound, Key, NewDelivery, Result
from ketafhir.store.sqlite import SqliteStore
from ketafhir.sync.courier import Begin, Carried
from ketafhir.sync.outcome import Disposition, Outcome
from ketafhir.sync.public import PRODUCTION, SYNTHETIC, Pace, SyntheticOnly


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("https://hapi.fhir.org/baseR4", True),
        ("http://HAPI.fhir.org.:80/baseR4", True),
        ("https://r4.smarthealthit.org", True),
        ("https://hapi\uff0efhir\u3002org/baseR4", True),  # the same name to whoever resolves it
        ("https://\uff28API.fhir.org/baseR4", True),
        ("https://x.example\\@hapi.fhir.org/", True),
        ("https://hapi.fhir.org@x.example/", False),
        ("http://[::1", False),
        ("https://hapi.fhir.org.hospital.example/fhir", False),
        ("https://nothapi.fhir.org/fhir", False),
        ("https://fhir.hospital.example/hapi.fhir.org", False),
        ("http://127.0.0.1:8090/fhir", False),
    ],
)
def test_a_host_is_public_by_its_name_and_not_by_a_piece_of_text(url: str, public: bool) -> None:
    assert is_public(url, PUBLIC_HOSTS) is public


def test_a_configuration_for_production_has_no_public_server() -> None:
    public = '[fhir]\nurl = "https://hapi.fhir.org/baseR4"\n'
    with pytest.raises(ConfigError, match="everybody may read"):
        parse(public)
    assert parse(f'{public}[policy]\nprocessing_ids = ["T"]\n').policy == PolicySettings(("T",))
    assert parse(f'{public}mode = "shadow"\n').fhir.mode == "shadow"
    with pytest.raises(ConfigError, match="everybody may read"):
        parse('[fhir]\nurl = "http://trial.example/fhir"\npublic_hosts = ["trial.example"]\n')


class Recording:
    def __init__(self) -> None:
        self.carried: list[int] = []

    async def carry(self, delivery: Delivery, begin: Begin) -> Carried:
        self.carried.append(delivery.message_id)
        return Carried(Outcome(Disposition.DONE))


@pytest.mark.parametrize(
    ("told", "patients", "leaves"),
    [
        ([(SYNTHETIC, "a")], ("a",), True),
        ([(SYNTHETIC, "a"), (PRODUCTION, "b")], ("a",), True),
        ([(SYNTHETIC, "a"), (PRODUCTION, "a")], ("a",), False),
        ([(PRODUCTION, "a")], ("a",), False),
        ([], ("a",), False),
        ([(SYNTHETIC, "a"), (PRODUCTION, "b")], ("a", "b"), False),
        ([(SYNTHETIC, "a")], ("a", "nobody knows"), False),
        ([], (), False),
    ],
)
def test_only_what_is_known_to_be_synthetic_leaves(
    tmp_path: Path, told: list[tuple[str, str]], patients: tuple[str, ...], leaves: bool
) -> None:
    store = SqliteStore(tmp_path / "store.sqlite")
    keys = [Key(kind, patient, patient) for kind, patient in told]
    result = Result("translated", deliveries=[NewDelivery("fhir", patients, b"{}")], keys=keys)
    store.accept(Inbound(b"x", b"x" * 32, "main", "p", "A|B", "C1", "ADT^A04", None, result))
    delivery = store.claim("worker", 60, "fhir")
    assert delivery is not None
    recording = Recording()
    begun: list[int] = []

    async def begin() -> None:
        begun.append(1)

    carry = SyntheticOnly(store, recording).carry
    if leaves:
        asyncio.run(carry(delivery, begin))
    else:
        with pytest.raises(Refused, match="public"):
            asyncio.run(carry(delivery, begin))
    store.close()
    assert (bool(recording.carried), begun) == (leaves, [])


def test_two_requests_a_second_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(round(seconds, 3))

    monkeypatch.setattr("ketafhir.sync.public.asyncio.sleep", sleep)
    now = [100.0]
    pace = Pace(2.0, lambda: now[0])

    async def ask() -> None:
        for _ in range(3):
            await pace.wait()
        now[0] += 10
        await pace.wait()

    asyncio.run(ask())
    assert slept == [0.0, 0.5, 1.0, 0.0]
