"""Definitions into functions: each takes a JSON value and gives what is wrong with it, `()` where nothing is.

A finding is (path below the value, what kind, text). Paths are put together on the way out only: a good
resource costs no text. Structure, cardinality, choice types, fixed values, patterns, slices, required bindings,
reference targets, extensions with their context, and the invariants of `ketafhir.fhir.profile.invariants`.
What the functions are made of is in `ketafhir.fhir.profile.pieces`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ketafhir.fhir.profile.forms import answers_check
from ketafhir.fhir.profile.invariants import Invariant
from ketafhir.fhir.profile.matching import matcher
from ketafhir.fhir.profile.pieces import (
    NOTHING,
    Check,
    Elements,
    Finding,
    anything,
    array_check,
    invariants_of,
    is_primitive,
    object_check,
    plain_reference,
    primitive_check,
    remembered,
    sliced_check,
    target_of,
    with_rules,
    with_unit,
)
from ketafhir.fhir.profile.primitives import PRIMITIVES

Json = dict[str, Any]
CORE = "http://hl7.org/fhir/StructureDefinition/"
_STEADY = {"CodeableConcept", "Coding", "Extension", "Meta"}  # what a feed repeats
_MENTIONED = {
    "Patient",
    "Encounter",
    "Practitioner",
    "Location",
    "Device",
    "DeviceMetric",
}  # which it repeats as a whole
_MOST_CLAIMS = 256
_NO_TYPE: list[Json] = [{"code": ""}]
_QUANTITIES = {"Quantity", "Age", "Duration", "Count", "Distance"}


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


def _repeats(node: Node) -> bool:
    """Whether the JSON of an element is an array: as its type of R4 says, whatever a profile narrows it to."""
    return bool(node.rules.get("array", node.rules["max"] not in ("0", "1")))


def _step(node: Node, step: str) -> Node:
    name, _, slice_name = step.partition(":")
    found = node.children[name]
    return found.slices[slice_name] if slice_name else found


class Compiler:
    """The checks of a set of definitions, each made when first asked for."""

    def __init__(
        self,
        definitions: dict[str, Json],
        codes: Mapping[str, frozenset[str]],
        forms: Mapping[str, Sequence[Json]] = MappingProxyType({}),
    ) -> None:
        self.definitions = definitions
        self._forms = {url: answers_check(questions) for url, questions in forms.items()}
        self._codes = codes
        self._made: dict[str, Check] = {}
        self._trees: dict[str, Node] = {}
        self._wholes: dict[str, Check] = {}
        self._claims: dict[tuple[str, ...], tuple[str, ...]] = {}

    def of(self, url: str) -> Check:
        """The check of a profile or type by its canonical."""
        known = self._made.get(url)
        if known is not None:
            return known
        check, fill = object_check()
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
        primitive = is_primitive(rules) and not rules["types"][0].get("attribute")
        if primitive and "codes" in rules:
            made.coded.add("_" + name)
        kind = rules.get("types", _NO_TYPE)[0]["code"]
        if kind == "Reference":
            item = plain_reference(remembered(item))
        if _repeats(node):
            item = self._list(node, item, path, url)
        if kind in _STEADY:
            item = remembered(item)
        made.fields[name] = item
        if primitive:
            made.fields["_" + name] = self._beside(node, node.children.get("extension"), path, url)

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
            # What is said of the extensions of value[x] is said of each of its types.
            extension = chosen.children.get("extension") or node.children.get("extension")
            if kind["code"] in PRIMITIVES:
                made.fields["_" + key] = self._beside(chosen, extension, path, url)
            elif extension and "extension" not in chosen.children:
                made.fields[key] = self._counted(made.fields[key], extension, path, url)
        if rules["min"] or any(one.rules["min"] for one in slices.values()):
            made.required.append(tuple(keys))
        if len(keys) > 1:
            made.choices.append(tuple(keys))

    def _counted(self, check: Check, extension: Node, path: str, url: str) -> Check:
        """A check of a value, and of how often each extension stands in it."""
        listed = self._list(extension, anything, f"{path}.extension", url)

        def both(value: Any) -> Sequence[Finding]:
            found = check(value)
            if found or "extension" not in value:
                return found
            return [("extension", kind, text) for at, kind, text in listed(value["extension"]) if not at]

        return both

    def _item(self, node: Node, path: str, url: str) -> Check:
        """The check of one value of an element."""
        rules = node.rules
        if "like" in rules:
            return self._alike(rules["like"], url)
        types = rules.get("types", [{"code": "Element"}])
        if node.children and not is_primitive(rules):
            check, fill = object_check()
            made = self._elements(node, self._holder(path, types), url)
            made.invariants += self._of_type(types[0]["code"], made.invariants)
            fill(made)
        else:
            check = self._type(types, path)
        if types[0]["code"] == "Reference":
            check = self._reference(check, [one for every in types for one in every.get("targets", ())])
        elif types[0]["code"] == "Coding":
            check = self._coding(check)
        elif types[0]["code"] in _QUANTITIES:
            check = with_unit(check)
        return with_rules(check, rules)

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
        return [one for one in invariants_of(self._tree(CORE + code).rules) if one[0] not in keys]

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

    def _type(self, types: list[Json], path: str) -> Check:
        kind = types[0]
        code = kind["code"]
        if code in PRIMITIVES:
            return primitive_check(PRIMITIVES[code])
        if code == "Resource":
            return self.resource
        if code == "Extension":
            return self._extension(path)
        profiles = [one for one in kind.get("profiles", ()) if one in self.definitions]
        if profiles:
            return self.of(profiles[0])
        return self.of(CORE + code)

    def resource(self, value: Any) -> Sequence[Finding]:
        """The check of a whole resource: by the profiles it claims, else by its type; of answers by their form too."""
        if not isinstance(value, dict):
            return (("", "structure", "must be an object"),)
        found = self._by_profile(value)
        form = value.get("questionnaire")
        if isinstance(form, str) and form.partition("|")[0] in self._forms:
            found = (*found, *self._forms[form.partition("|")[0]](value))
        return found

    def _by_profile(self, value: Json) -> Sequence[Finding]:
        claimed = self.claimed(value)
        kind = value.get("resourceType")
        if not claimed:
            url = CORE + str(kind)
            if url not in self.definitions:
                return (
                    (
                        "",
                        "structure",
                        f"a resource of a type that is not checked here: {kind} (misspelt, or ask a server)",
                    ),
                )
            claimed = (url,)
        if kind in _MENTIONED:
            return [one for url in claimed for one in self._whole(url)(value)]
        if len(claimed) == 1:
            return self.of(claimed[0])(value)
        return [one for url in claimed for one in self.of(url)(value)]

    def _whole(self, url: str) -> Check:
        if url not in self._wholes:
            self._wholes[url] = remembered(self.of(url))
        return self._wholes[url]

    def claimed(self, resource: Json) -> tuple[str, ...]:
        """The profiles that a resource claims and that are known here, without those another of them is derived from."""
        meta = resource.get("meta")
        listed = meta.get("profile") if isinstance(meta, dict) else None
        if not isinstance(listed, list):
            return ()
        key = (str(resource.get("resourceType")), *(one for one in listed if isinstance(one, str)))
        found = self._claims.get(key)
        if found is None:
            if len(self._claims) >= _MOST_CLAIMS:
                self._claims.clear()
            found = self._claims[key] = self._claimed(*key)
        return found

    def _claimed(self, kind: str, *listed: str) -> tuple[str, ...]:
        known = self.definitions
        named = [one.partition("|")[0] for one in listed]
        claimed = [one for one in named if one in known and known[one]["type"] == kind]
        return tuple(one for one in claimed if not any(self._derives(other, one) for other in claimed if other != one))

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
            kind = target_of(value)
            if kind and kind not in allowed:
                text = f"a reference to {kind}, where {', '.join(sorted(allowed))} may stand"
                return (*found, ("reference", "structure", text))
            return found

        return typed

    def _extension(self, path: str) -> Check:
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

    def _beside(self, node: Node, extension: Node | None, path: str, url: str) -> Check:
        """What stands beside a primitive: its id and extensions."""
        element = self._tree(CORE + "Element")
        made = Elements(element.rules)
        for name, child in element.children.items():
            self._field(made, name, extension if extension and name == "extension" else child, f"{path}.{name}", url)
        check, fill = object_check()
        fill(made)
        if _repeats(node):
            return array_check(lambda value: NOTHING if value is None else check(value))
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
            return array_check(item, least, most, may_be_empty=is_primitive(rules))
        return sliced_check(item, least, most, slices, closed)
