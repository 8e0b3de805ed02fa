"""ORU^R01 through records and FHIR and back, for the tests of observations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ketafhir.errors import Issue
from ketafhir.fhir import json
from ketafhir.fhir.bundle import Index
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.records import Records
from ketafhir.translate import incoming, observations, patients, results
from ketafhir.translate.composing import Composing
from ketafhir.translate.reading import Reading
from ketafhir.translate.session import Session
from ketafhir.translate.settings import Settings
from ketafhir.translate.taking import Taking

Json = dict[str, Any]
TABLES = Tables()
HEAD = (
    r"MSH|^~\&|MONITOR|WILLOW|KETAFHIR|WILLOW|20260309075805-0500||ORU^R01^ORU_R01|M1|P|2.5.1",
    "PID|1||SYN-100201^^^WILLOW^MR||Halloway^Wren",
)
PANEL = "OBR|1||F1^MON|85353-1^Vital signs^LN|||20260309075800-0500||||||||||||||||||F"
AT = "20260309075800-0500"


def settings() -> Settings:
    return Settings(TABLES)


def message(*lines: str) -> str:
    """An ORU^R01 with these segments below the PID."""
    return "\r".join((*HEAD, *lines)) + "\r"


def obx(number: int, kind: str, code: str, value: str, *, unit: str = "", status: str = "F", **more: str) -> str:
    """An OBX; `more` are other fields as `f4="1"`."""
    cells = {1: str(number), 2: kind, 3: code, 5: value, 6: unit, 11: status, 14: AT}
    cells |= {int(name[1:]): text for name, text in more.items()}
    return "|".join(["OBX", *(cells.get(at, "") for at in range(1, max(cells) + 1))]).rstrip("|")


def read(text: str) -> Reading:
    return incoming.read(incoming.parse(text), settings())


def to_bundle(text: str) -> Json:
    """The Bundle of one message, through JSON text."""
    bundle: Json = json.loads(json.dumps(Session(settings()).take(incoming.parse(text)).bundle))
    return bundle


def resources(bundle: Json, resource_type: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == resource_type]


def take(bundle: Json) -> Taking:
    taking = Taking(Index(bundle), TABLES, settings().context())
    for resource in taking.index.of_type("Patient"):
        patients.take_patient(taking, resource)
    observations.take(taking)
    return taking


def compose(records: Records, visit: str = "") -> list[str]:
    """The segments below PID and PV1."""
    composing = Composing(records, TABLES, settings().context())
    observations.compose(composing, next(iter(records.patients)), visit, results.by_heading(records))
    return composing.lines


def back(text: str, change: Callable[[Json], None] = lambda bundle: None) -> list[str]:
    """The segments below PID and PV1, after a way through FHIR in which `change` may alter the Bundle."""
    bundle = to_bundle(text)
    change(bundle)
    taking = take(bundle)
    visits = taking.records.visits
    return compose(taking.records, next(iter(visits), ""))


def below_patient(text: str) -> list[str]:
    lines = text.replace("\n", "\r").strip("\r").split("\r")
    return [line for line in lines if line[:3] not in ("MSH", "PID", "PV1")]


def codes_of(issues: list[Issue]) -> list[str]:
    return [issue.code for issue in issues]
