"""Conformance to the version of MSH-12, by the tables of hl7apy, for segments and groups as we walked them.

hl7apy is never let parse a message: it groups a conformant `RXA RXR RXA RXR` wrongly and puts the TQ1 after
RXE into the group before it. Each segment is given to it alone; the groups are checked against its
structures. What it has no table for is told in an issue of severity `information`.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ketafhir.errors import Issue
from ketafhir.hl7v2.er7 import encode_segment
from ketafhir.hl7v2.grammar import Grammar
from ketafhir.hl7v2.structures import structure_of
from ketafhir.hl7v2.tree import segments_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from ketafhir.errors import Severity
    from ketafhir.hl7v2.er7 import Message, Segment
    from ketafhir.hl7v2.tree import Walked

# What hl7apy's report lines begin with, and what they are: severity, code, table 0357.
_FINDINGS: tuple[tuple[str, Severity, str, str], ...] = (
    ("Missing required child", "error", "strict-missing", "101"),
    ("Child limit exceeded", "error", "strict-repeats", "102"),
    ("Invalid children detected", "error", "strict-surplus", "102"),
    ("Datatype", "error", "strict-type", "102"),
    ("Value", "warning", "strict-table", "103"),
    ("Exceeded max length", "warning", "strict-length", "102"),
)
_OTHER: tuple[str, Severity, str, str] = ("", "error", "strict-other", "102")
# Findings that say nothing of the message: on a field of which the table has only the number; on coding
# systems, of which a version lists those of its day; on OBX-2 and OBX-4, conditional in every version.
_EMPTY = re.compile(r"it must be None|not in table HL70396|Missing required child OBX\.OBX_[24]$")
# What the library may raise on a segment besides its own errors: its tables have holes (RXE of 2.7).
_HOLES = (TypeError, AttributeError, KeyError, IndexError, ValueError)
# Values of these types are checked one by one: hl7apy looks at none of them when it takes a segment.
_CHECKED = frozenset(("NM", "SI", "DT", "TM", "DTM", "TS"))


def check(message: Message, walked: Walked) -> list[Issue]:
    """The findings about each segment, then those about the groups, in message order."""
    library = _library(message.version)
    if library is None:
        text = f"hl7apy has no tables for version {message.version!r}: nothing was checked"
        return [Issue("information", "strict-unchecked", text, where="MSH-12", hl7="203")]
    return [*_Segments(message).check(), *_Groups(message, walked).check()]


def segment_types(version: str, name: str) -> list[tuple[int, str, int, int]]:
    """Field number, data type, least and most repetitions (-1: any number) of each field of a segment.

    Empty where hl7apy does not know the version or the segment.
    """
    reference = _reference(name, "Segment", version) if _library(version) else None
    return [_field_type(child) for child in reference[1]] if reference else []


def field_names(version: str, name: str) -> dict[int, str]:
    """The name of each field of a segment, such as `administered code`; none where hl7apy does not know the version or segment."""
    reference = _reference(name, "Segment", version) if _library(version) else None
    named = [(child[0], child[1][3]) for child in reference[1]] if reference else []
    return {int(field.rsplit("_", 1)[1]): str(long or "").replace("_", " ").lower() for field, long in named}


def _field_type(child: Any) -> tuple[int, str, int, int]:
    name, reference, (least, most), *_ = child
    return int(name.rsplit("_", 1)[1]), str(reference[2]), least, most


def _hl7apy() -> ModuleType:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import hl7apy
        import hl7apy.exceptions
        import hl7apy.factories
        import hl7apy.parser
        import hl7apy.validation
    return hl7apy  # type: ignore[no-any-return]


def _library(version: str) -> str | None:
    found: str | None = _hl7apy().SUPPORTED_LIBRARIES.get(version)
    return found


def _reference(name: str, kind: str, version: str) -> Any:
    """The table of a message or segment, or None where hl7apy has none."""
    hl7apy = _hl7apy()
    try:
        return hl7apy.load_reference(name, kind, version)
    except hl7apy.exceptions.ChildNotFound:
        return None


class _Segments:
    """Each segment on its own: required fields, repetitions, data types, values."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.hl7apy = _hl7apy()
        seps = message.separators
        self.chars = {
            **self.hl7apy.get_default_encoding_chars(message.version),
            "FIELD": seps.field,
            "COMPONENT": seps.component,
            "REPETITION": seps.repetition,
            "ESCAPE": seps.escape,
            "SUBCOMPONENT": seps.subcomponent,
        }

    def check(self) -> Iterator[Issue]:
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            for segment in self.message.segments:
                if segment.name.startswith("Z"):
                    continue
                if _reference(segment.name, "Segment", self.message.version) is None:
                    text = f"version {self.message.version} has no segment {segment.name}"
                    where = self.message.where(segment)
                    yield Issue("error", "strict-segment", text, where=where, hl7="100")
                else:
                    yield from self._segment(segment, Path(folder, "report"))

    def _segment(self, segment: Segment, report: Any) -> Iterator[Issue]:
        tolerant = self.hl7apy.consts.VALIDATION_LEVEL.TOLERANT
        text = encode_segment(segment.name, segment.fields, self.message.separators)
        try:
            element = self.hl7apy.parser.parse_segment(text, self.message.version, self.chars, tolerant)
        except (self.hl7apy.exceptions.HL7apyException, *_HOLES):
            text = f"hl7apy cannot check {segment.name} of version {self.message.version}"
            where = self.message.where(segment)
            yield Issue("information", "strict-unchecked", text, where=where)
            return
        for line in self._report(element, report).splitlines():
            if not _EMPTY.search(line):
                yield self._finding(segment, line.partition(": ")[2])
        yield from self._values(segment, element)

    def _report(self, element: Any, report: Any) -> str:
        with suppress(self.hl7apy.exceptions.HL7apyException):  # the first finding, which the report has too
            self.hl7apy.validation.Validator.validate(element, report_file=report)
        return str(report.read_text(encoding="utf-8"))

    def _finding(self, segment: Segment, text: str) -> Issue:
        rules = next((rule for rule in _FINDINGS if text.startswith(rule[0])), _OTHER)
        place = re.search(rf"{segment.name}_(\d+)(?:\.[A-Z0-9]+_(\d+))?", text)
        field, component = place.groups(default="0") if place else ("0", "0")
        where = self.message.where(segment, int(field), int(component))
        return Issue(rules[1], rules[2], text, where=where, hl7=rules[3])

    def _values(self, segment: Segment, element: Any) -> Iterator[Issue]:
        strict = self.hl7apy.consts.VALIDATION_LEVEL.STRICT
        for names, datatype, value in _leaves(element, ()):
            if segment.name == "OBX" and names[0] == "OBX_5":
                datatype = segment.get(2)
            if datatype not in _CHECKED or value in ("", '""'):
                continue
            try:
                self.hl7apy.factories.datatype_factory(datatype, value, self.message.version, strict)
            except self.hl7apy.exceptions.InvalidDataType:
                continue  # the version builds this type of others, which are leaves of their own
            except (ValueError, self.hl7apy.exceptions.HL7apyException) as error:
                numbers = [int(n.rsplit("_", 1)[1]) for n in names if n[-1].isdigit() and n != "VARIES_1"]
                field, component = (*numbers, 0, 0)[:2]
                where = self.message.where(segment, field, component)
                yield Issue("error", "strict-value", str(error), where=where, value=value, hl7="102")


def _leaves(element: Any, names: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str, str]]:
    """The names from the field down, the data type and the text of each value of an hl7apy element."""
    for child in element.children:
        path = (*names, str(child.name))
        if getattr(child, "children", None):
            yield from _leaves(child, path)
        else:
            yield path, str(child.datatype), child.to_er7()


class _Groups:
    """The message, each ORDER and each ADMINISTRATION as we walked them, against the structure."""

    def __init__(self, message: Message, walked: Walked) -> None:
        self.message = message
        self.walked = walked
        self.version = message.version

    def check(self) -> Iterator[Issue]:
        names = (self.message.structure, structure_of(self.message.code, self.message.event, self.version))
        for name in names:
            reference = _reference(name, "Message", self.version)
            if reference is not None:
                yield from self._message(name, reference)
                return
        text = f"hl7apy has no structure {names[0]} in version {self.version}: its groups were not checked"
        yield Issue("information", "strict-unchecked", text, where="MSH-9.3", hl7="200")

    def _message(self, structure: str, reference: Any) -> Iterator[Issue]:
        groups = dict(_groups(reference))
        names = (f"{structure}_ORDER", f"{structure}_ORDER_OBSERVATION")
        order = next((name for name in names if name in groups), "")
        orders = [order for patient in self.walked.patients for order in patient.orders] if order else []
        yield from self._row("the message", reference, self.walked, orders, order)
        administration = f"{structure}_ADMINISTRATION"
        for walked in orders:
            parts = walked.administrations if administration in groups else []
            place = f"the order of {self.message.where(walked.head)}"
            yield from self._row(place, groups[order], walked, parts, administration)
            for part in parts:
                place = f"the administration of {self.message.where(part.rxas[0])}"
                yield from self._row(place, groups[administration], part, [], "")

    def _row(self, place: str, reference: Any, walked: object, parts: list[Any], name: str) -> Iterator[Issue]:
        """One group: its segments, with the groups in it that are checked on their own as one name each."""
        row = {segment.line: (segment.name, segment) for segment in segments_of(walked)}
        for part in parts:
            lines = sorted(segments_of(part), key=lambda segment: segment.line)
            for segment in lines:
                del row[segment.line]
            row[lines[0].line] = (name, lines[0])
        known = [row[line] for line in sorted(row) if row[line][0] == name or self._known(row[line][0])]
        for at, missing in Grammar(reference, {name}).check([label for label, _ in known]):
            yield self._fault(place, known[at][1] if at < len(known) else None, missing)

    def _known(self, name: str) -> bool:
        """Whether it can have a place: Z segments have none; what the version lacks is told already."""
        return not name.startswith("Z") and _reference(name, "Segment", self.version) is not None

    def _fault(self, place: str, segment: Segment | None, missing: tuple[str, ...]) -> Issue:
        structure, where = self.message.structure, self.message.where(segment) if segment else ""
        names = ", ".join(name.removeprefix(f"{structure}_") for name in missing)
        if not missing:
            text = f"{segment.name if segment else ''} has no place here in {place}"
            return Issue("error", "strict-place", text, where=where, hl7="100")
        text = f"{names} missing {'before it ' if segment else ''}in {place}"
        return Issue("error", "strict-missing", text, where=where or missing[0], hl7="100")


def _groups(reference: Any) -> Iterator[tuple[str, Any]]:
    """Every group below a structure, by name."""
    for name, child, _, kind, *_ in reference[1]:
        if kind == "GRP":
            yield name, child
            yield from _groups(child)
