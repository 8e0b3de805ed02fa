"""What the checks of `ketafhir.fhir.profile.compiler` are made of: objects, arrays, slices, primitives, values, units."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import orjson

from ketafhir.fhir.profile.invariants import INVARIANTS, Invariant
from ketafhir.fhir.profile.matching import Match, equal, has_pattern
from ketafhir.fhir.profile.primitives import PRIMITIVES
from ketafhir.fhir.profile.ucum import SYSTEM as UCUM
from ketafhir.fhir.profile.ucum import is_unit

Json = dict[str, Any]
Finding = tuple[str, str, str]
Check = Callable[[Any], Sequence[Finding]]
NOTHING: tuple[Finding, ...] = ()
_MOST, _LONGEST = 512, 2048  # values that a check remembers, and their bytes
_AS_IT_IS = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS
_URN = "urn:uuid:00000000-0000-5000-8000-000000000000"
_is_urn = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


class Elements:
    """What an object may have: its fields with their checks, which are needed, which exclude each other."""

    __slots__ = ("choices", "coded", "fields", "forbidden", "invariants", "required", "resource")

    def __init__(self, rules: Json) -> None:
        self.fields: dict[str, Check] = {}
        self.forbidden: set[str] = set()
        self.coded: set[str] = set()  # `_status`, where status has a required binding: an extension alone is no code
        self.required: list[tuple[str, ...]] = []
        self.choices: list[tuple[str, ...]] = []
        self.invariants = invariants_of(rules)
        self.resource = False


def invariants_of(rules: Json) -> list[tuple[str, Invariant]]:
    named = [(key, INVARIANTS[key]) for key in rules.get("invariants", ())]
    always = INVARIANTS["ele-1"]
    return [(key, holds) for key, holds in dict(named).items() if holds is not always]


def object_check() -> tuple[Check, Callable[..., None]]:
    """The check of an object, and what gives it its elements later."""
    fields: dict[str, Check] = {}
    ones: list[str] = []
    several: list[tuple[str, ...]] = []
    choices: list[tuple[str, ...]] = []
    invariants: list[tuple[str, Invariant]] = []
    forbidden: set[str] = set()
    coded: set[str] = set()

    def fill(made: Elements, root: str = "") -> None:
        fields.update(made.fields)
        for names in made.required:
            if len(names) == 1:
                ones.append(names[0])
            else:
                several.append(names)
        choices.extend(made.choices)
        invariants.extend(made.invariants)
        forbidden.update(made.forbidden)
        coded.update(made.coded)
        if root:
            fields.setdefault("resourceType", anything)

    def check(value: Any) -> Sequence[Finding]:
        if type(value) is not dict:
            return (("", "structure", "must be an object"),)
        found: list[Finding] = []
        if not value:
            found.append(("", "required", "is empty"))
        for key, one in value.items():
            field = fields.get(key)
            if field is None:
                found.append(
                    (key, "structure", "may not stand here" if key in forbidden else "there is no such element")
                )
                continue
            wrong = field(one)
            if wrong:
                found.extend(
                    (f"{key}.{path}" if path and path[0] != "[" else key + path, kind, text)
                    for path, kind, text in wrong
                )
        for key in ones:
            if key not in value and "_" + key not in value:
                found.append((key, "required", "is missing"))
        if coded and not coded.isdisjoint(value):
            found += [(key[1:], "required", "has no code") for key in coded if key in value and key[1:] not in value]
        for names in several:
            if not any(name in value for name in names) and not any("_" + name in value for name in names):
                found.append((names[0], "required", f"one of {', '.join(names)} is missing"))
        for names in choices:
            if sum(name in value for name in names) > 1:
                found.append((names[0], "structure", f"only one of {', '.join(names)} may stand"))
        for key, holds in invariants:
            try:
                kept = holds(value)
            except (TypeError, AttributeError, ArithmeticError, ValueError):
                continue  # a value of the wrong kind is told by its own check
            if not kept:
                found.append(("", "invariant", f"invariant {key} is broken"))
        return found

    return check, fill


def _text_of(value: Any) -> bytes:
    """The JSON of a value, by which it is known again; b"" for what is not quite JSON, or holds a Decimal."""
    try:
        return orjson.dumps(value, option=_AS_IT_IS)
    except (TypeError, ValueError, RecursionError):
        return b""


def remembered(check: Check) -> Check:
    """The same check, which knows again what it found nothing wrong with: codes, tags and references repeat in a feed.

    What is known is the text of the value, never the object: that may change.
    """
    good: set[bytes] = set()

    def again(value: Any) -> Sequence[Finding]:
        text = _text_of(value)
        if text in good:
            return NOTHING
        found = check(value)
        if text and not found and len(text) <= _LONGEST:
            if len(good) >= _MOST:
                good.clear()
            good.add(text)
        return found

    return again


def plain_reference(check: Check) -> Check:
    """The same check of a Reference, which knows what holds nothing but a urn:uuid: most are, and each is another."""
    every: list[bool] = []

    def reference(value: Any) -> Sequence[Finding]:
        if type(value) is dict and len(value) == 1:
            urn = value.get("reference")
            if type(urn) is str and _is_urn(urn):
                if not every:
                    every.append(not check({"reference": _URN}))
                if every[0]:
                    return NOTHING
        return check(value)

    return reference


def anything(value: Any) -> Sequence[Finding]:
    return NOTHING


def primitive_check(wrong_with: Callable[[Any], str]) -> Check:
    def check(value: Any) -> Sequence[Finding]:
        wrong = wrong_with(value)
        return (("", "value", wrong),) if wrong else NOTHING

    return check


def is_primitive(rules: Json) -> bool:
    return any(kind["code"] in PRIMITIVES for kind in rules.get("types", ()))


def array_check(item: Check, least: int = 0, most: int | None = None, *, may_be_empty: bool = False) -> Check:
    def check(value: Any) -> Sequence[Finding]:
        if type(value) is not list:
            return (("", "structure", "must be an array"),)
        found: list[Finding] = []
        if len(value) < least or not (value or may_be_empty):
            found.append(("", "required", f"has {len(value)} of at least {max(least, 1)}"))
        if most is not None and len(value) > most:
            found.append(("", "structure", f"has {len(value)} of at most {most}"))
        for number, one in enumerate(value):
            wrong = item(one)
            if wrong:
                found.extend((f"[{number}]{_joined(path)}", kind, text) for path, kind, text in wrong)
        return found

    return check


def _joined(path: str) -> str:
    return f".{path}" if path and path[0] != "[" else path


def sliced_check(
    item: Check,
    least: int,
    most: int | None,
    slices: list[tuple[str, Match, int, int | None, Check]],
    closed: bool,
) -> Check:
    plain = array_check(anything, least, most)

    def check(value: Any) -> Sequence[Finding]:
        found = list(plain(value))
        if type(value) is not list:
            return found
        counts = dict.fromkeys((name for name, *_ in slices), 0)
        for number, one in enumerate(value):
            use = item
            for name, match, _, _, own in slices:
                if match(one):
                    counts[name] += 1
                    use = own
                    break
            else:
                if closed:
                    found.append((f"[{number}]", "structure", "is none of the slices"))
            wrong = use(one)
            if wrong:
                found.extend((f"[{number}]{_joined(path)}", kind, text) for path, kind, text in wrong)
        for name, _, low, high, _ in slices:
            if counts[name] < low:
                found.append(("", "required", f"has {counts[name]} of at least {low} {name}"))
            if high is not None and counts[name] > high:
                found.append(("", "structure", f"has {counts[name]} of at most {high} {name}"))
        return found

    return check


def with_rules(check: Check, rules: Json) -> Check:
    """The check with the fixed value, pattern and required codes of an element."""
    tests: list[Callable[[Any], str]] = []
    if "fixed" in rules:
        tests.append(_fixed(rules["fixed"]))
    if "pattern" in rules:
        tests.append(_patterned(rules["pattern"]))
    if "codes" in rules:
        tests.append(_coded(rules["codes"]))
    if not tests:
        return check

    def both(value: Any) -> Sequence[Finding]:
        found = check(value)
        for test in tests:
            wrong = test(value)
            if wrong:
                found = (*found, ("", "value", wrong))
        return found

    return both


def _fixed(wanted: Any) -> Callable[[Any], str]:
    return lambda value: "" if equal(value, wanted) else f"must be {wanted}"


def _patterned(wanted: Any) -> Callable[[Any], str]:
    return lambda value: "" if has_pattern(value, wanted) else f"must have {wanted}"


def _coded(allowed: dict[str, list[str]]) -> Callable[[Any], str]:
    pairs = {(system, code) for system, codes in allowed.items() for code in codes}
    codes = {code for _, code in pairs}

    def check(value: Any) -> str:
        if isinstance(value, str):
            return "" if value in codes else f"the code {value} is not in the required value set"
        if not isinstance(value, dict):
            return ""
        codings = value.get("coding") if "coding" in value or "text" in value else [value]
        for one in codings if isinstance(codings, list) else ():
            if isinstance(one, dict) and (str(one.get("system")), str(one.get("code"))) in pairs:
                return ""
        return "has no code of the required value set"

    return check


def with_unit(check: Check) -> Check:
    """A quantity in UCUM must have a unit of UCUM."""

    def quantity(value: Any) -> Sequence[Finding]:
        found = check(value)
        if not found and "code" in value and value.get("system") == UCUM and not is_unit(value["code"]):
            return (("code", "value", f"{value['code']} is no unit of UCUM"),)
        return found

    return quantity


def target_of(value: Any) -> str:
    """The type of resource that a reference names, "" where it does not say."""
    reference = value.get("reference") if isinstance(value, dict) else None
    if isinstance(reference, str) and not reference.startswith(("urn:", "#")):
        parts = reference.partition("/_history/")[0].split("/")
        return parts[-2] if len(parts) > 1 and parts[-2][:1].isupper() else ""
    return ""
