"""`ketafhir check`: whether a configuration will do what it says, setting by setting, and how to mend it. It changes nothing.

`ketafhir doctor` looks at the machine; this looks at the files, certificates, zones, tables, authorities, addresses and the
store that a configuration names.
"""

from __future__ import annotations

import argparse
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from ketafhir import certificates, doctor
from ketafhir import config as configuration
from ketafhir.config import Config
from ketafhir.config.tokens import read_tokens
from ketafhir.errors import ConfigError
from ketafhir.finding import Finding
from ketafhir.private import exposed

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = "Exit code: 0 nothing is wrong (a note may be worth reading); 1 something is to be mended."
    parser.add_argument("--config", metavar="FILE", help="default: KETAFHIR_CONFIG, else ketafhir.toml")


def run(args: argparse.Namespace) -> int:
    """Print each finding as soon as it is known."""
    return doctor.told(examine(args.config))


def examine(file: str | None = None) -> Iterator[Finding]:
    """Everything, one finding at a time; a configuration that cannot be read ends it."""
    try:
        path = configuration.required(file)
        config = configuration.load(path)
    except ConfigError as error:
        yield Finding("wrong", "configuration", str(error), "mend it; `ketafhir config example` shows every setting")
        return
    yield Finding("ok", "configuration", str(path))
    for where, one, secret in _files(config):
        yield _file(where, one, secret)
    yield from certificates.findings(config)
    yield from _tokens(config)
    for listener in config.listeners:
        yield from _listening(config, listener.name, listener.host, bool(listener.tls_cert), bool(listener.allow))
        yield _port(doctor.port_of(listener), listener.host)
        yield doctor.zone_of(listener)
    yield from _authorities(config)
    for site in dict.fromkeys(one.site for one in config.listeners):
        yield doctor.tables_of(site)
    yield from _server(config)
    for receiver in config.receivers:
        yield _receiver(receiver.name, receiver.address)
    yield doctor.store_at(config.store.place)


def _files(config: Config) -> Iterator[tuple[str, Path, bool]]:
    """Each file that a setting names, and whether it is a secret."""
    secrets = ("tls_key", "token_file", "password_file", "key_file", "tokens_file")
    for place, section in certificates.sections(config):
        for name in ("tls_cert", "tls_client_ca", "tls_ca", *secrets):
            file = getattr(section, name, None)
            if file is not None:
                yield f"{place} {name}", file, name in secrets


def _file(where: str, file: Path, secret: bool) -> Finding:
    try:
        with file.open("rb") as opened:
            empty = not opened.read(1)
        problem = exposed(file) if secret else None
    except OSError as error:
        return Finding(
            "wrong", where, f"{file}: {error.strerror}", "put the file there, readable by the user of the service"
        )
    if empty:
        return Finding("wrong", where, f"{file} is empty", "put what belongs into it")
    if problem is not None:
        return Finding("wrong", where, f"{file} {problem[0]}", problem[1])
    return Finding("ok", where, str(file))


def _listening(config: Config, name: str, host: str, encrypted: bool, allowed: bool) -> Iterator[Finding]:
    """MLLP has no encryption and no identity of its own."""
    known = allowed or any(one.listener in ("", name) for one in config.peers)
    if host in _LOOPBACK or (encrypted and known):
        return
    remedy = "set tls_cert, tls_key and tls_client_ca, and [[peer]] or allow; or listen on 127.0.0.1"
    lacks = "TLS" if not encrypted else "a list of who may connect"
    yield Finding("note", f"listener {name}", f"on {host} for others to reach, without {lacks}", remedy)


def _tokens(config: Config) -> Iterator[Finding]:
    """Those of [rest], as the service will read them; that their file is there has been looked at."""
    rest = config.rest
    if not rest.enabled or (rest.tokens_file and not rest.tokens_file.exists()):
        return
    try:
        known = read_tokens(rest.tokens, rest.tokens_file)
    except ConfigError as error:
        yield Finding(
            "wrong", "[rest] tokens", str(error), "mend the line; `ketafhir config token NAME ROLE` writes one"
        )
        return
    yield Finding("ok", "[rest] tokens", ", ".join(f"{one.name} ({one.role})" for one in known))


def _port(found: Finding, host: str) -> Finding:
    """A port that is taken may be taken by the service itself; an address that is not of this machine is no port at all."""
    if found.state == "wrong" and doctor.is_of_this_machine(host):
        return found._replace(state="note")
    return found if found.state != "wrong" else found._replace(remedy="name an address of this machine")


def _authorities(config: Config) -> Iterator[Finding]:
    what = "authorities"
    if not config.default_authority:
        text = "no default: a patient number that names no authority is refused"
        yield Finding("note", what, text, "set [authorities] default, before the first message")
    by_system: dict[str, list[str]] = {}
    for name, system in config.authorities.items():
        by_system.setdefault(system, []).append(name)
    for system, names in by_system.items():
        if len(names) > 1:
            yield Finding(
                "note",
                what,
                f"{' and '.join(sorted(names))} are one: both are {system}",
                "if they are two, give each its own",
            )
    yield Finding(
        "ok",
        what,
        f"{len(by_system)} known" + (f", default {config.default_authority}" if config.default_authority else ""),
    )


def _server(config: Config) -> Iterator[Finding]:
    fhir = config.fhir
    if fhir.mode == "shadow":
        yield Finding(
            "note", "[fhir] mode", "shadow: nothing is written to the server", 'set mode = "live" when it is to be'
        )
        yield _shadow(fhir.shadow_directory)
        return
    parts = urlsplit(fhir.url)
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        text = f"{parts.hostname} is reached without TLS: patient data and token can be read on the way"
        yield Finding("note", "[fhir] url", text, "name an https:// address, but on a network of its own")
    yield doctor.fhir_server(config)


def _shadow(folder: Path) -> Finding:
    what = f"[fhir] shadow_directory {folder}"
    if not folder.exists():
        return Finding("ok", what, "not there yet; the service makes it")
    if not folder.is_dir():
        return Finding("wrong", what, "it is no directory", "name another")
    if folder.stat().st_mode & 0o077:
        return Finding("wrong", what, "it is open to other users", f"chmod 700 {folder}")
    return Finding("ok", what, "for its owner alone")


def _receiver(name: str, address: str) -> Finding:
    what = f"receiver {name}"
    parts = urlsplit(address)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 2575), timeout=3):
            return Finding("ok", what, f"{address} takes connections")
    except OSError as error:
        remedy = "start it or mend its address; messages are kept for it meanwhile"
        return Finding("wrong", what, f"{address}: {error.strerror or error}", remedy)
