"""Writing one transaction Bundle: every identity once, each entry with the request that makes it idempotent.

What is ours alone goes to `PUT Type/<id>`; what others own too is addressed by its business identifier, and
such an entry carries no `id`, because the server has given it one (FHIR R4, http.html#cond-update,
#ccreate).
"""

from __future__ import annotations

import re
from functools import lru_cache
from operator import itemgetter
from typing import Any

from ketafhir.errors import refused
from ketafhir.fhir.ids import urn, uuid5
from ketafhir.fhir.writer import Written, text_of

_UNRESERVED = re.compile(rb"[^A-Za-z0-9._~-]")
_SEARCH_SPECIAL = re.compile(r"([\\,$|])")
_is_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


@lru_cache(maxsize=1024)
def identifier_query(system: str, value: str) -> str:
    """`identifier=system|value` as the query of a URL, escaped for search and for the URL
    (search.html#escaping)."""
    token = "|".join(_SEARCH_SPECIAL.sub(r"\\\1", part) for part in (system, value))
    return "identifier=" + _UNRESERVED.sub(lambda byte: b"%%%02X" % byte[0][0], token.encode()).decode()


_text, _entry = itemgetter(0), itemgetter(1)


class Entries:
    """The entries of one transaction, in the order of their first writing."""

    def __init__(self) -> None:
        self._entries: dict[str, dict[str, Any] | Written] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, resource: dict[str, Any], *, version: str = "") -> str:
        """Write the resource to its own id (If-Match `version` where that is known); gives its fullUrl."""
        own = resource["id"]
        place = f"{resource['resourceType']}/{own}"
        request = {"method": "PUT", "url": place}
        if version:
            request["ifMatch"] = f'W/"{version}"'
        return self._add(urn(own if _is_uuid(own) else uuid5(place)), resource, request)

    def put_ours(self, resource: dict[str, Any], full_url: str) -> str:
        """`put` of a resource whose id is known to be a UUID, and its fullUrl `urn(id)`."""
        request = {"method": "PUT", "url": f"{resource['resourceType']}/{resource['id']}"}
        entry = {"fullUrl": full_url, "resource": resource, "request": request}
        if self._entries.setdefault(full_url, entry) is not entry:
            self._compare(entry)
        return full_url

    def put_written(self, entry: Written, full_url: str) -> None:
        """An entry as `put_ours` makes it, of which the text is known."""
        if self._entries.setdefault(full_url, entry) is not entry:
            self._compare(entry.make(entry.told))

    def get(self, full_url: str) -> Written:
        """The entry with this fullUrl as it stands, and its text."""
        entry = self._entries[full_url]
        return entry if isinstance(entry, Written) else Written(_text, _entry, (text_of(entry), entry))

    def all(self) -> dict[str, Written]:
        """All entries, as `get` gives them, by fullUrl."""
        return {full_url: self.get(full_url) for full_url in self._entries}

    def put_conditional(self, resource: dict[str, Any], system: str, value: str) -> str:
        """Create or replace the one resource with this business identifier; gives its fullUrl."""
        url = f"{resource['resourceType']}?{identifier_query(system, value)}"
        return self._conditional(resource, system, value, {"method": "PUT", "url": url})

    def post_if_none_exist(self, resource: dict[str, Any], system: str, value: str) -> str:
        """Create the resource unless one with this business identifier is there; gives its fullUrl."""
        request = {
            "method": "POST",
            "url": resource["resourceType"],
            "ifNoneExist": identifier_query(system, value),
        }
        return self._conditional(resource, system, value, request)

    def transaction(self) -> dict[str, Any]:
        """The Bundle. Without entries it has no `entry`, because FHIR JSON has no empty arrays."""
        bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "transaction"}
        if self._entries:
            bundle["entry"] = list(self._entries.values())
        return bundle

    def _conditional(self, resource: dict[str, Any], system: str, value: str, request: dict[str, str]) -> str:
        bare = resource.copy()
        bare.pop("id", None)
        return self._add(conditional_full_url(resource["resourceType"], system, value), bare, request)

    def _add(self, full_url: str, resource: dict[str, Any], request: dict[str, str]) -> str:
        entry = {"fullUrl": full_url, "resource": resource, "request": request}
        if self._entries.setdefault(full_url, entry) is not entry:
            self._compare(entry)
        return full_url

    def _compare(self, entry: dict[str, Any]) -> None:
        """An identity may be written again if the same is said of it."""
        full_url, resource, request = entry.values()
        known = self._entries[full_url]
        if (known.make(known.told) if isinstance(known, Written) else known) != entry:
            raise refused(
                "identity-twice",
                f"one {resource['resourceType']} would be written twice, and differently",
                where=request["url"],
                value=full_url,
                hl7="205",
            )


@lru_cache(maxsize=1024)
def conditional_full_url(resource_type: str, system: str, value: str) -> str:
    """The fullUrl under which a resource addressed by its business identifier is referred to in a
    transaction."""
    return urn(uuid5(f"{resource_type}|{system}|{value}"))
