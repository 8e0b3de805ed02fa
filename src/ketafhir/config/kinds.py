"""What a setting of each type is in TOML, and in a variable of the environment."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


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


KINDS: dict[str, tuple[str, Callable[[Any], bool], Callable[[Any], Any]]] = {
    "str": ("a text", _is_text, str),
    "int": ("a whole number", _is_whole, int),
    "bool": ("true or false", _is_switch, bool),
    "float": ("a number from 0", _is_seconds, float),
    "Path": ("a path", _is_path, Path),
    "Path | None": ("a path", _is_path, Path),
    "tuple[str, ...]": ("a list of texts", _is_texts, tuple),
    "tuple[tuple[str, str], ...]": ('a list of "APPLICATION|FACILITY"', _is_senders, _senders),
}
"""How a setting of each type is called, what is one in TOML, and what is made of it."""


def typed(kind: str, text: str) -> Any:
    """The text of an environment variable as TOML would have it; as it is where it does not fit."""
    if kind.startswith("tuple"):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind == "bool":
        return {"true": True, "false": False}.get(text.lower(), text)
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" else text
    except ValueError:
        return text
