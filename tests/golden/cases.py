"""Golden cases: one folder each, in.hl7 or in.json with what must come of it.

`therapy.json` (the settled records), `bundle.json` (one Bundle, or NDJSON of several), `out.hl7` (the last state written
back) and `issues.json` (the OperationOutcome); where there is a file `answers.hl7`, the answer to each message. A file `site` names
the example site that sent it; a folder that holds `settings.csv`, `segments/` or `codesystems/` is its own site.
`GOLDEN_UPDATE=1 make test` writes what comes out now: read the difference before you commit it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import json
from ketafhir.fhir.outcome import operation_outcome
from ketafhir.hl7v2 import ack, er7
from ketafhir.hl7v2.stream import split_messages
from ketafhir.therapy.asjson import dump
from ketafhir.therapy.settled import settle
from ketafhir.translate import losses, outgoing
from ketafhir.translate.incoming import parse
from ketafhir.translate.order_answers import echo
from ketafhir.translate.provenance import event_of
from ketafhir.translate.pump_orders import PumpOrders
from ketafhir.translate.session import Session
from ketafhir.translate.settings import Settings, default
from ketafhir.translate.translation import to_hl7v2

ROOT = Path(__file__).parent
ZONE = None
NOON = 1776186000.0  # 2026-04-14T12:00:00-05:00, when orders to pumps leave


def site(folder: Path) -> str | None:
    """The site overlay of a case, as `site=` takes it."""
    if (folder / "site").is_file():
        return (folder / "site").read_text(encoding="utf-8").strip()
    own = any((folder / part).exists() for part in ("settings.csv", "segments", "codesystems"))
    return str(folder) if own else None


def case_settings(folder: Path) -> Settings:
    """The tables of a case; their version is not part of it, or every edit of a comment would change all of them."""
    used = default(ZONE, site(folder))
    settings = Settings(used.tables, used.zone)
    settings._digest = "tables"
    return settings


def folders() -> list[Path]:
    """All cases."""
    return sorted(path.parent for path in ROOT.rglob("in.*"))


def feed(folder: Path) -> bytes:
    """The messages of a case; of one that came as FHIR, what went out."""
    told = [folder / name for name in ("in.hl7", "out.hl7") if (folder / name).is_file()]
    return told[0].read_bytes() if told else b""


class Outcome:
    """What a case gives now; `accounts` are the loss reports of its messages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, bytes] = {}
        self.accounts: list[list[losses.Loss]] = []
        self.bundles: list[dict[str, Any]] = []
        self.refused = 0
        if (folder / "in.json").is_file():
            self._from_fhir((folder / "in.json").read_bytes())
        else:
            self._from_hl7v2((folder / "in.hl7").read_bytes())

    def _from_hl7v2(self, data: bytes) -> None:
        settings = case_settings(self.folder)
        session = Session(settings)
        issues: list[Issue] = []
        answers: list[str] = []
        for one in split_messages(data):
            message = None
            try:
                message = parse(one)
                step = session.take(message)
            except Refused as refusal:
                issues += refusal.issues
                self.refused += 1
                answers += [answer(message, "AE", refusal.issues, settings)] if message else []
                continue
            issues += step.issues
            answers.append(answer(message, "AA", step.issues, settings))
            self.bundles.append(step.bundle)
            self.accounts.append(losses.of_message(message, step.reading))
        if (self.folder / "answers.hl7").is_file():
            self.files["answers.hl7"] = "".join(answers).replace("\r", "\n").encode()
        self.files["issues.json"] = json.dumps(operation_outcome(issues), indent=True) + b"\n"
        if not self.bundles:
            return
        records = settle(session.history)
        self.files["therapy.json"] = json.dumps(dump(records), indent=True) + b"\n"
        if len(self.bundles) == 1:
            self.files["bundle.json"] = json.dumps(self.bundles[0], indent=True) + b"\n"
        else:
            self.files["bundle.json"] = b"".join(json.dumps(one) + b"\n" for one in self.bundles)
        # The way back is from FHIR: the last state of each resource, as a server would hold it.
        back = _back(last_state(self.bundles), site(self.folder), settings)
        self.files["out.hl7"] = back.replace("\r", "\n").encode()
        assert event_of(records)

    def _from_fhir(self, data: bytes) -> None:
        settings = case_settings(self.folder)
        try:
            taking = outgoing.take(json.loads(data), settings)
            text = "".join(outgoing.compose(outgoing.outbound(taking), settings))
        except Refused as refusal:
            self.refused = 1
            self.files["issues.json"] = json.dumps(operation_outcome(refusal.issues), indent=True) + b"\n"
            return
        self.files["issues.json"] = json.dumps(operation_outcome(taking.c.issues), indent=True) + b"\n"
        self.files["therapy.json"] = json.dumps(dump(taking.records), indent=True) + b"\n"
        self.files["out.hl7"] = text.replace("\r", "\n").encode()


def answer(message: er7.Message, code: ack.Code, issues: list[Issue], settings: Settings) -> str:
    """The answer of the service in original mode, of one time and number."""
    below = echo(message, code, settings.tables)
    told = sorted((one for one in issues if one.severity != "information"), key=lambda one: one.severity)
    return ack.application_response(
        message,
        code,
        told,
        control_id=f"A-{message.control_id}",
        timestamp="20260414120000-0500",
        below=below,
        enhanced=False,
    )


def _back(bundle: dict[str, Any], overlay: str | None, settings: Settings) -> str:
    """All that a Bundle makes; give instructions only leave when they are asked for, and with leave to do so."""
    if not any(one["resource"].get("intent") == "instance-order" for one in bundle["entry"]):
        return to_hl7v2(bundle, site=overlay).text
    pump = PumpOrders("Dr Rowan Example", 24, NOON)
    gives = to_hl7v2(bundle, message="RGV^O15", settings=settings.allowing(pump)).text
    return to_hl7v2(bundle, site=overlay).text + gives


def last_state(bundles: list[dict[str, Any]]) -> dict[str, Any]:
    """The Bundles of a feed as one collection: the last writing of each resource; a POST never replaces what is there."""
    held: dict[str, dict[str, Any]] = {}
    for bundle in bundles:
        for entry in bundle.get("entry", ()):
            if entry["request"]["method"] != "POST" or entry["fullUrl"] not in held:
                held[entry["fullUrl"]] = {"fullUrl": entry["fullUrl"], "resource": entry["resource"]}
    return {"resourceType": "Bundle", "type": "collection", "entry": list(held.values())}
