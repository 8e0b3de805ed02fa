"""What may not be passed over in a resource, whoever reads it.

A modifier that is not understood changes the meaning of what it stands in (FHIR R4 extensibility.html#modifierExtension),
and implicitRules do so for a whole resource (resource.html#implicitRules).
"""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Refused, refused
from ketafhir.patterns import pattern

WITHDRAWN = "https://ketafhir.org/fhir/StructureDefinition/withdrawn"
CONTROL = pattern(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""What no text of FHIR may hold (datatypes.html#string)."""
_MODIFIERS = ("modifierExtension", "implicitRules")


def check(resource: dict[str, Any], name: str) -> None:
    """Raises Refused (`modifier-unknown`, `json-null`, `control-character`) with the path of the element, for the resource and
    what it contains."""
    _walk(resource, name)


def check_frame(resource: dict[str, Any], name: str) -> None:
    """Raises Refused (`element-unreadable`) where `meta` or `contained`, which every reader looks at, is none."""
    contained = resource.get("contained", [])
    if not isinstance(contained, list) or not all(isinstance(one, dict) and "resourceType" in one for one in contained):
        raise refused("element-unreadable", "not a list of resources", where=f"{name}.contained")
    if not isinstance(resource.get("meta", {}), dict):
        raise refused("element-unreadable", "not a Meta", where=f"{name}.meta")


def _walk(element: Any, path: str) -> None:
    if isinstance(element, list):
        for number, one in enumerate(element):
            if isinstance(one, dict):
                _walk(one, f"{path}[{number}]")
            elif isinstance(one, str):
                _check_text(one, f"{path}[{number}]")
    elif isinstance(element, dict):
        for key, part in element.items():
            if key in _MODIFIERS and part and not _is_understood(element, key):
                raise refused(
                    "modifier-unknown", "a modifier that is not understood: it could change the meaning of all beside it",
                    where=f"{path}.{key}", hint="send the resource without it",
                )  # fmt: skip
            if part is None:
                raise refused("json-null", "FHIR JSON has no null here", where=f"{path}.{key}", hint="leave it out")
            if isinstance(part, (dict, list)):
                _walk(part, f"{path}.{key}")
            elif isinstance(part, str):
                _check_text(part, f"{path}.{key}")


def _check_text(text: str, path: str) -> None:
    """FHIR R4 (datatypes.html#string) has no control character but tab, CR and LF."""
    if not text.isprintable() and (found := CONTROL.search(text)):
        raise refused(
            "control-character", "a control character in a text, which FHIR does not allow", where=path,
            value=f"U+{ord(found[0]):04X}", hint="send the text without it",
        )  # fmt: skip


def malformed(resources: list[dict[str, Any]]) -> Refused | None:
    """The refusal of resources that have not the shape of their type, or None where all have."""
    from ketafhir.fhir.check import shape

    issues = [issue for resource in resources for issue in shape(resource)]
    return Refused(*issues) if issues else None


def _is_understood(element: dict[str, Any], key: str) -> bool:
    """Whether the modifiers are those that say that an adverse event was withdrawn, which has no status in R4."""
    if key != "modifierExtension" or element.get("resourceType") != "AdverseEvent":
        return False
    told = element[key]
    return isinstance(told, list) and all(isinstance(one, dict) and one.get("url") == WITHDRAWN for one in told)
