"""What the peers can do of the same work. Each gives the same values as ours, which a test holds."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import hl7
from fhir.resources.R4B.bundle import Bundle
from hl7apy.core import Message as TreeMessage
from hl7apy.parser import parse_message
from hl7types.hl7.v2_5_1 import messages as typed

from benchmarks.messages import VALUES

_TYPED: dict[str, Any] = {"oru": typed.ORU_R01, "rde": typed.RDE_O11, "ras": typed.RAS_O17}


class _Hl7:
    """hl7: untyped containers all the way down."""

    @staticmethod
    def parse(kind: str, text: str) -> hl7.Message:
        return hl7.parse(text)

    @staticmethod
    def read(text: str) -> list[list[str]]:
        return [
            [str(segment(number)) if number < len(segment) else "" for number in VALUES]
            for segment in hl7.parse(text).segments("OBX")
        ]

    @staticmethod
    def encode(message: hl7.Message) -> str:
        return str(message)


class _Hl7apy:
    """hl7apy: a tree of typed elements by the tables of the version, without groups and tolerant: its quickest way."""

    @staticmethod
    def parse(kind: str, text: str) -> TreeMessage:
        return parse_message(text, find_groups=False)

    @staticmethod
    def read(text: str) -> list[list[str]]:
        return [
            [getattr(segment, f"obx_{number}").to_er7() for number in VALUES]
            for segment in parse_message(text, find_groups=False).children
            if segment.name == "OBX"
        ]

    @staticmethod
    def encode(message: TreeMessage) -> str:
        return str(message.to_er7())


class _Hl7types:
    """hl7types: pydantic models, structure checked."""

    @staticmethod
    def parse(kind: str, text: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _TYPED[kind].model_validate_er7(text)

    @staticmethod
    def read(text: str) -> list[list[str]]:
        found = []
        for result in _Hl7types.parse("oru", text).PATIENT_RESULT:
            for order in result.ORDER_OBSERVATION:
                for group in order.OBSERVATION:
                    obx = group.OBX
                    found.append([_er7(getattr(obx, f"obx_{number}")) for number in VALUES])
        return found

    @staticmethod
    def encode(message: Any) -> str:
        return str(message.model_dump_er7())


def _er7(value: Any) -> str:
    """A field of hl7types as text."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "~".join(map(_er7, value))
    if isinstance(value, str):
        return value
    parts = [_er7(getattr(value, name)) for name in type(value).model_fields]
    return "^".join(parts).rstrip("^")


class Peer(NamedTuple):
    """One library for HL7v2: `parse(kind, text)`, `read(text)` (parse included) and `encode(parsed)`.

    `kinds` are the messages it takes.
    """

    parse: Any
    read: Any
    encode: Any
    kinds: tuple[str, ...] = ("oru", "rde", "ras")


V2 = {
    "hl7": Peer(_Hl7.parse, _Hl7.read, _Hl7.encode),
    # It refuses the null (`""`) that a running administration has in RXA-4.
    "hl7types": Peer(_Hl7types.parse, _Hl7types.read, _Hl7types.encode, ("oru", "rde")),
    "hl7apy": Peer(_Hl7apy.parse, _Hl7apy.read, _Hl7apy.encode),
}


def validate(data: bytes) -> Any:
    """A Bundle as fhir.resources models: read, and its shape checked."""
    return Bundle.model_validate_json(data)


def dump(model: Any) -> str:
    """The JSON of a Bundle of fhir.resources models."""
    return str(model.model_dump_json())


def validate_and_dump(data: bytes) -> str:
    """Both."""
    return dump(validate(data))
