"""FHIR with one resource or one Bundle a line, as `translate --to fhir` writes several messages and Bulk Data writes exports
(FHIR R4, nd-json.html).
"""

from __future__ import annotations

from typing import Any

from ketafhir.errors import Issue, Refused, refused
from ketafhir.fhir import json
from ketafhir.plain import replace

Resource = dict[str, Any]


def loads(data: bytes) -> Any:
    """The JSON value in `data`; of several lines with a value each, a collection Bundle with one entry a line.

    Lines that are Bundles follow one another, as messages do: what a later one writes (PUT) takes the place of what an
    earlier one wrote under that fullUrl, and what is created only where it is not there (POST) stays as it was first.
    The entries replaced are left empty, so that `entry[N]` is line N + 1. Raises Refused as `json.loads` does, with
    the line, and `ndjson-resource-twice` where two lines hold different contents of one resource.
    """
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    if len(lines) < 2 or not lines[0][1].rstrip().endswith(b"}") or not lines[1][1].lstrip().startswith(b"{"):
        return json.loads(data)
    entries: list[Resource] = [{} for _ in range(lines[-1][0])]
    written: dict[str, Resource] = {}
    single: dict[str, tuple[int, Resource]] = {}
    for number, line in lines:
        value = _line(number, line)
        if isinstance(value, dict) and value.get("resourceType") == "Bundle":
            value = _after(value, written)
        elif isinstance(value, dict) and _twice(number, value, single):
            continue
        entries[number - 1] = {"resource": value}
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _line(number: int, line: bytes) -> Any:
    try:
        return json.loads(line)
    except Refused as refusal:
        raise Refused(*(_of_line(issue, number) for issue in refusal.issues)) from refusal


def _of_line(issue: Issue, number: int) -> Issue:
    column = issue.where.removeprefix("line 1 ")
    return replace(issue, where=f"line {number} {column}".rstrip())


def _after(bundle: Resource, written: dict[str, Resource]) -> Resource:
    """The Bundle without what it does not change; what it replaces is emptied in the Bundles before, never in itself:
    a fullUrl that one Bundle has twice stays, to be refused.
    """
    entries = bundle.get("entry")
    if not isinstance(entries, list):
        return bundle
    kept, own = [], {}
    for entry in entries:
        full_url = entry.get("fullUrl") if isinstance(entry, dict) and "resource" in entry else None
        if isinstance(full_url, str) and full_url:
            before = written.get(full_url)
            if before is not None and _creates(entry):
                entry = {}
            else:
                own[full_url] = entry
                if before is not None:
                    before.clear()
        kept.append(entry)
    written |= own
    return bundle | {"entry": kept}


def _creates(entry: Resource) -> bool:
    request = entry.get("request")
    return isinstance(request, dict) and request.get("method") == "POST"


def _twice(number: int, resource: Resource, single: dict[str, tuple[int, Resource]]) -> bool:
    """Whether the very same resource stood in an earlier line. Raises Refused where it stood there with another content."""
    if "id" not in resource:
        return False
    key = f"{resource.get('resourceType')}/{resource['id']}"
    before, held = single.setdefault(key, (number, resource))
    if before == number:
        return False
    if held != resource:
        raise refused(
            "ndjson-resource-twice",
            f"line {before} holds the same resource with another content, and lines have no order",
            where=f"line {number}",
            value=key,
            hint="send each resource once, in its newest version",
        )
    return True
