"""Assigning authorities (HD; chapter 2A, 2A.33): their names in HL7v2, and the systems of their numbers in FHIR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ketafhir.errors import ConfigError


def systems_of(table: Mapping[str, Any]) -> tuple[dict[str, str], str]:
    """Name -> system of the assigning authorities, and the name of the default: where it is told by its system alone, this.

    Raises ConfigError where a system is no URI, or the default is none of them.
    """
    for name, system in table.items():
        if not isinstance(system, str) or not system:
            raise ConfigError(f"[authorities] {name} is a text, not {system!r}")
    systems = {name: system for name, system in table.items() if name != "default"}
    for name, system in systems.items():
        if ":" not in system or any(char.isspace() for char in system):
            raise ConfigError(
                f"[authorities] {name} is the URI of its numbers, such as https://hospital.example/mrn or urn:oid:1.2.3, "
                f"not {system!r}"
            )
    usual = table.get("default", "")
    if ":" in usual and usual not in systems:
        systems[usual] = usual
    if usual and usual not in systems:
        known = ", ".join(sorted(systems)) or "none yet"
        raise ConfigError(f"[authorities] default names one of the authorities ({known}), not {usual!r}")
    return systems, usual
