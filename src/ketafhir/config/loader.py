"""One file, with the environment over it, on its way to settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from ipaddress import ip_network
from pathlib import Path
from typing import Any, TypeVar

from ketafhir.config.kinds import KINDS, typed
from ketafhir.config.public import is_public
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
PASSWORD_VARIABLE = "KETAFHIR_FHIR_PASSWORD"  # noqa: S105  # the name of another
_PREFIX = "KETAFHIR_"
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
        peers = self._peers(tree, {one.name for one in listeners})
        config = Config(listeners, authorities, default, **parts, peers=peers, receivers=self._receivers(tree))
        self._check(config)
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
        user, at, _ = str(url or "").partition("://")[2].rpartition("@")
        if at and ":" in user:
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
            if names.count(name) > 1:
                raise self.error(f"two listeners are {name}: give each its own port, or its own name")
        return tuple(found)

    def _peers(self, tree: dict[str, Any], listeners: set[str]) -> tuple[PeerSettings, ...]:
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
            if peer.listener and peer.listener not in listeners:
                raise self.error(f"{place} listener is one of {', '.join(sorted(listeners))}, not {peer.listener!r}")
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
            if not one.address.startswith(("mllp://", "mllps://")):
                raise self.error(f"{place} address is mllp://HOST:PORT or mllps://HOST:PORT, not {one.address!r}")
            if not one.forward:
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

    def _check(self, config: Config) -> None:
        if config.policy.unsupported not in ("accept", "reject"):
            raise self.error(f'[policy] unsupported is "accept" or "reject", not {config.policy.unsupported!r}')
        if config.policy.order not in ("patient", "sender", "all"):
            raise self.error(f'[policy] order is "patient", "sender" or "all", not {config.policy.order!r}')
        if "://" not in config.store.url and config.store.url:
            raise self.error("[store] url is the URL of a PostgreSQL database, postgresql://HOST/DATABASE")
        if 0 < config.store.retention_error_days < config.store.retention_days:
            raise self.error("[store] retention_error_days is at least retention_days, or 0 for ever")
        if config.store.retention_error_days and not config.store.retention_days:
            raise self.error("[store] retention_error_days needs retention_days: what ended well is not kept longer")
        if config.pump.orders and not config.pump.owner.strip():
            raise self.error("[pump] orders = true needs the owner: the name of who answers for it")
        fhir = config.fhir
        if fhir.auth not in ("", "none", "bearer", "basic", "smart"):
            raise self.error(f'[fhir] auth is "none", "bearer", "basic" or "smart", not {fhir.auth!r}')
        if fhir.auth == "basic" and not fhir.username:
            raise self.error(f'[fhir] auth = "basic" needs username, and password_file or {PASSWORD_VARIABLE}')
        if fhir.auth == "smart" and not (fhir.client_id and fhir.key_file):
            raise self.error('[fhir] auth = "smart" needs client_id and key_file')
        if fhir.write not in ("auto", "transaction", "batch", "single"):
            raise self.error(f'[fhir] write is "auto", "transaction", "batch" or "single", not {fhir.write!r}')
        if fhir.mode not in ("live", "shadow"):
            raise self.error(f'[fhir] mode is "live" or "shadow", not {fhir.mode!r}')
        if bool(fhir.tls_cert) != bool(fhir.tls_key):
            raise self.error("[fhir] tls_cert and tls_key belong together")
        live = fhir.mode == "live" and is_public(fhir.url, fhir.public_hosts)
        if live and not set(config.policy.processing_ids) <= {"T", "D"}:
            raise self.error(
                "[fhir] url is a server that everybody may read: [policy] processing_ids are T and D alone for it, "
                "and the store is one of its own"
            )
        if config.log.format not in ("text", "json"):
            raise self.error(f'[log] format is "text" or "json", not {config.log.format!r}')
        if config.log.level not in ("debug", "info", "warning", "error"):
            raise self.error(f'[log] level is "debug", "info", "warning" or "error", not {config.log.level!r}')
        limits, delivery = config.limits, config.delivery
        least = (
            ("[fhir] parallel", config.fhir.parallel, 1),
            ("[pump] weight_hours", config.pump.weight_hours, 1),
            ("[fhir] connect_timeout", fhir.connect_timeout, 0.1),
            ("[fhir] read_timeout", fhir.read_timeout, 0.1),
            ("[fhir] write_timeout", fhir.write_timeout, 0.1),
            ("[fhir] total_timeout", fhir.total_timeout, 0.1),
            ("[delivery] wait", delivery.wait, 0.01),
            ("[delivery] longest_wait", delivery.longest_wait, delivery.wait),
            ("[delivery] attempts", delivery.attempts, 1),
            ("[delivery] parked_wait", delivery.parked_wait, 1),
            ("[delivery] rejections", delivery.rejections, 1),
            ("[delivery] limit", delivery.limit, delivery.attempts),
            ("[limits] max_message_bytes", limits.max_message_bytes, 1024),
            ("[limits] max_connections", limits.max_connections, 1),
            ("[limits] idle_timeout", limits.idle_timeout, 0),
            ("[limits] frame_timeout", limits.frame_timeout, 0.1),
        )
        for place, value, minimum in least:
            if value < minimum:
                raise self.error(f"{place} is at least {minimum}, not {value}")


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
