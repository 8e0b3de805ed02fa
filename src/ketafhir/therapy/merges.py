"""Which patient stays when numbers are merged (ADT^A40), whatever the order in which the merges came.

A merge is told once and holds for all that is told under the number that was given up, before it and after it. Merges
follow each other (A into B, B into C: A is C). A merge into a number that itself was given up for the same person before
makes that one the patient that stays: the newer message counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ketafhir.plain import replace
from ketafhir.therapy.records import KINDS, Merge, Records

if TYPE_CHECKING:
    from ketafhir.therapy.fold import History


def survivors(merges: Mapping[str, Merge]) -> dict[str, str]:
    """For each patient that was given up, the one that stays."""
    into: dict[str, str] = {}
    for merge in sorted(merges.values(), key=lambda one: (*one.told, one.key)):
        if merge.key == merge.patient:
            continue
        if _end(into, merge.patient) == merge.key:
            into.pop(merge.patient, None)
        into[merge.key] = merge.patient
    return {key: _end(into, key) for key in into}


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    """The patients whose records are another's now than they were."""
    return {key for key in {*before, *after} if before.get(key) != after.get(key)}


def with_records_of(history: History, new: Records, patients: set[str]) -> Records:
    """`new`, and all that is known of these patients: what is written again when it is moved to who stays."""
    from ketafhir.therapy.settled import act, completed

    told = Records(**{kind: dict(getattr(new, kind)) for kind in KINDS})
    settled: dict[str, Any] = {"patients": completed, "visits": completed, "orders": completed, "administrations": act}
    for kind, settle in settled.items():
        known, wanted = getattr(history, kind), getattr(told, kind)
        for key, versions in known.items():
            if key not in wanted and (key if kind == "patients" else versions[-1].patient) in patients:
                wanted[key] = settle(versions)
    for kind in ("wastes", "dispenses", "reports", "observations", "responses", "decisions", "adverse_events"):
        known, wanted = getattr(history.others, kind), getattr(told, kind)
        wanted.update({key: one for key, one in known.items() if key not in wanted and one.patient in patients})
    return told


def settled(records: Records) -> Records:
    """The records with all that was told of a patient given up moved to who stays."""
    stays = survivors(records.merges)
    out = Records(**{kind: dict(getattr(records, kind)) for kind in KINDS})
    for kind in KINDS:
        if kind not in ("sources", "patients", "merges", "containers"):
            found = getattr(out, kind)
            for key, one in found.items():
                if one.patient in stays:
                    found[key] = replace(one, patient=stays[one.patient])
    out.merges = {key: replace(one, patient=stays[key]) for key, one in records.merges.items() if key in stays}
    return out


def families(patients: Iterable[str], merges: Mapping[str, Merge]) -> dict[str, str]:
    """Of each patient one that stands for all that were ever merged with it: the first of them."""
    into: dict[str, str] = {}

    def first(key: str) -> str:
        while into.get(key, key) != key:
            key = into[key]
        return key

    place = {key: number for number, key in enumerate(patients)}
    for merge in merges.values():
        pair = sorted((first(merge.key), first(merge.patient)), key=lambda key: place.get(key, len(place)))
        into[pair[1]] = pair[0]
    return {key: first(key) for key in place}


def family(patients: Iterable[str], merges: Iterable[Merge]) -> set[str]:
    """These patients and all that were ever merged with them, however far."""
    found = set(patients)
    pairs = [{merge.key, merge.patient} for merge in merges]
    grown = True
    while grown:
        wider = found.union(*(pair for pair in pairs if pair & found))
        grown, found = wider != found, wider
    return found


def _end(into: Mapping[str, str], key: str) -> str:
    while key in into:
        key = into[key]
    return key


def aliases(new: Records, known: Records, panels: Mapping[str, object], stays: Mapping[str, str]) -> dict[str, str]:
    """Keys of `new` made of a patient's number, as they are known under another number of the same person.

    What a sender does not number with an authority is told apart by its patient: it keeps the identity that it was
    first told under.
    """
    found: dict[str, str] = {}
    for patient in new.patients:
        stay = stays.get(patient, patient)
        others = [one for one in (stay, *(key for key, end in stays.items() if end == stay)) if one != patient]
        for kind in ("observations", "reports", "responses", "decisions", "adverse_events"):
            held = getattr(known, kind)
            for key in getattr(new, kind):
                if key not in held:
                    _find(found, key, patient, others, held)
        for one in new.observations.values():
            if one.panel and one.panel not in panels:
                _find(found, one.panel, patient, others, panels)
    return found


def under(told: Records, patient: str, others: Iterable[str]) -> Records:
    """`told` with the keys that are made of another patient's number made of this one's beside them, as `aliases` finds them."""
    out = Records(**{kind: dict(getattr(told, kind)) for kind in KINDS})
    for kind in ("observations", "reports", "responses", "decisions", "adverse_events"):
        held = getattr(out, kind)
        for key, one in list(held.items()):
            for other in others:
                if other != patient and key.startswith(f"{other}|"):
                    name = patient + key[len(other) :]
                    held[name] = _renamed(one, name, other, patient)
    return out


def _renamed(record: Any, key: str, other: str, patient: str) -> Any:
    changes = {"key": key}
    for name in ("report", "panel", "response"):
        text = getattr(record, name, "")
        if text.startswith(f"{other}|"):
            changes[name] = patient + text[len(other) :]
    return replace(record, **changes)


def _find(found: dict[str, str], key: str, patient: str, others: Iterable[str], held: Mapping[str, object]) -> None:
    for other in others:
        if key.startswith(f"{patient}|") and other + key[len(patient) :] in held:
            found[key] = other + key[len(patient) :]
