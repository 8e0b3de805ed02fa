"""FHIR element paths of the tables: compiled to a writer and a reader of plain dictionaries.

effectivePeriod.start        an element of an element
identifier[PLAC]             the item of a list that has the code of the slice PLAC (mappings/slices.csv)
extension[v2-dtm]            the extension of ours of that name (or, as extension[https://...], of that URL)
note[0].text                 the first item of a list (one that no slice claims)
performer[].actor            one item per value of a repeating row
value[x]                     a choice of types: the value is a pair (type name, JSON)
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ketafhir.errors import TableError

Json = dict[str, Any]
EXTENSION = "https://ketafhir.org/fhir/StructureDefinition/"
DERIVED = EXTENSION + "derived"
"""Marks what was not told but worked out: on a time, the time it was taken from; on anything else, true. It is never
sent back."""


class Slice(NamedTuple):
    """How the item of a list is told from its neighbours: by a coding under `at`.

    `at` is the way there (`type[]` is a list); empty: the item is a Coding itself. `bare`: the element there is no coding
    but the code alone (`status`).
    """

    name: str
    element: str
    at: tuple[str, ...]
    system: str
    code: str
    display: str
    bare: bool = False

    def matches(self, item: Any) -> bool:
        """Whether a list item is the one this slice names."""
        if self.bare:
            return self.code in _reach(item, self.at)
        return any(
            isinstance(coding, dict) and coding.get("code") == self.code and coding.get("system") == self.system
            for coding in _reach(item, self.at)
        )

    def item(self) -> Json:
        """A new item that carries the code of this slice."""
        if self.bare:
            return {self.at[0]: self.code}
        coding = {"system": self.system, "code": self.code}
        if self.display:
            coding["display"] = self.display
        if not self.at:
            return coding
        value: Any = [coding] if self.at[-1] == "coding" else coding
        for key in reversed(self.at):
            value = {key.removesuffix("[]"): [value] if key.endswith("[]") else value}
        return value  # type: ignore[no-any-return]  # at is not empty: it is a dictionary


def _reach(item: Any, at: tuple[str, ...]) -> list[Any]:
    """What lies at the end of a slice's `at`, through lists."""
    found = [item]
    for key in at:
        further: list[Any] = []
        for one in found:
            value = one.get(key.removesuffix("[]")) if isinstance(one, dict) else None
            further.extend(value if isinstance(value, list) else [value])
        found = further
    return found


class _Step(NamedTuple):
    key: str
    first: bool  # [0]
    url: str  # extension[...]
    slice: Slice | None


class Path:
    """One compiled path. `many` paths take a list of values, the others one value; `plain` is the key of a path that is
    no more than that.
    """

    __slots__ = ("choice", "claimed", "key", "many", "plain", "rest", "steps", "text")

    def __init__(self, text: str, slices: dict[tuple[str, str], Slice]) -> None:
        self.text = text
        self.choice = text.endswith("[x]")
        self.claimed: tuple[Slice, ...] = ()
        base = text[:-3] if self.choice else text
        head, _, rest = base.partition("[]")
        self.many = "[]" in base
        self.rest = rest.lstrip(".")
        if "[]" in self.rest or ("[" in self.rest):
            raise TableError(f"the path {text!r} has more than one list")
        *parts, self.key = _split(head)
        self.steps = tuple(_step(part, text, slices) for part in parts)
        if "[" in self.key:
            self.steps = (*self.steps, _step(self.key, text, slices))
            self.key = ""
        self.plain = "" if self.steps or self.many or self.choice else self.key

    def put(self, resource: Json, value: Any) -> None:
        """Write `value` at this place, making what leads there."""
        at: Any = resource
        for step in self.steps:
            at = _enter(at, step, self.claimed)
        if self.many:
            items = [{self.rest: item} for item in value] if self.rest else value
            at.setdefault(self.key, []).extend(items)
        elif self.choice:
            at[self.key + value[0]] = value[1]
        elif self.key:
            at[self.key] = value
        else:
            at.update(value)

    def get(self, resource: Json) -> Any:
        """The value at this place, or None. Of a choice: (type name, JSON). Of a list: the items no slice claims."""
        at: Any = resource
        for step in self.steps:
            at = _find(at, step, self.claimed)
            if at is None:
                return None
        if self.choice:
            return _choice(at, self.key)
        if not self.key:
            return at
        value = at.get(self.key) if isinstance(at, dict) else None
        if self.many and isinstance(value, list):
            value = [item for item in value if not any(one.matches(item) for one in self.claimed)]
            if self.rest:
                value = [item[self.rest] for item in value if isinstance(item, dict) and self.rest in item]
        return value

    def put_beside(self, resource: Json, value: Json) -> None:
        """Write the `_name` companion of a primitive (its extensions)."""
        at: Any = resource
        for step in self.steps:
            at = _enter(at, step, self.claimed)
        at["_" + self._name(at)] = value

    def get_beside(self, resource: Json) -> Any:
        """The `_name` companion of a primitive, or None."""
        at: Any = resource
        for step in self.steps:
            at = _find(at, step, self.claimed)
            if at is None:
                return None
        return at.get("_" + self._name(at)) if isinstance(at, dict) else None

    def _name(self, at: Any) -> str:
        """The element as it is called where it stands: of a choice, with its type."""
        found = _choice(at, self.key) if self.choice else None
        return self.key + found[0] if found else self.key


def extension_url(name: str) -> str:
    """The URL of an extension: of ours by its name, of others as it is."""
    return name if "://" in name else EXTENSION + name


def _split(text: str) -> list[str]:
    """The parts between dots; a dot inside brackets belongs to its slice name."""
    parts, depth, start = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if letter == "." and not depth:
            parts.append(text[start:place])
            start = place + 1
    parts.append(text[start:])
    return parts


def _step(part: str, path: str, slices: dict[tuple[str, str], Slice]) -> _Step:
    key, bracket, inside = part.partition("[")
    if not bracket:
        return _Step(key, False, "", None)
    inside = inside.rstrip("]")
    if inside == "0":
        return _Step(key, True, "", None)
    if key in ("extension", "modifierExtension"):
        return _Step(key, False, extension_url(inside), None)
    if (key, inside) not in slices:
        raise TableError(
            f"the path {path!r} names the slice {inside!r} of {key}, which mappings/slices.csv does not have"
        )
    return _Step(key, False, "", slices[key, inside])


def _enter(at: Json, step: _Step, claimed: tuple[Slice, ...]) -> Json:
    """The place one step further in, made where it is not there yet."""
    found = _find(at, step, claimed) if step.key in at else None
    if found is not None:
        return found
    item: Json = step.slice.item() if step.slice else {"url": step.url} if step.url else {}
    if step.slice or step.url or step.first:
        at.setdefault(step.key, []).append(item)
    else:
        at[step.key] = item
    return item


def _find(at: Any, step: _Step, claimed: tuple[Slice, ...]) -> Json | None:
    value = at.get(step.key) if isinstance(at, dict) else None
    if not (step.slice or step.url or step.first):
        return value if isinstance(value, dict) else None
    for item in value if isinstance(value, list) else ():
        if not isinstance(item, dict):
            continue
        if step.slice and step.slice.matches(item):
            return item
        if step.url and item.get("url") == step.url:
            return item
        if step.first and not any(one.matches(item) for one in claimed):
            return item
    return None


def _choice(at: Any, key: str) -> tuple[str, Any] | None:
    if isinstance(at, dict):
        for name in at:
            if name.startswith(key) and len(name) > len(key) and name[len(key)].isupper():
                return name[len(key) :], at[name]
    return None
