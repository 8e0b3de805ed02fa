"""`ketafhir validate`: resources against their profiles, in three depths, as one OperationOutcome.

shape: names, cardinality and types of R4, by fhir.resources. profile: the profiles claimed, by our own check. server: that,
and `$validate` of a FHIR server, which knows the package when `ketafhir profiles install` has put it there.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import Any

from ketafhir.errors import ConfigError, Issue, Refused, reason_of

Json = dict[str, Any]
_Pace = Callable[[Any], Awaitable[None]]
_DEPTHS = ("shape", "profile", "server")
_TYPE = re.compile(r"[A-Z][A-Za-z]+")
_CODES = {
    "required": ("profile-required", "101"),
    "value": ("profile-value", "102"),
    "structure": ("profile-structure", "100"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.epilog = "stdout holds one OperationOutcome. Exit code: 0 no error; 1 an error, or no FHIR JSON; 2 usage."
    parser.add_argument("file", metavar="FILE", help="a resource, a Bundle or NDJSON of them; - for standard input")
    parser.add_argument("--depth", choices=_DEPTHS, help="how deep (default: profile; with --server: server)")
    parser.add_argument("--server", metavar="URL", help="the FHIR server whose $validate is asked")
    parser.add_argument(
        "--synthetic",
        action="store_true",
        help="FILE holds nothing of a real person: needed where the server is public",
    )


def run(args: argparse.Namespace, public: bool = False) -> int:
    """Validate a file; gives the exit code. `public`: everybody may read what the server is sent. Raises ConfigError."""
    from ketafhir.fhir import json
    from ketafhir.fhir.outcome import operation_outcome

    depth = args.depth or ("server" if args.server else "profile")
    if (depth == "server") is not bool(args.server):
        sys.stderr.write("ketafhir validate: --depth server and --server URL go together\n")
        return 2
    if public and not args.synthetic:
        raise ConfigError(
            f"everybody may read what {args.server} is sent: say --synthetic where FILE holds nothing of a real person, or "
            "ask a server of your own (`ketafhir fhir-server start`)"
        )
    pace = _pace() if public else None
    try:
        found = [
            issue for resource in _resources(_read(args.file)) for issue in _issues(resource, depth, args.server, pace)
        ]
    except Refused as refusal:
        found = list(refusal.issues)
    sys.stdout.buffer.write(json.dumps(operation_outcome(found), indent=sys.stdout.isatty()) + b"\n")
    return 1 if any(one.severity == "error" for one in found) else 0


def _pace() -> _Pace:
    from ketafhir.sync.public import Pace

    return Pace().wait


def _read(name: str) -> bytes:
    if name == "-":
        return sys.stdin.buffer.read()
    try:
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise ConfigError(reason_of(error)) from error


def _resources(data: bytes) -> Iterator[Json]:
    """The resources of a file: one JSON document, or one on each line. Raises Refused."""
    from ketafhir.fhir import json

    try:
        documents = [json.loads(data)]
    except Refused:
        lines = [line for line in data.splitlines() if line.strip()]
        if len(lines) < 2:
            raise
        documents = [json.loads(line) for line in lines]
    for one in documents:
        kind = one.get("resourceType") if isinstance(one, dict) else None
        if not isinstance(kind, str) or not _TYPE.fullmatch(kind):
            raise Refused(
                Issue(
                    "error", "fhir-not-a-resource", "not a FHIR resource: an object with a resourceType",
                    hint="send a FHIR R4 resource or Bundle",
                )
            )  # fmt: skip
        yield one


def _issues(resource: Json, depth: str, server: str | None, pace: _Pace | None) -> list[Issue]:
    if depth == "shape":
        from ketafhir.fhir.check import shape

        return shape(resource)
    found = list(profile_issues(resource))
    if server:
        found += _of_server(resource, server, pace)
    return found


def profile_issues(resource: Json) -> Iterator[Issue]:
    """What our own check finds, each with its path, the profile and the table row that writes the element."""
    from ketafhir.fhir.profile.check import check

    for problem in check(resource):
        code, hl7 = _CODES.get(problem.kind, ("profile-invariant", "207"))
        yield Issue("error", code, problem.text, where=problem.path, row=row_of(resource, problem.path), hl7=hl7,
                    hint=_claims(resource, problem.path))  # fmt: skip


def _claims(resource: Json, path: str) -> str:
    inner = _inner(resource, path)[0]
    meta = inner.get("meta")
    claimed = meta.get("profile") if isinstance(meta, dict) else None
    named = ", ".join(map(str, claimed)) if isinstance(claimed, list) else ""
    return f"profile {named}" if named else f"R4 {inner.get('resourceType')}"


def _inner(resource: Json, path: str) -> tuple[Json, str]:
    """The resource that a path is in, and the path from there: an entry of a Bundle is one of its own."""
    match = re.match(r"Bundle\.entry\[(\d+)\]\.resource\.?", path)
    if match is None:
        return resource, path.partition(".")[2]
    entries = resource.get("entry", ())
    inner = entries[int(match[1])].get("resource") if int(match[1]) < len(entries) else None
    return (inner, path[match.end() :]) if isinstance(inner, dict) else (resource, "")


def row_of(resource: Json, path: str) -> str:
    """The row of the mapping tables that writes an element, as `table:line [row]`; "" where none does."""
    inner, place = _inner(resource, path)
    steps = re.sub(r"\[[^\]]*\]", "", place).split(".")
    rows = _rows()
    for length in range(len(steps), 0, -1):
        *way, last = steps[:length]
        # rateRatio is rate[x]
        for name in (last, *(f"{last[: at.start()]}[x]" for at in re.finditer("[A-Z]", last))):
            found = rows.get((str(inner.get("resourceType")), ".".join((*way, name))))
            if found:
                return found
    return ""


@cache
def _rows() -> dict[tuple[str, str], str]:
    from ketafhir.mapping.tables import Tables

    tables = Tables(None)
    found: dict[tuple[str, str], str] = {}
    for name in tables.names():
        table = tables.table(name)
        resource, _, below = table.resource.partition(".")
        for row in table.rows:
            if row.fhir:
                path = re.sub(r"\[(?!x\])[^\]]*\]", "", f"{below}.{row.fhir}" if below else row.fhir)
                found.setdefault((resource, path), str(row.place))
    return found


def _of_server(resource: Json, url: str, pace: _Pace | None) -> list[Issue]:
    import asyncio

    from ketafhir.errors import KetafhirError
    from ketafhir.sync.client import FhirClient

    async def ask() -> Json:
        client = FhirClient(url, before_each=pace)
        try:
            return await client.validate(resource)
        finally:
            await client.aclose()

    try:
        outcome = asyncio.run(ask())
    except KetafhirError as error:
        hint = "check the address, and that the server runs: `ketafhir doctor`"
        return [Issue("error", "server-unreachable", str(error), where=url, hint=hint)]
    return [server_issue(resource, one) for one in outcome.get("issue", ())]


def server_issue(resource: Json, told: Json) -> Issue:
    """One finding of a server (OperationOutcome.issue), with the profile and the table row added."""
    severity = told.get("severity", "information")
    # HAPI writes Bundle.entry[0].resource/*Patient/p1*/.gender
    path = re.sub(r"/\*.*?\*/", "", str(next(iter(told.get("expression") or told.get("location") or ()), "")))
    return Issue(
        "error" if severity in ("error", "fatal") else "warning" if severity == "warning" else "information",
        "server-" + str(told.get("code", "processing")),
        str(told.get("diagnostics") or told.get("details", {}).get("text", "")),
        where=path,
        row=row_of(resource, path),
        hint=f"{_claims(resource, path)}, as the server says",
    )
