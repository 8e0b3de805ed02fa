"""What a server's $validate says against a resource: errors, and warnings that docs/validation.md does not explain."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fhir_peer import HapiServer

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "validation.md"
Json = dict[str, Any]


def explained() -> list[str]:
    """The texts in the table of warnings."""
    rows = DOCUMENT.read_text("utf-8").partition("| HAPI says |")[2].splitlines()[2:]
    return [row.split("`")[1] for row in rows if row.startswith("| `")]


def complaints(server: HapiServer, resources: Iterable[Json]) -> tuple[list[str], set[str]]:
    """What is an error or not explained; and the explanations that were needed."""
    known = explained()

    def ask(resource: Json) -> tuple[list[str], set[str]]:
        _, outcome = server.request("POST", f"{resource['resourceType']}/$validate", resource)
        found, used = [], set()
        for issue in outcome["issue"]:
            text = issue["diagnostics"]
            reasons = {reason for reason in known if reason in text}
            used |= reasons
            if issue["severity"] in ("error", "fatal") or (issue["severity"] == "warning" and not reasons):
                found.append(f"{resource['resourceType']}/{resource.get('id', '')}: {issue['severity']}: {text}")
        return found, used

    with ThreadPoolExecutor(2) as threads:
        told = list(threads.map(ask, resources))
    return [text for found, _ in told for text in found], {text for _, used in told for text in used}
