"""The part of YAML that compose.yaml keeps to.

Indented maps, lists of scalars, scalars and flow lists as in JSON, comments on lines of their own.
"""

from __future__ import annotations

import json
import re
from typing import Any

_KEY = re.compile(r"([A-Za-z0-9_.-]+):(?: (.+))?")


def load(text: str) -> dict[str, Any]:
    """The document as dicts, lists and scalars; ValueError for any other form, or a repeated key."""
    lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
    value, rest = _block(lines, 0)
    if rest:
        raise ValueError(f"indentation: {rest[0]!r}")
    return value


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    if lines and lines[0][indent:].startswith("- "):
        return _sequence(lines, indent)
    found: dict[str, Any] = {}
    while lines and _indent(lines[0]) == indent:
        match = _KEY.fullmatch(lines[0].strip())
        if match is None or match[1] in found:
            raise ValueError(f"not a new key: {lines[0]!r}")
        if match[2] is not None:
            found[match[1]], lines = _scalar(match[2]), lines[1:]
        else:
            found[match[1]], lines = _block(lines[1:], indent + 2)
    return found, lines


def _sequence(lines: list[str], indent: int) -> tuple[list[Any], list[str]]:
    items = []
    while lines and _indent(lines[0]) == indent:
        items.append(_scalar(lines[0].strip().removeprefix("- ")))
        lines = lines[1:]
    return items, lines


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _scalar(text: str) -> Any:
    if re.fullmatch(r"[a-z][a-z-]*", text) and text not in ("true", "false"):
        return text
    return json.loads(text)  # quoted text, number, true, false or a flow list
