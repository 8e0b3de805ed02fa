"""Definitions into functions: each takes a JSON value and gives what is wrong with it, `()` where nothing is.

A finding is (path below the value, what kind, text). Paths are put together on the way out only: a good
resource costs no text. Structure, cardinality, choice types, fixed values, patterns, slices, required bindings,
reference targets, extensions with their context, and the invariants of `ketafhir.fhir.profile.invariants`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ketafhir.fhir.profile.invariants import INVARIANTS, Invariant
from ketafhir.fhir.profile.matching import Match, equal, has_pattern, matcher
from ketafhir.fhir.profile.primitives import PRIMITIVES
from ketafhir.fhir.profile.ucum import SYSTEM as UCUM
from ketafhir.fhir.profile.ucum import is_unit

Json = dict[str, Any]
Finding = tuple[str, str, str]
Check = Callable[[Any], Sequence[Finding]]
CORE = "http://hl7.org/fhir/StructureDefinition/"
_QUANTITIES = {"Quantity", "Age", "Duration", "Count", "Distance"}
_NOTHING: tuple[Finding, ...] = ()


class Node:
    """An element of a definition: its own rules, the elements below it, its slices."""

    __slots__ = ("children", "rules", "slices")

    def __init__(self, rules: Json) -> None:
        self.rules = rules
        self.children: dict[str, Node] = {}
        self.slices: dict[str, Node] = {}


def tree(elements: list[Json]) -> Node:
    """The elements of a snapshot as a tree by their ids (`Observation.component:SystolicBP.code`)."""
    root = Node(elements[0])
    for rules in elements[1:]:
        *way, last = rules["id"].split(".")[1:]
        at = root
        for step in way:
            at = _step(at, step)
        name, _, slice_name = last.partition(":")
        if slice_name:
            at.children[name].slices[slice_name] = Node(rules)
        else:
            at.children[name] = Node(rules)
    return root


def _step(node: Node, step: str) -> Node:
    name, _, slice_name = step.partition(":")
    found = node.children[name]
    return found.slices[slice_name] if slice_name else found


class Compiler:
    """The checks of a set of definitions, each made when first asked for."""

    def __init__(self, definitions: dict[str, Json], codes: Mapping[str, frozenset[str]]) -> None:
        self.definitions = definitions
        self._codes = codes
        self._made: dict[str, Check] = {}
        self._trees: dict[str, Node] = {}

    def of(self, url: str) -> Check:
        """The check of a profile or type by its canonical."""
        known = self._made.get(url)
        if known is not None:
            return known
        check, fill = _object()
        self._made[url] = check  # before its elements: types refer to each other
        node = self._tree(url)
        kind = self.definitions[url]["type"]
        fill(self._elements(node, kind, url), root=url)
        return check

    def _tree(self, url: str) -> Node:
        if url not in self._trees:
            self._trees[url] = tree(self.definitions[url]["elements"])
        return self._trees[url]

    def _elements(self, node: Node, path: str, url: str) -> Elements:
        made = Elements(node.rules)
        for name, child in node.children.items():
            if name.endswith("[x]"):
                self._choice(made, name[:-3], child, f"{path}.{name}", url)
            else:
                self._field(made, name, child, f"{path}.{name}", url)
        return made

    def _field(self, made: Elements, name: str, node: Node, path: str, url: str) -> None:
        rules = node.rules
        if rules["max"] == "0":
            made.forbidden.add(name)
            return
        if rules["min"]:
            made.required.append((name,))
        item = self._item(node, path, url)
        primitive = _primitive_of(rules) and not rules["types"][0].get("attribute")
        if self._repeats(path, url, node):
            made.fields[name] = self._list(node, item, path, url)
        else:
            made.fields[name] = item
        if primitive:
            made.fields["_" + name] = self._beside(node, path, url)

    def _repeats(self, path: str, url: str, node: Node) -> bool:
        """Whether the JSON of an element is an array: as its type of R4 says, whatever a profile narrows it to."""
        return bool(node.rules.get("array", node.rules["max"] not in ("0", "1")))

    def _choice(self, made: Elements, name: str, node: Node, path: str, url: str) -> None:
        """value[x]: one JSON property for each type it may have."""
        rules = node.rules
        slices = {s.rules["types"][0]["code"]: s for s in node.slices.values() if "types" in s.rules}
        keys = []
        for kind in rules.get("types", ()):
            key = name + kind["code"][0].upper() + kind["code"][1:]
            keys.append(key)
            if rules["max"] == "0":
                made.forbidden.add(key)
                continue
            chosen = slices.get(kind["code"])
            if chosen is None:
                chosen = Node({**rules, "types": [kind], "max": "1"})
                chosen.children = node.children if len(rules["types"]) == 1 else {}
            made.fields[key] = self._item(chosen, path, url)
            if kind["code"] in PRIMITIVES:
                made.fields["_" + key] = self._beside(chosen, path, url)
        if rules["min"] or any(one.rules["min"] for one in slices.values()):
            made.required.append(tuple(keys))
        if len(keys) > 1:
            made.choices.append(tuple(keys))

    def _item(self, node: Node, path: str, url: str) -> Check:
        """The check of one value of an element."""
        rules = node.rules
        if "like" in rules:
            return self._alike(rules["like"], url)
        types = rules.get("types", [{"code": "Element"}])
        if node.children and not _primitive_of(rules):
            check, fill = _object()
            made = self._elements(node, self._holder(path, types), url)
            made.invariants += self._of_type(types[0]["code"], made.invariants)
            fill(made)
        else:
            check = self._type(types, path, node, url)
        if types[0]["code"] == "Reference":
            check = self._reference(check, [one for every in types for one in every.get("targets", ())])
        elif types[0]["code"] == "Coding":
            check = self._coding(check)
        elif types[0]["code"] in _QUANTITIES:
            check = _with_unit(check)
        return _with_rules(check, rules)

    def _coding(self, check: Check) -> Check:
        """A coding of a system that is known whole must have one of its codes, whatever the binding."""
        known = self._codes

        def coding(value: Any) -> Sequence[Finding]:
            found = check(value)
            if found or not isinstance(value, dict):
                return found
            codes = known.get(value.get("system", ""))
            if codes is not None and value.get("code") not in codes:
                return (("code", "value", f"the code {value.get('code')} is not one of {value['system']}"),)
            return found

        return coding

    def _of_type(self, code: str, known: list[tuple[str, Invariant]]) -> list[tuple[str, Invariant]]:
        """The invariants of a type, beside those its element repeats."""
        if CORE + code not in self.definitions:
            return []
        keys = {key for key, _ in known}
        return [one for one in _invariants(self._tree(CORE + code).rules) if one[0] not in keys]

    def _holder(self, path: str, types: list[Json]) -> str:
        """What an element is called in the context of an extension: within a type, its path in that type."""
        code = str(types[0]["code"])
        return path if code in ("BackboneElement", "Element") else code

    def _alike(self, element: str, url: str) -> Check:
        """An element that is defined as another of the same definition (contentReference)."""
        made: list[Check] = []

        def check(value: Any) -> Sequence[Finding]:
            if not made:
                node = self._tree(url)
                for step in element.split(".")[1:]:
                    node = _step(node, step)
                made.append(self._item(node, element, url))
            return made[0](value)

        return check

    def _type(self, types: list[Json], path: str, node: Node, url: str) -> Check:
        kind = types[0]
        code = kind["code"]
        if code in PRIMITIVES:
            return _primitive(PRIMITIVES[code])
        if code == "Resource":
            return self.resource
        if code == "Extension":
            return self._extension(kind.get("profiles", ()), path)
        profiles = [one for one in kind.get("profiles", ()) if one in self.definitions]
        if profiles:
            return self.of(profiles[0])
        return self.of(CORE + code)

    def resource(self, value: Any) -> Sequence[Finding]:
        """The check of a whole resource: by the profiles it claims, else by its type."""
        if not isinstance(value, dict):
            return (("", "structure", "must be an object"),)
        claimed = self.claimed(value)
        if len(claimed) == 1:
            return self.of(claimed[0])(value)
        if claimed:
            return [one for url in claimed for one in self.of(url)(value)]
        kind = value.get("resourceType")
        url = CORE + str(kind)
        if url not in self.definitions:
            return (("", "structure", f"a resource of a type that is not checked here: {kind}"),)
        return self.of(url)(value)

    def claimed(self, resource: Json) -> list[str]:
        """The profiles that a resource claims and that are known here, without those another of them is derived from."""
        meta = resource.get("meta")
        listed = meta.get("profile") if isinstance(meta, dict) else None
        if not isinstance(listed, list):
            return []
        known = self.definitions
        named = [one.partition("|")[0] for one in listed if isinstance(one, str)]
        kind = resource.get("resourceType")
        claimed = [one for one in named if one in known and known[one]["type"] == kind]
        if len(claimed) < 2:
            return claimed
        return [one for one in claimed if not any(self._derives(other, one) for other in claimed if other != one)]

    def _derives(self, url: str, base: str) -> bool:
        while url in self.definitions:
            url = self.definitions[url]["base"]
            if url == base:
                return True
        return False

    def _reference(self, check: Check, targets: list[str]) -> Check:
        allowed = {
            self.definitions[one]["type"] if one in self.definitions else one.rpartition("/")[2] for one in targets
        }
        if not targets or "Resource" in allowed:
            return check

        def typed(value: Any) -> Sequence[Finding]:
            found = check(value)
            kind = _target(value)
            if kind and kind not in allowed:
                text = f"a reference to {kind}, where {', '.join(sorted(allowed))} may stand"
                return (*found, ("reference", "structure", text))
            return found

        return typed

    def _extension(self, profiles: Sequence[str], path: str) -> Check:
        """An extension by its url: its own definition, and whether it may stand here."""
        plain = self.of(CORE + "Extension")
        own: dict[str, Check] = {}
        holder = path.rpartition(".")[0]

        def check(value: Any) -> Sequence[Finding]:
            url = value.get("url") if isinstance(value, dict) else None
            if not isinstance(url, str) or url not in self.definitions:
                return plain(value)
            if url not in own:
                own[url] = self._in_context(url, holder)
            return own[url](value)

        return check

    def _in_context(self, url: str, holder: str) -> Check:
        definition = self.definitions[url]
        check = self.of(url)
        names = {holder, holder.replace("[x]", ""), "Element"}
        kind = self.definitions.get(CORE + holder.partition(".")[0], {}).get("kind", "")
        if "." not in holder and kind == "resource":
            names |= {"DomainResource", "Resource"}
        if names & set(definition.get("context", ())):
            return check
        wrong = ("url", "structure", f"{url} may not stand at {holder}")
        return lambda value: (*check(value), wrong)

    def _beside(self, node: Node, path: str, url: str) -> Check:
        """What stands beside a primitive: its id and extensions."""
        extension = node.children.get("extension")
        element = self._tree(CORE + "Element")
        made = Elements(element.rules)
        for name, child in element.children.items():
            self._field(made, name, extension if extension and name == "extension" else child, f"{path}.{name}", url)
        check, fill = _object()
        fill(made)
        if self._repeats(path, url, node):
            return _array(lambda value: _NOTHING if value is None else check(value))
        return check

    def _list(self, node: Node, item: Check, path: str, url: str) -> Check:
        rules = node.rules
        least = rules["min"]
        most = None if rules["max"] == "*" else int(rules["max"])
        slices = []
        by = rules.get("slicing", {}).get("by", ())
        for name, one in node.slices.items():
            if not by:
                continue
            match = matcher(one, by)
            top = None if one.rules["max"] == "*" else int(one.rules["max"])
            slices.append((name, match, one.rules["min"], top, self._item(one, path, url)))
        closed = bool(rules.get("slicing", {}).get("closed")) and bool(slices)
        if not slices:
            # HAPI lets an empty array of primitives pass, and so must this: they agree on what is an error.
            return _array(item, least, most, may_be_empty=_primitive_of(rules))
        return _sliced(item, least, most, slices, closed)


class Elements:
    """What an object may have: its fields with their checks, which are needed, which exclude each other."""

    __slots__ = ("choices", "fields", "forbidden", "invariants", "required", "resource")

    def __init__(self, rules: Json) -> None:
        self.fields: dict[str, Check] = {}
        self.forbidden: set[str] = set()
        self.required: list[tuple[str, ...]] = []
        self.choices: list[tuple[str, ...]] = []
        self.invariants = _invariants(rules)
        self.resource = False


def _invariants(rules: Json) -> list[tuple[str, Invariant]]:
    named = [(key, INVARIANTS[key]) for key in rules.get("invariants", ())]
    always = INVARIANTS["ele-1"]
    return [(key, holds) for key, holds in dict(named).items() if holds is not always]


def _object() -> tuple[Check, Callable[..., None]]:
    """The check of an object, and what gives it its elements later."""
    fields: dict[str, Check] = {}
    ones: list[str] = []
    several: list[tuple[str, ...]] = []
    choices: list[tuple[str, ...]] = []
    invariants: list[tuple[str, Invariant]] = []
    forbidden: set[str] = set()

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
        if root:
            fields.setdefault("resourceType", _anything)

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
        for names in several:
            if not any(name in value for name in names):
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


def _anything(value: Any) -> Sequence[Finding]:
    return _NOTHING


def _primitive(wrong_with: Callable[[Any], str]) -> Check:
    def check(value: Any) -> Sequence[Finding]:
        wrong = wrong_with(value)
        return (("", "value", wrong),) if wrong else _NOTHING

    return check


def _primitive_of(rules: Json) -> bool:
    return any(kind["code"] in PRIMITIVES for kind in rules.get("types", ()))


def _array(item: Check, least: int = 0, most: int | None = None, *, may_be_empty: bool = False) -> Check:
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


def _sliced(
    item: Check,
    least: int,
    most: int | None,
    slices: list[tuple[str, Match, int, int | None, Check]],
    closed: bool,
) -> Check:
    plain = _array(_anything, least, most)

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


def _with_rules(check: Check, rules: Json) -> Check:
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


def _with_unit(check: Check) -> Check:
    """A quantity in UCUM must have a unit of UCUM."""

    def quantity(value: Any) -> Sequence[Finding]:
        found = check(value)
        if not found and "code" in value and value.get("system") == UCUM and not is_unit(value["code"]):
            return (("code", "value", f"{value['code']} is no unit of UCUM"),)
        return found

    return quantity


def _target(value: Any) -> str:
    """The type of resource that a reference names, "" where it does not say."""
    reference = value.get("reference") if isinstance(value, dict) else None
    if isinstance(reference, str) and not reference.startswith(("urn:", "#")):
        parts = reference.partition("/_history/")[0].split("/")
        return parts[-2] if len(parts) > 1 and parts[-2][:1].isupper() else ""
    return ""
