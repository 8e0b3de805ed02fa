"""Feeds of single-event RAS^O17 as an eMAR sends them, and what a server would hold after them."""

from __future__ import annotations

from typing import Any

from golden.cases import last_state
from ketafhir.errors import Issue, Refused
from ketafhir.translate.translation import iter_fhir

PID = "PID|1||K77^^^STM&1.2.3.4&ISO^MR||Doe^Jo||19700101|F"
PV1 = "PV1|1|O|||||||||||||||||V9^^^STM"
RXR = "RXR|IV"


def msh(kind: str, sent: str, control_id: str, version: str) -> str:
    return f"MSH|^~\\&|MARX|STMARY|HUB|HUB|{sent}||{kind}|{control_id}|P|{version}"


def message(
    *segments: str, kind: str = "RAS^O17^RAS_O17", sent: str = "1015", control_id: str = "", version: str = "2.5.1"
) -> bytes:
    """A message of 2 March 2026 sent at the clock time `sent`, in one zone all day."""
    body = "\r".join(segments)
    number = control_id or f"C{sent}{len(body)}"
    return f"{msh(kind, at(sent), number, version)}\r{body}\r".encode()


def at(clock: str) -> str:
    return f"20260302{clock}00+0100"


def orc(control: str = "RE", status: str = "IP", placer: str = "P1^EHR", filler: str = "F1^PH") -> str:
    return f"ORC|{control}|{placer}|{filler}||{status}"


def rxa(
    number: str = "1", start: str = "1000", end: str = "", amount: str = "20", unit: str = "mL", per: str = "H1",
    outcome: str = "", action: str = "A", entered: str = "", strength: str = "1|mg/mL", give: str = "0", note: str = "",
) -> str:  # fmt: skip
    """One RXA of ketamine; `start`, `end` and `entered` are clock times."""
    times = f"{at(start)}|{at(end) if end else ''}"
    drug = f"6130^ketamine^RXN|{amount}|{unit}||{note}|||{per}|{strength}"
    return f"RXA|{give}|{number}|{times}|{drug}||||||{outcome}|{action}|{at(entered) if entered else ''}"


def ras(
    *segments: str, sent: str = "1015", head: tuple[str, ...] = (PID, PV1), control_id: str = "", **order: str
) -> bytes:
    """One ORDER group about one patient and visit."""
    return message(*head, orc(**order), *segments, RXR, sent=sent, control_id=control_id)


class Held:
    """What the FHIR server holds after a feed, with all issues; `refused` are the codes of refused messages."""

    def __init__(self, *messages: bytes) -> None:
        self.issues: list[Issue] = []
        self.refused: list[str] = []
        bundles = []
        for result in iter_fhir(list(messages)):
            if isinstance(result, Refused):
                self.refused.append(result.issues[-1].code)
                continue
            self.issues += result.issues
            assert result.bundle is not None
            bundles.append(result.bundle)
        self.bundle = last_state(bundles)

    @property
    def codes(self) -> list[str]:
        return [issue.code for issue in self.issues]

    def resources(self, kind: str, tag: str = "") -> list[dict[str, Any]]:
        found = [entry["resource"] for entry in self.bundle["entry"] if entry["resource"]["resourceType"] == kind]
        return [one for one in found if not tag or tag in {each["code"] for each in one["meta"].get("tag", ())}]

    @property
    def wholes(self) -> list[dict[str, Any]]:
        return self.resources("MedicationAdministration", "infusion")

    @property
    def segments(self) -> list[dict[str, Any]]:
        found = self.resources("MedicationAdministration", "infusion-segment")
        return sorted(found, key=lambda one: (one["effectivePeriod"]["start"], one["identifier"][0]["value"]))

    @property
    def status(self) -> str:
        (whole,) = self.wholes
        return str(whole["status"])

    @property
    def total(self) -> Any:
        (whole,) = self.wholes
        return whole.get("dosage", {}).get("dose", {}).get("value")

    def clocks(self) -> list[tuple[str, str]]:
        """Start and end of each segment as clock times."""
        periods = [one["effectivePeriod"] for one in self.segments]
        return [(one["start"][11:16], one.get("end", "")[11:16]) for one in periods]
