"""ADT out to HL7v2 (chapter 3.3): patient, visit, allergies and diagnoses as one event, and merges as A40."""

from __future__ import annotations

from ketafhir.mapping import codes
from ketafhir.mapping.engine import put_back
from ketafhir.therapy.records import Patient, Records, Visit
from ketafhir.translate import allergies, diagnoses, patients, visits
from ketafhir.translate.composing import Composing

MERGE = "ADT^A40"
_WITH_MERGE = ("ADT^A06", "ADT^A07")  # an MRG of another account
_WITHOUT = {"A02": ("AL1", "DG1"), "A11": ("AL1",), "A12": ("AL1",)}
"""The lists that an event's structure has no place for; every other holds both."""


def kind_of(told: str, patient: Patient, visit: Visit | None) -> str:
    """The ADT that says how patient and visit stand: the event `told` (`ADT^A04`) where it does, else A08."""
    code, _, event = told.partition("^")
    event = event if code == "ADT" and event not in ("", "A40") else "A08"
    if visit is None:
        return f"ADT^{event if event in ('A01', 'A04', 'A08', 'A28', 'A31') else 'A08'}"
    event = visits.event_of(visit, "A08" if event in visits.OF_A_PERSON else event)
    missing = _WITHOUT.get(event, ())
    if event != "A11" and any(_lists(patient, visit)[name] for name in missing):
        event = "A08"
    return f"ADT^{event}"


def _lists(patient: Patient, visit: Visit | None) -> dict[str, bool]:
    told = [*patient.diagnoses, *(visit.diagnoses if visit else ())]
    return {"AL1": any(not one.former for one in patient.allergies), "DG1": any(not one.former for one in told)}


def tells_lists(patient: Patient, visit: Visit | None) -> bool:
    """Whether there are allergies or diagnoses, which only ADT tells."""
    return any(_lists(patient, visit).values())


def compose(composing: Composing, patient: Patient, visit: Visit | None, kind: str) -> None:
    """What follows the EVN: PID, what stands before the visit, PV1, the lists, and the rest."""
    patients.compose(composing, patient)
    patients.compose_before_visit(composing, patient, () if kind in _WITH_MERGE else ("MRG",))
    if visit is not None:
        visits.compose(composing, visit)
    else:
        # chapter 3: PV1 is required, N is not applicable
        composing.add("PV1", {1: "1", 2: codes.code("v2-0004.N").code})
    patients.compose_rest(composing, patient, before_lists=True)
    missing = _WITHOUT.get(kind.partition("^")[2], ())
    if "AL1" not in missing:
        allergies.compose(composing, patient)
    elif _lists(patient, visit)["AL1"]:
        composing.c.warn("allergies-left-out", f"{kind} has no place for allergies", kind, "send ADT^A31 as well")
    if "DG1" not in missing:
        number = diagnoses.compose(composing, visit) if visit is not None else 0
        if not number:
            diagnoses.compose(composing, patient)
    patients.compose_rest(composing, patient, before_lists=False)


def compose_merge(composing: Composing, records: Records, given_up: Patient) -> None:
    """PID of the patient that stays, MRG of the one that was given up."""
    stays = records.patients[records.merges[given_up.key].patient]
    patients.compose(composing, stays)
    patients.compose_before_visit(composing, stays, ("ARV", "MRG", "NK1"))
    composing.add("MRG", composing.cells(given_up, patients.MRG, preserved=()) | _of_mrg(given_up))


def _of_mrg(given_up: Patient) -> dict[int, str]:
    cells: dict[int, str] = {}
    put_back(cells, "MRG", given_up.preserved)
    return cells
