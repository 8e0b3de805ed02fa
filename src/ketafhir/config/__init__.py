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
from collections.abc import Mapping
from pathlib import Path

from ketafhir.config.loader import TOKEN_VARIABLE, Loader
from ketafhir.config.meaning import PASSWORD_VARIABLE
from ketafhir.config.sections import (
    PUBLIC_HOSTS,
    SECTIONS,
    Config,
    DeliverySettings,
    FhirSettings,
    LimitSettings,
    ListenerSettings,
    LogSettings,
    PeerSettings,
    PolicySettings,
    PumpSettings,
    ReceiverSettings,
    RestSettings,
    StoreSettings,
)
from ketafhir.errors import ConfigError

__all__ = [
    "PASSWORD_VARIABLE",
    "PUBLIC_HOSTS",
    "SECTIONS",
    "TOKEN_VARIABLE",
    "Config",
    "DeliverySettings",
    "FhirSettings",
    "LimitSettings",
    "ListenerSettings",
    "LogSettings",
    "PeerSettings",
    "PolicySettings",
    "PumpSettings",
    "ReceiverSettings",
    "RestSettings",
    "StoreSettings",
    "example",
    "find",
    "load",
    "parse",
    "required",
]

_EXAMPLE = Path(__file__).with_name("example.toml")
_DEFAULT_FILE = Path("ketafhir.toml")


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
    return Loader(name, folder or Path(), environment).config(tree)


def example() -> str:
    """A commented configuration that loads."""
    return _EXAMPLE.read_text("utf-8")
