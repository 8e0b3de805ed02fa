"""One file, with the environment over it, on its way to settings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from ketafhir.config.addresses import has_password
from ketafhir.config.kinds import KINDS, typed
from ketafhir.config.meaning import PASSWORD_VARIABLE, problems
from ketafhir.config.sections import (
    FHIR,
    SECTIONS,
    SHADOW,
    Config,
    ListenerSettings,
    PeerSettings,
    ReceiverSettings,
    RestSettings,
)
from ketafhir.config.tokens import is_loopback, parse_token
from ketafhir.errors import ConfigError

TOKEN_VARIABLE = "KETAFHIR_FHIR_TOKEN"  # noqa: S105  # the name of a variable
_PREFIX = "KETAFHIR_"
_TYPE = re.compile(r"[A-Z][A-Z0-9]{2}(\^[A-Z][A-Z0-9]{2})?")  # MSH-9.1, or with MSH-9.2
_LONGEST_PAUSE = 60  # well within the lease of a message that waits for it
_SECRET = ("token", "password", "key", "url")  # what an error does not repeat, should a secret stand there
T = TypeVar("T")


class Loader:
    """One file on its way to settings; remembers how to name it in errors."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.folder, self.environment = name, folder, environment

    def config(self, tree: dict[str, Any]) -> Config:
        known = {"listener", "peer", "receiver", "authorities", *SECTIONS}
        self._known(tree, known, "section")
        self._no_password(tree)
        overrides = self._overrides()
        parts = {
            name: self._section(kind, tree.get(name, {}), f"[{name}]", overrides.get(name, {}))
            for name, kind in SECTIONS.items()
        }
        authorities, default = self._authorities(tree.get("authorities", {}))
        listeners = self._listeners(tree)
        peers = self._peers(tree, listeners)
        config = Config(listeners, authorities, default, **parts, peers=peers, receivers=self._receivers(tree))
        for problem in problems(config):
            raise self.error(problem)
        self._rest(config.rest, {one.name for one in listeners})
        return config

    def error(self, text: str) -> ConfigError:
        return ConfigError(f"{self.name}: {text}")

    def _known(self, table: Any, known: set[str], what: str, place: str = "") -> None:
        if not isinstance(table, dict):
            raise self.error(f"{place or 'the file'} is no table of settings")
        for key in table:
            if key not in known:
                at = f"{place} " if place else ""
                raise self.error(f"{at}{key} is no {what}; known are {', '.join(sorted(known))}")

    def _no_password(self, tree: dict[str, Any]) -> None:
        url = tree.get("store", {}).get("url") if isinstance(tree.get("store"), dict) else None
        if has_password(str(url or "")):
            raise self.error(
                "[store] url holds a password: set KETAFHIR_STORE_URL in the environment, or use ~/.pgpass"
            )

    def _overrides(self) -> dict[str, dict[str, str]]:
        """The variables KETAFHIR_<section>_<key>, by section and key."""
        found: dict[str, dict[str, str]] = {}
        for variable, text in self.environment.items():
            section, _, key = variable.removeprefix(_PREFIX).lower().partition("_")
            if (
                not variable.startswith(_PREFIX)
                or section not in SECTIONS
                or variable in (TOKEN_VARIABLE, PASSWORD_VARIABLE)
            ):
                continue
            if section == "pump":
                raise ConfigError(f"{variable}: orders to pumps are switched on in the file, and nowhere else")
            known = [part.name for part in fields(SECTIONS[section])]
            if key not in known:
                names = ", ".join(f"{_PREFIX}{section}_{one}".upper() for one in sorted(known))
                raise ConfigError(f"the environment variable {variable} is no setting; known are {names}")
            found.setdefault(section, {})[key] = text
        return found

    def _section(self, kind: type[T], table: Any, place: str, overrides: Mapping[str, str] = {}) -> T:
        known = {part.name: str(part.type) for part in fields(kind)}  # type: ignore[arg-type]  # dataclasses
        self._known(table, set(known), "setting", place)
        values = {key: self._value(known[key], value, f"{place} {key}", self.folder) for key, value in table.items()}
        for key, text in overrides.items():
            variable = f"{_PREFIX}{place[1:-1]}_{key}".upper()
            values[key] = self._value(known[key], typed(known[key], text), variable, Path())
        return kind(**values)

    def _value(self, kind: str, value: Any, place: str, folder: Path) -> Any:
        what, fits, make = KINDS[kind]
        if not fits(value):
            secret = any(word in place.lower() for word in _SECRET)
            raise self.error(f"{place} is {what}" + ("" if secret else f", not {value!r}"))
        if kind.startswith("Path"):
            return folder / Path(value).expanduser()
        return make(value)

    def _listeners(self, tree: dict[str, Any]) -> tuple[ListenerSettings, ...]:
        tables = tree.get("listener", [{}])
        if not isinstance(tables, list) or not tables:
            raise self.error("listeners are written as [[listener]], one section each")
        found: list[ListenerSettings] = []
        for number, table in enumerate(tables, start=1):
            place = f"[[listener]] {number}" if len(tables) > 1 else "[[listener]]"
            found.append(self._listener(table, place))
        names = [one.name for one in found]
        for name in names:
            self._name(name, "[[listener]]")
            if names.count(name) > 1:
                raise self.error(f"two listeners are {name}: give each its own port, or its own name")
        places = [(one.host, one.port) for one in found if one.port]
        for host, port in places:
            if places.count((host, port)) > 1:
                raise self.error(f"two listeners have port {port} on {host}: give each its own")
        return tuple(found)

    def _peers(self, tree: dict[str, Any], listeners: Sequence[ListenerSettings]) -> tuple[PeerSettings, ...]:
        tables = tree.get("peer", [])
        if not isinstance(tables, list):
            raise self.error("peers are written as [[peer]], one section each")
        found: list[PeerSettings] = []
        for number, table in enumerate(tables, start=1):
            place = f"[[peer]] {number}" if len(tables) > 1 else "[[peer]]"
            peer = self._section(PeerSettings, table, place)
            if not peer.name or peer.name in [one.name for one in found]:
                raise self.error(f"{place} needs a name of its own, by which the log and the store call it")
            if not (peer.certificates or peer.addresses):
                raise self.error(f"{place} is known by its certificates, or else by its addresses: name them")
            self._name(peer.name, place)
            where = [one for one in listeners if peer.listener in ("", one.name)]
            if not where:
                names = ", ".join(sorted(one.name for one in listeners))
                raise self.error(f"{place} listener is one of {names}, not {peer.listener!r}")
            if peer.certificates and not any(one.tls_client_ca for one in where):
                raise self.error(
                    f"{place} certificates are asked for by a listener with tls_cert, tls_key and tls_client_ca"
                )
            self._addresses(peer.addresses, f"{place} addresses")
            self._acks(peer.acks, place)
            found.append(peer)
        return tuple(found)

    def _receivers(self, tree: dict[str, Any]) -> tuple[ReceiverSettings, ...]:
        tables = tree.get("receiver", [])
        if not isinstance(tables, list):
            raise self.error("receivers are written as [[receiver]], one section each")
        found: list[ReceiverSettings] = []
        for number, table in enumerate(tables, start=1):
            place = f"[[receiver]] {number}" if len(tables) > 1 else "[[receiver]]"
            one = self._section(ReceiverSettings, table, place)
            if not one.name or one.name in (FHIR, SHADOW) or one.name in [other.name for other in found]:
                raise self.error(f"{place} needs a name of its own, which is not fhir or shadow")
            self._name(one.name, place)
            self._mllp(one, place)
            if not one.forward or not all(map(_TYPE.fullmatch, one.forward)):
                raise self.error(f'{place} forward names the message types that go there, as "ADT" or "ADT^A40"')
            for key in ("on_error", "on_reject", "on_silence"):
                if getattr(one, key) not in ("retry", "hold", "dead"):
                    raise self.error(f'{place} {key} is "retry", "hold" or "dead", not {getattr(one, key)!r}')
            if one.pause > _LONGEST_PAUSE:
                raise self.error(f"{place} pause is at most {_LONGEST_PAUSE} seconds")
            if one.connections < 1 or one.reply_timeout <= 0:
                raise self.error(f"{place} connections are at least 1, and reply_timeout is above 0")
            found.append(one)
        return tuple(found)

    def _name(self, name: str, place: str) -> None:
        if not name.isprintable() or name != name.strip():
            raise self.error(f"{place} name is printed in lists and logs: {name!r} cannot be")

    def _mllp(self, one: ReceiverSettings, place: str) -> None:
        from ketafhir.mllp.address import parse_address

        try:
            address = parse_address(one.address)
        except ConfigError as error:
            raise self.error(f"{place} address: {error}") from None
        if bool(one.tls_cert) != bool(one.tls_key):
            raise self.error(f"{place} tls_cert and tls_key belong together")
        if (one.tls_ca or one.tls_cert) and not address.encrypted:
            raise self.error(f"{place} tls_ca, tls_cert and tls_key go with an address that begins with mllps://")

    def _rest(self, rest: RestSettings, listeners: set[str]) -> None:
        try:
            for line in rest.tokens:
                parse_token(line)
        except ValueError as error:
            raise self.error(f"[rest] tokens: {error}") from error
        if rest.listener and rest.listener not in listeners:
            raise self.error(f"[rest] listener is one of {', '.join(sorted(listeners))}, not {rest.listener!r}")
        if not 0 <= rest.port <= 65535:
            raise self.error(f"[rest] port is a number from 0 (any free one) to 65535, not {rest.port}")
        if bool(rest.tls_cert) != bool(rest.tls_key):
            raise self.error("[rest] tls_cert and tls_key belong together")
        if rest.tls_client_ca and not rest.tls_cert:
            raise self.error("[rest] tls_client_ca needs tls_cert and tls_key")
        if not rest.enabled:
            return
        if not is_loopback(rest.host) and rest.tls_cert is None:
            raise self.error(f"[rest] host {rest.host} is not this machine alone: that needs tls_cert and tls_key")
        if not (rest.tokens or rest.tokens_file):
            raise self.error("[rest] needs a token: `ketafhir config token NAME ROLE` makes one for tokens")

    def _addresses(self, texts: tuple[str, ...], place: str) -> None:
        for text in texts:
            try:
                ip_network(text)
            except ValueError as error:
                raise self.error(f"{place} are such as 10.1.2.3 or 10.1.0.0/16: {error}") from error

    def _acks(self, text: str, place: str) -> None:
        conditions = text.split("/")
        if text not in ("", "original") and not (len(conditions) == 2 and {*conditions} <= {"AL", "NE", "ER", "SU"}):
            raise self.error(f'{place} acks is "original", or MSH-15 and MSH-16 to go by as "AL/NE", not {text!r}')

    def _tls(self, listener: ListenerSettings, place: str) -> None:
        if bool(listener.tls_cert) != bool(listener.tls_key):
            raise self.error(f"{place} tls_cert and tls_key belong together")
        if listener.tls_client_ca and not listener.tls_cert:
            raise self.error(f"{place} tls_client_ca needs tls_cert and tls_key")

    def _version(self, version: str, place: str) -> None:
        if version:
            from ketafhir.hl7v2.versions import VERSIONS

            if version not in VERSIONS:
                raise self.error(f"{place} version is one of {', '.join(VERSIONS)}, not {version!r}")

    def _listener(self, table: Any, place: str) -> ListenerSettings:
        listener = self._section(ListenerSettings, table, place)
        if not 0 <= listener.port <= 65535:
            raise self.error(f"{place} port is a number from 0 (any free one) to 65535, not {listener.port}")
        if listener.timezone:
            self._checked(_zone, listener.timezone, f"{place} timezone")
        if listener.charset:
            self._checked(_codec, listener.charset, f"{place} charset")
        self._addresses(listener.allow, f"{place} allow")
        self._acks(listener.acks, place)
        self._version(listener.version, place)
        self._tls(listener, place)
        values = {part.name: getattr(listener, part.name) for part in fields(listener)}
        values["name"] = listener.name or f"{listener.host}:{listener.port}"
        if listener.site and (self.folder / listener.site).is_dir():
            values["site"] = str(self.folder / listener.site)
        return ListenerSettings(**values)

    def _checked(self, check: Callable[[str], Any], value: str, place: str) -> None:
        try:
            check(value)
        except ValueError as error:
            raise self.error(f"{place} {value!r}: {error}") from error

    def _authorities(self, table: Any) -> tuple[dict[str, str], str]:
        from ketafhir.hl7v2.authorities import systems_of

        if not isinstance(table, dict):
            raise self.error("[authorities] is no table of settings")
        try:
            return systems_of(table)
        except ConfigError as error:
            raise self.error(str(error)) from None


def _zone(name: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("there is no such time zone; use an IANA name such as America/Chicago") from error


def _codec(name: str) -> None:
    from ketafhir.errors import Refused
    from ketafhir.hl7v2.charsets import codec_of

    try:
        codec_of(name)
    except Refused as error:
        raise ValueError(f"{error.issues[0].text} ({error.issues[0].hint})") from error
