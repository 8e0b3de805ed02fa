"""The settings of the service: a TOML file, and over it the environment.

`[fhir] url` is overridden by KETAFHIR_FHIR_URL, `[store] path` by KETAFHIR_STORE_PATH, and so on for every
key of a section; listeners and authorities are told by the file alone. The token of the FHIR server is no
setting: it is in the file that `[fhir] token_file` names, or in KETAFHIR_FHIR_TOKEN. Whatever is not known is
refused, since a setting that is quietly without effect is worse than none.

Paths in the file are relative to its folder, those of the environment to the current one.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from ketafhir.errors import ConfigError

TOKEN_VARIABLE = "KETAFHIR_FHIR_TOKEN"  # noqa: S105  # the name of a variable
_EXAMPLE = Path(__file__).with_name("example.toml")
_DEFAULT_FILE = Path("ketafhir.toml")
_PREFIX = "KETAFHIR_"
T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class ListenerSettings:
    """One MLLP port. `sending` holds the (MSH-3.1, MSH-4.1) that are accepted; empty: all."""

    name: str = ""
    host: str = "127.0.0.1"
    port: int = 2575
    site: str = ""
    timezone: str = ""
    charset: str = ""
    sending: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True, frozen=True)
class FhirSettings:
    """The FHIR server. `parallel`: how many patients are written at a time."""

    url: str = "http://127.0.0.1:8090/fhir"
    token_file: Path | None = None
    parallel: int = 4


@dataclass(slots=True, frozen=True)
class StoreSettings:
    """Where messages are kept."""

    path: Path = Path("ketafhir.sqlite")


@dataclass(slots=True, frozen=True)
class PolicySettings:
    """What is taken: MSH-11.1, and whether a message type that is not translated is accepted or rejected."""

    processing_ids: tuple[str, ...] = ("P",)
    unsupported: str = "accept"


@dataclass(slots=True, frozen=True)
class LimitSettings:
    """Bytes, connections of one listener, and seconds; `idle_timeout` 0 is never."""

    max_message_bytes: int = 16 * 1024 * 1024
    max_connections: int = 256
    idle_timeout: float = 0.0
    frame_timeout: float = 30.0


@dataclass(slots=True, frozen=True)
class Config:
    """All settings. `authorities`: name of an assigning authority -> FHIR system."""

    listeners: tuple[ListenerSettings, ...] = (ListenerSettings(name="127.0.0.1:2575"),)
    authorities: Mapping[str, str] = field(default_factory=dict)
    default_authority: str = ""
    fhir: FhirSettings = FhirSettings()
    store: StoreSettings = StoreSettings()
    policy: PolicySettings = PolicySettings()
    limits: LimitSettings = LimitSettings()


def find(file: str | Path | None = None) -> Path | None:
    """The configuration to use: the one named, else KETAFHIR_CONFIG, else ./ketafhir.toml if it is there."""
    named = file or os.environ.get("KETAFHIR_CONFIG")
    if named:
        return Path(named)
    return _DEFAULT_FILE if _DEFAULT_FILE.exists() else None


def required(file: str | Path | None = None) -> Path:
    """As `find`. Raises ConfigError where there is none."""
    found = find(file)
    if found is None:
        raise ConfigError(
            "no configuration: name one with --config; `ketafhir config example` prints one to begin with"
        )
    return found


def load(file: str | Path, environment: Mapping[str, str] | None = None) -> Config:
    """The settings of a file and the environment (default: `os.environ`). Raises ConfigError."""
    path = Path(file)
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; `ketafhir config example` prints a configuration to start from"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8") from error
    return parse(text, str(path), path.absolute().parent, os.environ if environment is None else environment)


def parse(
    text: str, name: str = "configuration", folder: Path | None = None, environment: Mapping[str, str] = {}
) -> Config:
    """The settings of a TOML text; `name` is what errors call it. Raises ConfigError."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name} is no TOML: {error}") from error
    return _Loader(name, folder or Path(), environment).config(tree)


def example() -> str:
    """A commented configuration that loads."""
    return _EXAMPLE.read_text("utf-8")


class _Loader:
    """One file on its way to settings; remembers how to name it in errors."""

    def __init__(self, name: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.folder, self.environment = name, folder, environment

    def config(self, tree: dict[str, Any]) -> Config:
        known = {"listener", "authorities", *_SECTIONS}
        self._known(tree, known, "section")
        overrides = self._overrides()
        parts = {
            name: self._section(kind, tree.get(name, {}), f"[{name}]", overrides.get(name, {}))
            for name, kind in _SECTIONS.items()
        }
        authorities, default = self._authorities(tree.get("authorities", {}))
        config = Config(self._listeners(tree), authorities, default, **parts)
        self._check(config)
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

    def _overrides(self) -> dict[str, dict[str, str]]:
        """The variables KETAFHIR_<section>_<key>, by section and key."""
        found: dict[str, dict[str, str]] = {}
        for variable, text in self.environment.items():
            section, _, key = variable.removeprefix(_PREFIX).lower().partition("_")
            if not variable.startswith(_PREFIX) or section not in _SECTIONS or variable == TOKEN_VARIABLE:
                continue
            known = [part.name for part in fields(_SECTIONS[section])]
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
            values[key] = self._value(known[key], _typed(known[key], text), variable, Path())
        return kind(**values)

    def _value(self, kind: str, value: Any, place: str, folder: Path) -> Any:
        what, fits, make = _TYPES[kind]
        if not fits(value):
            raise self.error(f"{place} is {what}, not {value!r}")
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

    def _listener(self, table: Any, place: str) -> ListenerSettings:
        listener = self._section(ListenerSettings, table, place)
        if not 0 <= listener.port <= 65535:
            raise self.error(f"{place} port is a number from 0 (any free one) to 65535, not {listener.port}")
        if listener.timezone:
            self._checked(_zone, listener.timezone, f"{place} timezone")
        if listener.charset:
            self._checked(_codec, listener.charset, f"{place} charset")
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
        """Name -> system, and the name of the default; that may also be told by its system alone."""
        if not isinstance(table, dict):
            raise self.error("[authorities] is no table of settings")
        for name, system in table.items():
            if not isinstance(system, str) or not system:
                raise self.error(f"[authorities] {name} is a text, not {system!r}")
        systems = {name: system for name, system in table.items() if name != "default"}
        for name, system in systems.items():
            if ":" not in system or any(char.isspace() for char in system):
                raise self.error(
                    f"[authorities] {name} is the URI of its numbers, such as "
                    f"https://hospital.example/mrn or urn:oid:1.2.3, not {system!r}"
                )
        default = table.get("default", "")
        if ":" in default and default not in systems:
            systems["default"] = default
            default = "default"
        if default and default not in systems:
            known = ", ".join(sorted(systems)) or "none yet"
            raise self.error(f"[authorities] default names one of the authorities ({known}), not {default!r}")
        return systems, default

    def _check(self, config: Config) -> None:
        if config.policy.unsupported not in ("accept", "reject"):
            raise self.error(f'[policy] unsupported is "accept" or "reject", not {config.policy.unsupported!r}')
        limits = config.limits
        least = (
            ("[fhir] parallel", config.fhir.parallel, 1),
            ("[limits] max_message_bytes", limits.max_message_bytes, 1024),
            ("[limits] max_connections", limits.max_connections, 1),
            ("[limits] idle_timeout", limits.idle_timeout, 0),
            ("[limits] frame_timeout", limits.frame_timeout, 0.1),
        )
        for place, value, minimum in least:
            if value < minimum:
                raise self.error(f"{place} is at least {minimum}, not {value}")


_SECTIONS: dict[str, Any] = {
    "fhir": FhirSettings,
    "store": StoreSettings,
    "policy": PolicySettings,
    "limits": LimitSettings,
}


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) and one for one in value)


def _is_senders(value: Any) -> bool:
    return _is_texts(value) and all(len(_sender(one)) == 2 for one in value)


def _sender(text: str) -> tuple[str, ...]:
    """`APP|FACILITY` or `APP^FACILITY`."""
    return tuple(part.strip() for part in text.replace("^", "|").split("|"))


def _senders(value: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(map(_sender, value))


_TYPES: dict[str, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    "str": ("a text", _is_text, str),
    "int": ("a whole number", _is_whole, int),
    "float": ("a number of seconds", _is_seconds, float),
    "Path": ("a path", _is_path, Path),
    "Path | None": ("a path", _is_path, Path),
    "tuple[str, ...]": ("a list of texts", _is_texts, tuple),
    "tuple[tuple[str, str], ...]": ('a list of "APPLICATION|FACILITY"', _is_senders, _senders),
}
"""How a setting of each type is called, what is one in TOML, and what is made of it."""


def _typed(kind: str, text: str) -> Any:
    """The text of an environment variable as TOML would have it; as it is where it does not fit."""
    if kind.startswith("tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except ValueError:
        return text


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
