"""Reading Bundles of any type, and finding what a Reference points to (FHIR R4, bundle.html#references)."""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Refused, refused
from ketafhir.patterns import pattern

Resource = dict[str, Any]

_RESTFUL = pattern(r"(?:(?P<base>.*)/)?(?P<key>[A-Z][A-Za-z]{2,63}/[A-Za-z0-9.-]{1,64})(?:/_history/[^/]+)?")
_CONDITIONAL = pattern(r"([A-Z][A-Za-z]+)\?identifier=([^&]+)")
_ESCAPED = pattern(r"\\(.)")  # search.html#escaping
_REMEDY = "send a FHIR R4 resource or Bundle"


def resources(value: Any) -> list[tuple[str, Resource]]:
    """The resources of a Bundle of any type, or the one that `value` is, each with its fullUrl (or "").

    A Bundle inside a Bundle (the answer to a batch of searches) is opened too. Of a history only the newest
    version of each resource counts, and none of a deleted one. OperationOutcomes about a search are left
    out. Raises Refused (`fhir-not-a-resource`, `fhir-full-url-twice`) with the path for what is not FHIR.
    """
    resource = _resource(value, "")
    if resource["resourceType"] != "Bundle":
        return [("", resource)]
    found: list[tuple[str, Resource]] = []
    _read(resource, "Bundle", found, {})
    return found


def places(value: Any) -> dict[int, str]:
    """Where each resource stands (`Bundle.entry[3].resource`, of one alone its type), by its `id()`."""
    found: dict[int, str] = {}

    def walk(resource: Resource, place: str) -> None:
        found[id(resource)] = place
        for number, entry in enumerate(resource.get("entry", ()) if resource["resourceType"] == "Bundle" else ()):
            if "resourceType" in (entry.get("resource") or ()):
                walk(entry["resource"], f"{place}.entry[{number}].resource")

    walk(value, value["resourceType"])
    return found


class Index:
    """What is in a Bundle, by every way in which a Reference may point to it."""

    def __init__(self, value: Any) -> None:
        self.entries = resources(value)
        self._by_full_url: dict[str, Resource] = {}
        self._by_key: dict[str, list[tuple[str, Resource]]] = {}
        self._full_url: dict[int, str] = {}
        self._container: dict[int, Resource] = {}
        for full_url, resource in self.entries:
            self._full_url[id(resource)] = full_url
            contained = resource.get("contained")
            for one in contained if isinstance(contained, list) else ():
                self._container[id(one)] = resource
            if full_url:
                self._by_full_url[full_url] = resource
            if "id" in resource:
                key = f"{resource['resourceType']}/{resource['id']}"
                self._by_key.setdefault(key, []).append((full_url, resource))

    def resources(self) -> list[Resource]:
        """All resources, in the order of the Bundle."""
        return [resource for _, resource in self.entries]

    def of_type(self, resource_type: str) -> list[Resource]:
        """The resources of one type, in the order of the Bundle."""
        return [resource for _, resource in self.entries if resource["resourceType"] == resource_type]

    def full_url(self, resource: Resource) -> str:
        """The fullUrl of a resource of this Bundle, "" where it has none."""
        return self._full_url.get(id(resource), "")

    def resolve(self, reference: Any, within: Resource) -> Resource | None:
        """What a Reference inside the resource `within` points to, or None when it is not here.

        Understands contained `#id`, the fullUrl of an entry, relative and absolute `Type/id` (with or
        without `_history`) and conditional `Type?identifier=system|value`. A logical reference (an
        identifier and nothing else) gives None. Raises Refused (`fhir-reference-ambiguous`) when two
        entries fit.
        """
        text = reference.get("reference") if isinstance(reference, dict) else reference
        within = self._container.get(id(within), within)  # references of what is contained are those of its container
        if not isinstance(text, str) or not text:
            return None
        if text.startswith("#"):
            return _contained(text[1:], within)
        known = self._by_full_url.get(text)
        if known is not None:
            return known
        restful = _RESTFUL.fullmatch(text)
        if restful is not None:
            return self._by_type_and_id(restful["base"], restful["key"], within, text)
        conditional = _CONDITIONAL.fullmatch(text)
        return self._by_identifier(conditional[1], conditional[2], text) if conditional else None

    def _by_type_and_id(self, base: str | None, key: str, within: Resource, text: str) -> Resource | None:
        """An entry on another server is another resource, even with the same type and id."""
        if base is None:
            base = _base(self.full_url(within))
        here = f"{base}/{key}" if base else key
        if here in self._by_full_url:
            return self._by_full_url[here]
        found = [one for url, one in self._by_key.get(key, []) if not base or _base(url) in (None, base)]
        return _only(found, text)

    def _by_identifier(self, resource_type: str, token: str, text: str) -> Resource | None:
        from urllib.parse import unquote

        system, bar, value = (_ESCAPED.sub(r"\1", part) for part in unquote(token).partition("|"))
        found = []
        for resource in self.of_type(resource_type):
            listed = resource.get("identifier", [])
            for one in listed if isinstance(listed, list) else [listed]:
                if bar and one.get("system", "") == system and one.get("value") == value:
                    found.append(resource)
        return _only(found, text)


def _read(bundle: Resource, path: str, found: list[tuple[str, Resource]], seen: dict[str, str]) -> None:
    history = bundle.get("type") == "history"
    for number, entry in enumerate(_entries(bundle, path)):
        place = f"{path}.entry[{number}]"
        if not isinstance(entry, dict):
            raise _not_fhir(place, entry)
        full_url = entry.get("fullUrl", "")
        if not isinstance(full_url, str):
            raise _not_fhir(f"{place}.fullUrl", full_url)
        if history and full_url in seen:
            continue
        if "resource" not in entry:
            if history:
                seen[full_url] = place  # deleted: what follows is older
            continue
        resource = _resource(entry["resource"], f"{place}.resource")
        if resource["resourceType"] == "Bundle":
            _read(resource, f"{place}.resource", found, seen)
            continue
        if full_url and seen.setdefault(full_url, place) != place:
            raise refused(
                "fhir-full-url-twice",
                f"two entries have one fullUrl, the other is {seen[full_url]}",
                where=f"{place}.fullUrl",
                value=full_url,
                hint="send each resource once",
            )
        if not _about_the_search(entry):
            found.append((full_url, resource))


def _entries(bundle: Resource, path: str) -> list[Any]:
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise _not_fhir(f"{path}.entry", entries)
    return entries


def _about_the_search(entry: Resource) -> bool:
    search = entry.get("search")
    return isinstance(search, dict) and search.get("mode") == "outcome"


def _resource(value: Any, path: str) -> Resource:
    if not isinstance(value, dict) or not isinstance(value.get("resourceType"), str):
        raise _not_fhir(path, value)
    return value


def _not_fhir(path: str, value: Any) -> Refused:
    kind = {dict: "an object without resourceType", list: "an array", type(None): "null"}.get(type(value), "")
    return refused(
        "fhir-not-a-resource",
        f"{kind or 'a ' + type(value).__name__} where a FHIR resource belongs",
        where=path,
        hint=_REMEDY,
    )


def _contained(fragment: str, within: Resource) -> Resource | None:
    if not fragment:
        return within
    for one in within.get("contained", []):
        if isinstance(one, dict) and one.get("id") == fragment:
            return one
    return None


def _base(full_url: str) -> str | None:
    """The server of a RESTful fullUrl; None for `urn:uuid:` and for none."""
    match = _RESTFUL.fullmatch(full_url)
    return match["base"] if match else None


def _only(found: list[Resource], text: str) -> Resource | None:
    if len(found) > 1:
        raise refused(
            "fhir-reference-ambiguous",
            f"{len(found)} entries fit one reference",
            value=text,
            hint="refer by fullUrl",
        )
    return found[0] if found else None
