"""Records person by person: all patients that were ever merged are one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ketafhir.therapy.merges import families
from ketafhir.therapy.records import KINDS, Records

_SHARED = ("containers",)
"""Kinds of what belongs to no patient: a device stands now beside one, now beside another."""


def apart(records: Records, about: Mapping[str, frozenset[str]]) -> Iterator[Records]:
    """What is known of each person, in the order of the patients. `about` says of whom the sources speak (keys of patients); a
    source that is not in it speaks of all."""
    first = families(records.patients, records.merges)
    found = {name: Records(containers=records.containers) for name in dict.fromkeys(first.values())}
    for key, source in records.sources.items():
        patients = about.get(key)
        for name in found if patients is None else {first[one] for one in patients if one in first}:
            found[name].sources[key] = source
    for kind in KINDS:
        if kind == "sources" or kind in _SHARED:
            continue
        for key, record in getattr(records, kind).items():
            patient = key if kind == "patients" else record.patient
            if patient in first:
                getattr(found[first[patient]], kind)[key] = record
    yield from found.values()
