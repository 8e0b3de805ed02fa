"""`POST /v1/translate`: what `ketafhir translate` does, with its options as parameters. Nothing is kept."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ketafhir.errors import ConfigError, Refused
from ketafhir.fhir import json
from ketafhir.service.rest.access import May
from ketafhir.service.rest.operations import (
    FHIR_JSON,
    FHIR_NDJSON,
    HL7V2,
    JSON,
    TEXT,
    Answer,
    Ask,
    Operation,
    Parameter,
    refused,
)
from ketafhir.translate import settings as translate_settings
from ketafhir.translate.outputs import Findings, Rejects, Report
from ketafhir.translate.running import Asked, Run
from ketafhir.translate.running import translate as run_translation
from ketafhir.translate.settings import Settings

if TYPE_CHECKING:
    from ketafhir.service.rest.backend import Backend

_PIECE = 1 << 16
_MEDIA = {"fhir": FHIR_JSON, "hl7v2": HL7V2, "therapy": JSON}


async def translate(backend: Backend, ask: Ask) -> Answer:
    """The result, or with `report` or `rejects` an object that holds it beside these; 422 where anything was refused."""
    if backend.waiting.locked():
        raise refused(503, "busy", "too many translations wait", "ask again later")
    asked = _asked(ask)
    settings = _settings(backend, ask)
    async with backend.waiting:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(backend.translating, _translated, asked, settings, ask)


def _asked(ask: Ask) -> Asked:
    values = ask.values
    if (values.get("message") or values.get("version")) and values["to"] != "hl7v2":
        raise refused(400, "parameter-value", "message and version go with to=hl7v2", where="to")
    return Asked(values["to"], values.get("message"), values.get("version"), bool(values.get("strict")))


def _settings(backend: Backend, ask: Ask) -> Settings:
    """Those of a listener, since a request names no folder of this machine; the zone may be its own."""
    name = ask.values.get("listener")
    channel = backend.channels.get(name) if name else backend.channel
    if channel is None:
        hint = f"one of {', '.join(sorted(backend.channels))}"
        raise refused(400, "parameter-value", "there is no such listener", hint, "listener")
    known = channel.settings
    zone = known.zone
    if ask.values.get("timezone"):
        try:
            zone = translate_settings.zone(ask.values["timezone"])
        except ConfigError as error:
            hint = "an IANA name such as America/Chicago"
            raise refused(400, "parameter-value", "there is no such time zone", hint, "timezone") from error
    return Settings(known.tables, zone, known.authorities, known.default_authority, backend.pump())


def _translated(asked: Asked, settings: Settings, ask: Ask) -> Answer:
    issues, out, report, rejects = Findings(), io.BytesIO(), io.BytesIO(), io.BytesIO()
    wanted = Report(report) if ask.values.get("report") else None
    kept = Rejects(rejects) if ask.values.get("rejects") else None
    try:
        any_refused = run_translation(Run(asked, settings, issues, out, "body", wanted, kept), _pieces(ask.body))
    except Refused as refusal:
        issues.extend(refusal.issues)
        any_refused = True
    for one in (wanted, kept):
        if one is not None:
            one.close()
    status = 422 if any_refused else 200
    if wanted is not None or kept is not None:
        found: dict[str, Any] = {"result": out.getvalue().decode(), "outcome": json.loads(b"".join(issues.json()))}
        if wanted is not None:
            found["report"] = json.loads(report.getvalue())
        if kept is not None:
            found["rejects"] = rejects.getvalue().decode("utf-8", "backslashreplace")
        return Answer(status, json.dumps(found), JSON)
    if any_refused:
        return Answer(status, b"".join(issues.json()), FHIR_JSON)
    lines = out.getvalue()
    media = FHIR_NDJSON if asked.to == "fhir" and lines.count(b"\n") > 1 else _MEDIA[asked.to]
    warnings = sum(one.severity == "warning" for one in issues.held)
    return Answer(status, lines, media, {"ketafhir-warnings": str(warnings)})


def _pieces(body: bytes) -> Iterator[bytes]:
    for at in range(0, len(body), _PIECE):
        yield body[at : at + _PIECE]


OPERATIONS: Sequence[Operation] = (
    Operation(
        "POST",
        "/v1/translate",
        "Translate HL7v2 messages to FHIR, or FHIR JSON to HL7v2; nothing is kept",
        May.TRANSLATE,
        translate,
        {200: (FHIR_JSON, FHIR_NDJSON, HL7V2, JSON), 422: (FHIR_JSON, JSON), 503: (FHIR_JSON,)},
        parameters=(
            Parameter("to", "what to make of it", among=("fhir", "hl7v2", "therapy"), required=True),
            Parameter("message", "with to=hl7v2: only this message, such as RAS^O17"),
            Parameter("version", "with to=hl7v2: the version written, 2.3 to 2.8.1"),
            Parameter("strict", "also check HL7v2 conformance; errors refuse", "boolean"),
            Parameter("report", "answer with an object: result, outcome, and what became of each field", "boolean"),
            Parameter("rejects", "answer with an object: result, outcome, and the messages refused", "boolean"),
            Parameter("listener", "the listener whose site, zone and authorities it goes by"),
            Parameter("timezone", "zone of times without offset, such as America/Chicago"),
        ),
        takes=(HL7V2, FHIR_JSON, FHIR_NDJSON, JSON, TEXT),
    ),
)
