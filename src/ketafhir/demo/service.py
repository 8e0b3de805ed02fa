"""The real service as a process of its own, for the time of the demo: `ketafhir serve` on a free port."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ketafhir.config import TOKEN_VARIABLE
from ketafhir.errors import Permanent, Transient
from ketafhir.mllp.acknowledgment import code, readable
from ketafhir.mllp.address import Address, parse_address
from ketafhir.mllp.send import send_all
from ketafhir.store.sqlite import SqliteStore
from ketafhir.store.states import CLAIMED, DEAD, INFLIGHT, PARKED, QUEUED

CONFIG = "[[listener]]\nname = 'demo'\nhost = '127.0.0.1'\nport = 0\n"
READY = "listening on "
_STOP_SECONDS = 20
_POLL = 0.1


@dataclass(slots=True)
class Service:
    """Where it listens, and the store it keeps messages in, read beside it as `ketafhir queue` does."""

    address: Address
    store: SqliteStore = field(repr=False)

    def send(self, messages: list[bytes]) -> Iterator[bytes]:
        """Send over one connection and give each reply. Raises Transient where one is missing."""
        for number, sent in enumerate(send_all(messages, self.address.host, self.address.port), 1):
            if sent.error is not None or not sent.replies:
                raise Transient(f"message {number} of {len(messages)} was not answered: {sent.error}")
            yield sent.replies[0]

    def waiting(self) -> int:
        """How many messages and deliveries are not done. Raises Permanent where one cannot be."""
        left = self.store.backlog("fhir")
        for state in (PARKED, DEAD):
            if left.deliveries[state]:
                row = self.store.page(state=state, limit=1)[0]
                raise Permanent(f"message {row.control_id} is {state}: {row.reason}")
        return left.untranslated + sum(left.deliveries[one] for one in (QUEUED, CLAIMED, INFLIGHT))

    def drain(self, seconds: float = 120.0) -> Iterator[int]:
        """Gives how many still wait, until none does. Raises Transient when that takes longer."""
        until = time.monotonic() + seconds
        while left := self.waiting():
            if time.monotonic() > until:
                raise Transient(f"{left} deliveries still wait after {seconds:.0f} s")
            yield left
            time.sleep(_POLL)


def accepted(reply: bytes) -> None:
    """Raises Permanent, with MSA and ERR, for any other acknowledgment than AA."""
    if code(reply) != "AA":
        raise Permanent(f"expected AA, the answer is {readable(reply)}")


@contextmanager
def running(fhir_url: str, folder: Path) -> Iterator[Service]:
    """The service with its configuration, store and log in `folder`; stopped in an orderly way at the end."""
    config, log, path = folder / "ketafhir.toml", folder / "service.log", folder / "store.sqlite"
    config.write_text(CONFIG, "utf-8")
    command = [sys.executable, "-m", "ketafhir", "serve", "--config", str(config)]
    command += ["--fhir", fhir_url, "--store", str(path)]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=_environment()) as process,  # noqa: S603
    ):
        try:
            address = _ready(process, log)
            store = SqliteStore(path, create=False)
            try:
                yield Service(address, store)
            finally:
                store.close()
        finally:
            _stop(process)


def _environment() -> dict[str, str]:
    """This environment without settings of another service; the token for the FHIR server stays."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith("KETAFHIR_") or name == TOKEN_VARIABLE
    }


def _ready(process: subprocess.Popen[bytes], log: Path) -> Address:
    assert process.stdout is not None
    for line in process.stdout:
        text = line.decode("utf-8", "replace").strip()
        if text.startswith(READY):
            return parse_address(text.removeprefix(READY))
    process.wait()
    words = log.read_text("utf-8", "replace").strip().splitlines()
    raise Permanent(f"the service did not start: {words[-1] if words else 'it said nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
