"""The way in from FHIR: what a mapping module sees while it turns resources into records."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir.bundle import Index
from ketafhir.mapping.codecs.identifiers import read_identifier
from ketafhir.mapping.context import Context
from ketafhir.mapping.engine import get_preserved
from ketafhir.mapping.paths import Json
from ketafhir.mapping.tables import Tables
from ketafhir.therapy.merges import survivors
from ketafhir.therapy.records import Records
from ketafhir.therapy.values import Identifier


class Taking:
    """One Bundle (or resource) on its way to records.

    A record taken from FHIR gets its key from the business identifiers of the resource, so that it meets the record that
    HL7v2 told; a resource without any is known by its fullUrl or id. `orders`, `acts`, `infusions` and `taken` hold the keys of
    the records that a resource has become, by its `id()`; `left_out` why it has become none.
    """

    def __init__(self, index: Index, tables: Tables, c: Context) -> None:
        self.index, self.tables, self.c = index, tables, c
        self.records = Records()
        self.orders: dict[int, str] = {}
        self.acts: dict[int, str] = {}
        self.infusions: dict[int, str] = {}
        self._within: Json = {}
        self.taken: dict[int, tuple[str, ...]] = {}
        self._subjects: dict[int, tuple[Json, str]] = {}
        self.left_out: dict[int, str] = {}
        c.segment = None
        c.resolve = lambda reference: self.index.resolve(reference, self._within)

    def take(self, resource: Json, *tables: str, seen: Json | None = None) -> dict[str, Any]:
        """The domain values of a resource by these tables, joined; `preserved` among them where there is any. Raises Refused.

        `seen` is the resource as the tables are to see it, where a module rearranged it (what was given is never changed).
        """
        self._within = resource
        self.c.where = self.name(resource)
        values: dict[str, Any] = {}
        for name in tables:
            values.update(self.tables.mapping(name).from_fhir(seen or resource, self.c, name))
        preserved = get_preserved(resource)
        if self.tables.z_tables:
            from ketafhir.mapping import zsegments

            preserved = (*zsegments.told(resource, self.tables, self.c), *preserved)
        if preserved:
            values["preserved"] = preserved
        return values

    @staticmethod
    def name(resource: Json) -> str:
        """What a finding calls a resource: `Observation/o1`."""
        return f"{resource['resourceType']}/{resource['id']}" if "id" in resource else str(resource["resourceType"])

    def leave_out(self, resource: Json, code: str, why: str) -> None:
        """Warn that a resource is not carried, for the loss report too."""
        self.left_out[id(resource)] = why
        self.c.where = self.name(resource)
        self.c.warn(code, why)

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """Take another resource in between; afterwards findings speak of this one again."""
        within, where = self._within, self.c.where
        try:
            yield
        finally:
            self._within, self.c.where = within, where

    def _once(self, resource: Json, take: Callable[[], str]) -> str:
        """The key of a patient or visit, taken when it is first met: most resources refer to the same."""
        known = self._subjects.get(id(resource))
        if known is None:
            with self._aside():
                known = self._subjects[id(resource)] = resource, take()  # kept, so that no other has its id()
        return known[1]

    def resolve(self, reference: Any, within: Json) -> Json | None:
        """The resource a Reference points to, where it is in the Bundle."""
        return self.index.resolve(reference, within) if reference else None

    def identifiers(self, resource: Json) -> list[Identifier]:
        """The business identifiers of a resource (a list or, of a QuestionnaireResponse, one)."""
        listed = resource.get("identifier", [])
        return [one for one in map(read_identifier, listed if isinstance(listed, list) else [listed]) if one]

    def local_key(self, resource: Json) -> str:
        """A key for a resource without business identifier: its id, else its fullUrl."""
        return str(resource.get("id") or self.index.full_url(resource) or resource["resourceType"])

    def patient(self, resource: Json, element: str = "subject") -> str:
        """The key of the patient a resource is about; the patient is added where the Bundle holds it. Raises Refused."""
        from ketafhir.translate.patients import take_patient

        reference = resource.get(element)
        found = self.resolve(reference, resource)
        if found is not None and found.get("resourceType") == "Patient":
            return self._once(found, lambda: take_patient(self, found).key)
        identifier = read_identifier(reference.get("identifier")) if isinstance(reference, dict) else None
        if identifier is None:
            raise Refused(
                *self.c.issues,
                Issue(
                    "error",
                    "patient-missing",
                    "the patient is neither in the Bundle nor referred to by identifier",
                    where=f"{self.name(resource)}.{element}",
                    hint="add the Patient to the Bundle, or subject.identifier",
                    hl7="101",
                ),
            )
        with self._aside():
            return take_patient(self, {"resourceType": "Patient", "identifier": [(reference or {})["identifier"]]}).key

    def visit(self, resource: Json, element: str = "encounter") -> str:
        """The key of the visit a resource belongs to, or "" where there is none."""
        from ketafhir.translate.visits import take as take_visit

        reference = resource.get(element)
        found = self.resolve(reference, resource)
        if found is not None and found.get("resourceType") == "Encounter":
            return self._of_patient(self._once(found, lambda: take_visit(self, found)), resource, element)
        if isinstance(reference, dict) and reference.get("identifier"):
            about = {
                "resourceType": "Encounter",
                "identifier": [reference["identifier"]],
                "subject": resource.get("subject") or resource.get("patient"),
            }
            with self._aside():
                key = take_visit(self, about)
            return self._of_patient(key, resource, element)
        if reference:
            told = str(reference.get("reference", "")) if isinstance(reference, dict) else str(reference)
            self.c.warn("visit-missing", "the visit is neither in the Bundle nor referred to by identifier", told)
        return ""

    def _of_patient(self, key: str, resource: Json, element: str) -> str:
        """The key of a visit, which is of the same patient. Raises Refused."""
        visit, patient = self.records.visits[key], self.patient(resource)
        visit.patient = visit.patient or patient
        stays = survivors(self.records.merges)
        if stays.get(visit.patient, visit.patient) != stays.get(patient, patient):
            raise Refused(
                *self.c.issues,
                Issue(
                    "error", "visit-of-other-patient", "the visit is another patient's",
                    where=f"{self.name(resource)}.{element}", value=key, hint="check subject and encounter", hl7="205",
                ),
            )  # fmt: skip
        return key
