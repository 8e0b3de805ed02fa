"""`ketafhir doctor`: what is wrong with an installation, and how to mend it. It changes nothing."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from ketafhir import certificates
from ketafhir import config as configuration
from ketafhir.config import Config, ListenerSettings
from ketafhir.errors import ConfigError, FhirServerError, KetafhirError, StoreError, TableError, TransferError
from ketafhir.finding import Finding

_OLDEST_PYTHON = (3, 11)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--config", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")


def run(args: argparse.Namespace) -> int:
    """Print each finding as soon as it is known: 0 if nothing is wrong, else 1."""
    return told(examine(args.config))


def told(findings: Iterable[Finding]) -> int:
    """Print findings as they come: 0 if nothing is wrong, else 1."""
    wrong = 0
    for finding in findings:
        sys.stdout.write(finding.line() + "\n")
        sys.stdout.flush()
        wrong += finding.state == "wrong"
    sys.stdout.write(f"{wrong} to mend\n" if wrong else "nothing to mend\n")
    return 1 if wrong else 0


def examine(file: str | None = None) -> Iterator[Finding]:
    """Everything, one finding at a time; a configuration that cannot be used ends it."""
    yield _python()
    try:
        path = configuration.find(file)
        config = configuration.load(path) if path else Config()
    except ConfigError as error:
        yield Finding("wrong", "configuration", str(error), "mend it; `ketafhir config example` shows every setting")
        return
    yield _configured(path)
    server = fhir_server(config)
    yield server
    yield from _programs(needed=server.state == "wrong")
    for listener in config.listeners:
        yield from _listener(listener)
    yield from certificates.findings(config)
    yield store_at(config.store.place)
    for site in dict.fromkeys(one.site for one in config.listeners):
        yield tables_of(site)


def _python() -> Finding:
    text = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        return Finding("wrong", "Python", text, "install Python 3.11 or newer")
    return Finding("ok", "Python", text)


def _configured(path: Path | None) -> Finding:
    if path is None:
        remedy = "`ketafhir config example > ketafhir.toml`, which `ketafhir serve` needs"
        return Finding("note", "configuration", "none named and no ketafhir.toml here: defaults are looked at", remedy)
    return Finding("ok", "configuration", str(path))


def _programs(needed: bool) -> Iterator[Finding]:
    """Java and Maven, which only a FHIR server of our own needs."""
    from ketafhir.hapi.java import find_java, find_maven

    programs: tuple[tuple[str, Callable[[], str]], ...] = (("Java", find_java), ("Maven", find_maven))
    for what, find in programs:
        try:
            yield Finding("ok", what, find())
        except FhirServerError as error:
            text, _, remedy = str(error).partition(": ")
            state: Literal["note", "wrong"] = "wrong" if needed else "note"
            yield Finding(state, what, f"{text} (only for `ketafhir fhir-server`)", remedy)


def fhir_server(config: Config) -> Finding:
    """Whether a FHIR R4 server answers, signed in to as the service would."""
    import asyncio

    what = f"FHIR server {config.fhir.url}"
    try:
        statement = asyncio.run(_metadata(config))
    except ConfigError as error:
        return Finding("wrong", what, str(error), "mend [fhir] in the configuration")
    except TransferError as error:
        remedy = "`ketafhir fhir-server start`, or mend [fhir] url; messages are kept until it answers"
        return Finding("wrong", what, str(error), remedy)
    version = str(statement.get("fhirVersion", ""))
    software = statement.get("software") or {}
    name = " ".join(str(software[part]) for part in ("name", "version") if software.get(part)) or "a server"
    if not version.startswith("4.0"):
        return Finding("wrong", what, f"speaks FHIR {version or 'of no version'}", "name a FHIR R4 server")
    return Finding("ok", what, f"{name} answers, FHIR {version}")


async def _metadata(config: Config) -> dict[str, Any]:
    from ketafhir.delivering import access_to
    from ketafhir.sync.client import Timeouts
    from ketafhir.sync.opening import open_client

    client = open_client(replace(access_to(config.fhir), timeouts=Timeouts(connect=3.0, total=15.0)))
    try:
        return await client.metadata()
    finally:
        await client.aclose()


def _listener(listener: ListenerSettings) -> Iterator[Finding]:
    yield port_of(listener)
    yield zone_of(listener)


def zone_of(listener: ListenerSettings) -> Finding:
    """The zone of times without offset."""
    what = f"time zone of {listener.name}"
    if listener.timezone:
        return Finding("ok", what, listener.timezone)
    text, remedy = "none: times that come without an offset are refused", "set timezone of this listener"
    return Finding("note", what, text, remedy)


def port_of(listener: ListenerSettings) -> Finding:
    """Whether the port is free."""
    import socket

    what = f"port of {listener.name}"
    try:
        found = socket.getaddrinfo(listener.host, listener.port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
    except OSError as error:
        remedy = "if that is the service itself, all is well; else stop the other program or choose another port"
        return Finding("wrong", what, f"{listener.host}:{listener.port}: {error.strerror or error}", remedy)
    return Finding("ok", what, f"{listener.host}:{listener.port} is free")


def is_of_this_machine(host: str) -> bool:
    """Whether something may listen on it."""
    import socket

    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.bind(address)
    except OSError:
        return False
    return True


def store_at(place: str) -> Finding:
    """Whether the store can be opened, or made; nothing is made."""
    from ketafhir.store.opening import is_url, open_store, shown

    what = f"store {shown(place)}"
    if not is_url(place) and not Path(place).exists():
        return _room_for(Path(place), what)
    try:
        store = open_store(place, create=False)
        try:
            counts, software = store.counts(), store.software
        finally:
            store.close()
    except StoreError as error:
        return Finding("wrong", what, str(error), "mend it, or name another [store]")
    stuck = counts.deliveries["parked"] + counts.deliveries["dead"] + counts.outcomes["failed"]
    if stuck:
        remedy = "`ketafhir queue list --state parked`"
        return Finding("note", what, f"{software}, {stuck} parked, dead or failed", remedy)
    return Finding("ok", what, f"{software}, {sum(counts.outcomes.values())} messages, none stuck")


def _room_for(path: Path, what: str) -> Finding:
    folder = next(one for one in path.absolute().parents if one.exists())
    if not os.access(folder, os.W_OK):
        return Finding("wrong", what, f"{folder} cannot be written", "let this user write there, or name another path")
    return Finding("ok", what, "not there yet; it can be made")


def tables_of(site: str) -> Finding:
    """Whether the mapping tables of a site load and are right."""
    from ketafhir.mapping.lint import lint
    from ketafhir.translate.settings import default

    what = f"mapping tables of {site}" if site else "mapping tables"
    try:
        found = lint(default(None, site or None).tables)
    except (TableError, ConfigError) as error:
        return Finding("wrong", what, str(error), "mend the row; `ketafhir tables lint` checks them all")
    except (KetafhirError, OSError) as error:
        return Finding("wrong", what, str(error), "install ketafhir again")
    if found:
        return Finding("wrong", what, f"{found[0]} ({len(found)} in all)", "`ketafhir tables lint` lists them")
    return Finding("ok", what, "nothing to mend")
