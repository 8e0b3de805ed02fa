"""The loss report of a Bundle: each element is mapped, or dropped with a reason, down to the element that is not read.

What the tables read they say themselves; what the mapping modules read by code stands in `_BY_CODE`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from ketafhir.mapping.engine import PRESERVED
from ketafhir.mapping.paths import EXTENSION, Json, Slice, extension_url
from ketafhir.mapping.tables import Row, Table, Tables
from ketafhir.translate.losses import Loss
from ketafhir.translate.read_by_code import ByCode, elements_of, extension_of, is_read
from ketafhir.translate.taking import Taking

_SERVER = "the server's own bookkeeping"
_NARRATIVE = "the narrative says again what the elements say"
_EVERYWHERE = {"id": _SERVER, "text": _NARRATIVE, "language": _NARRATIVE, "resourceType": ""}
_WHOLE = (
    "identifier", "status", "subject", "context", "request", "partOf", "note[].text", "dosage.text", "dosage.dose",
    "medicationReference", "medicationCodeableConcept", "effectivePeriod", "effectiveDateTime", "statusReason",
    "meta.source", "meta.tag",
)  # fmt: skip
"""What is read of an infusion that others are part of."""
_WHY = {
    ("Observation", "category"): "it follows from the code",
    ("Observation", "hasMember"): "its members go out as observations of their own",
    ("Patient", "active"): "a patient that was given up has a link to who stays",
    ("Condition", "category"): "DG1 is a diagnosis of a visit where there is one",
    ("MedicationAdministration", "dosage"): "RXA has no place for it",
}
_NO_ROW = "no row reads this element"
_NUMBERED = ("MedicationRequest", "MedicationAdministration", "DiagnosticReport", "ClinicalImpression", "Encounter")
_BESIDE = (EXTENSION + "v2-dtm", EXTENSION + "v2-code")
"""Extensions that say more exactly what the element beside them says."""


class _Step(NamedTuple):
    key: str
    choice: bool = False
    first: bool = False
    slice: Slice | None = None
    url: str = ""

    def takes(self, number: int, item: Any) -> bool:
        """Whether the step goes through this item of a list."""
        if self.slice is not None:
            return self.slice.matches(item)
        if self.url:
            return isinstance(item, dict) and item.get("url") == self.url
        return number == 0 or not self.first


class _Path(NamedTuple):
    """The way to an element that is read: by a row of a table, or by code."""

    steps: tuple[_Step, ...]
    read: tuple[Table, Row] | ByCode

    def within_slice(self) -> _Path:
        """The way to what tells the slice of its first step from others: it is read too."""
        assert self.steps[0].slice is not None
        return self._replace(steps=(_Step(self.steps[0].slice.at[0].removesuffix("[]")),))

    def further(self) -> _Path:
        """The way behind its first step."""
        return self._replace(steps=self.steps[1:])


class Element(NamedTuple):
    """What became of one element: `where` it stands (`Observation/o1.code`), its value, its fate (mapped, preserved, dropped) and
    why, the rows that read it, of `holder` (a resource, or what it contains), and what says where it goes by code."""

    where: str
    value: Any
    fate: str
    why: str
    holder: Json
    rows: tuple[tuple[Table, Row], ...] = ()
    by_code: tuple[ByCode, ...] = ()

    @property
    def row(self) -> str:
        """The row that reads it, where there is one alone."""
        if len(self.rows) == 1:
            return self.rows[0][1].place
        return self.by_code[0].place if self.by_code and not self.rows else ""


def of_bundle(taking: Taking, tables: Tables) -> list[Loss]:
    """The account of all resources of a Bundle, and of the MSH, which is new."""
    found = [Loss("MSH", "", "dropped", "the MSH out is new: MSH-10 from the content, MSH-7 the newest event time")]
    for resource in taking.index.resources():
        for one in of_resource(taking, tables, resource, taking.name(resource)):
            found.append(Loss(one.where, one.row, one.fate, one.why))
    return found


def of_resource(taking: Taking, tables: Tables, resource: Json, name: str) -> list[Element]:
    """The account of one resource of a Bundle, of what it contains first."""
    kind = str(resource["resourceType"])
    why = taking.left_out.get(id(resource), "" if is_read(kind) else f"no {kind} is read")
    if why:
        left = ((key, value) for key, value in resource.items() if key != "resourceType")
        return [Element(f"{name}.{key}", value, "dropped", why, resource) for key, value in left]
    paths = _paths(tables, kind)
    if kind == "MedicationAdministration" and id(resource) in taking.infusions:
        told = {one.element: one for one in elements_of(kind)}
        paths = tuple(_Path(_steps(text, {}), told[text]) for text in _WHOLE)
    elif kind in _NUMBERED and not _stands_for_a_number(resource, kind):
        paths = tuple(path for path in paths if not _is_first_number(path))
    found: list[Element] = []
    for number, inner in enumerate(resource.get("contained", ())):
        found += of_resource(taking, tables, inner, f"{name}.contained[{number}]")
    shown = {key: value for key, value in resource.items() if key != "contained"}
    walk = _Walk(kind, resource, found)
    walk.into(shown, paths, name)
    return found


def _objects(value: Any) -> list[Json]:
    """The elements of what should be a list of them: a resource that is not read may have any shape."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _stands_for_a_number(resource: Json, kind: str) -> bool:
    """Whether the first identifier is read because none is typed as the number that is looked for."""
    types = [one.get("type") for one in _objects(resource.get("identifier"))]
    typed = {str(coding.get("code")) for one in _objects(types) for coding in _objects(one.get("coding"))}
    if kind == "Encounter":
        return "VN" not in typed
    if kind == "MedicationAdministration":
        return not typed & {"PLAC", "FILL"} and not resource.get("request") and not resource.get("partOf")
    return not typed & {"PLAC", "FILL"}


def _is_first_number(path: _Path) -> bool:
    """Whether it is read only of what has no typed number."""
    return isinstance(path.read, ByCode) and path.read.element == "identifier[0]"


@lru_cache(maxsize=64)
def _paths(tables: Tables, kind: str) -> tuple[_Path, ...]:
    """Every path of a resource type that is read, by a table or by code."""
    found = [_Path(_steps(one.element, tables.slices), one) for one in elements_of(kind) if one.element != "identifier"]
    for name in tables.names():
        table = tables.table(name)
        owner, _, within = table.resource.partition(".")
        if owner == kind:
            before = (_Step(within),) if within else ()
            for row in table.rows:
                if row.path is not None:
                    found.append(_Path(before + _steps(row.fhir, tables.slices), (table, row)))
    return tuple(found)


def _steps(text: str, slices: dict[tuple[str, str], Slice]) -> tuple[_Step, ...]:
    choice = text.endswith("[x]")
    parts = _split(text.removesuffix("[x]"))
    found = []
    for number, part in enumerate(parts, 1):
        key, _, inside = part.rstrip("]").partition("[")
        url = extension_url(inside) if key == "extension" else ""
        named = slices.get((key, inside)) if inside and not url else None
        found.append(_Step(key, choice and number == len(parts), inside == "0", named, url))
    return tuple(found)


def _split(text: str) -> list[str]:
    """The parts between dots, but not those within brackets."""
    found, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "." and not depth:
            found.append("")
        else:
            found[-1] += letter
    return found


def _is(step: _Step, key: str) -> bool:
    if step.choice:
        return key.startswith(step.key) and key[len(step.key) : len(step.key) + 1].isupper()
    return key == step.key


class _Walk(NamedTuple):
    """The way through one resource (`holder`); what became of its elements goes to `found`."""

    kind: str
    holder: Json
    found: list[Element]

    def into(self, element: Json, paths: Iterable[_Path], name: str) -> None:
        """Go through what stands below an element."""
        paths = tuple(paths)
        for key, value in element.items():
            where = f"{name}.{key}"
            if key in _EVERYWHERE and key not in {path.steps[0].key for path in paths}:
                if _EVERYWHERE[key]:
                    self._tell(where, value, "dropped", _EVERYWHERE[key])
                continue
            if key == "extension" or key.startswith("_"):
                beside = [path for path in paths if path.steps[0].url or _is(path.steps[0], key[1:])]
                self._extensions(value, where, beside)
                continue
            ahead = [path for path in paths if _is(path.steps[0], key)]
            if not isinstance(value, list):
                self._go_on(value, [path.further() for path in ahead], where)
                continue
            for number, item in enumerate(value):
                taken = [path for path in ahead if path.steps[0].takes(number, item)]
                place = where if len(value) == 1 else f"{where}[{number}]"
                if ahead and not taken:
                    self._tell(place, item, "dropped", "HL7v2 has no place for this one beside the others")
                    continue
                further = [path.further() for path in taken]
                further += [path.within_slice() for path in taken if path.steps[0].slice]
                self._go_on(item, further, place)

    def _go_on(self, value: Any, further: list[_Path], where: str) -> None:
        """The rest of the way: nothing goes here, something ends here, or it goes on below."""
        if not further:
            parts = where.split(".")
            why = _WHY.get((self.kind, parts[1].partition("[")[0]), _NO_ROW) if len(parts) > 1 else _NO_ROW
            self._tell(where, value, "dropped", _SERVER if ".meta." in where else why)
        elif not isinstance(value, dict) or any(not path.steps for path in further):
            self._tell(where, value, "mapped", "", *_readers([path for path in further if not path.steps]))
        else:
            self.into(value, further, where)

    def _extensions(self, value: Any, where: str, paths: list[_Path]) -> None:
        """Extensions of ours are read where they stand, of others those that a site has a row for (one of `paths`)."""
        listed: list[Any] = []
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                listed += _objects(one.get("extension")) if "url" not in one else [one]
        for one in listed:
            url = str(one.get("url", ""))
            says_again = url in _BESIDE
            rows, by_code = _readers(
                [path for path in paths if path.steps[0].url == url or (says_again and not path.steps[0].url)]
            )
            by_code = by_code or extension_of(url)
            if rows or by_code or url.startswith(EXTENSION):
                self._tell(where, one, "preserved" if url == PRESERVED else "mapped", "", rows, by_code)
            else:
                self._tell(where, one, "dropped", f"the extension {one.get('url')} is not read")

    def _tell(
        self, where: str, value: Any, fate: str, why: str, rows: _Rows = (), by_code: tuple[ByCode, ...] = ()
    ) -> None:
        self.found.append(Element(where, value, fate, why, self.holder, rows, by_code))


_Rows = tuple[tuple[Table, Row], ...]


def _readers(paths: Iterable[_Path]) -> tuple[_Rows, tuple[ByCode, ...]]:
    """The rows of tables that end these paths, and of `read-by-code.csv`."""
    told = dict.fromkeys(path.read for path in paths)
    return tuple(one for one in told if not isinstance(one, ByCode)), tuple(
        one for one in told if isinstance(one, ByCode)
    )
