"""The rows of the table that are measured inside one process: parse, read, translate, encode, FHIR JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import orjson

import ketafhir
from benchmarks import floors, messages, peers
from ketafhir.fhir import json
from ketafhir.fhir.profile.check import check
from ketafhir.hl7v2 import er7

COUNT = 2000
"""How many different messages of one kind there are: more than any cache holds."""
CHECK = "check profiles of all three"
FLOOR, OURS = "floor", "ketafhir"
Contender = tuple[Callable[[Any], object], Sequence[Any]]


class Row(NamedTuple):
    """One line of the table: contenders by name, `floor` and `ketafhir` among them, and what differs in their work."""

    name: str
    contenders: dict[str, Contender]
    note: str = ""


def parse_bytes(data: bytes) -> er7.Message:
    """What a listener does with a payload: decode and parse."""
    return er7.parse(er7.decode(data))


def read_results(text: str) -> list[list[str]]:
    """Parse, and read six fields of each OBX."""
    return [
        [segment.get(number) for number in messages.VALUES]
        for segment in er7.parse(text).segments
        if segment.name == "OBX"
    ]


def to_fhir(data: bytes) -> bytes:
    """The whole way from HL7v2 bytes to the bytes of a transaction Bundle."""
    return ketafhir.to_fhir(data).json()


def to_hl7v2(data: bytes) -> str:
    """The whole way from the bytes of a Bundle to HL7v2 text."""
    return ketafhir.to_hl7v2(data).text


def all_rows() -> list[Row]:
    """Every row, with its inputs made ready."""
    texts = {kind: messages.variants(kind, COUNT) for kind in messages.NAMES}
    return [
        *(_parse(kind, some) for kind, some in texts.items()),
        _read(texts["oru"]),
        *(_translate(kind, some) for kind, some in texts.items()),
        *(_back(kind, some) for kind, some in texts.items()),
        *(_check(f"check profiles of {kind}", some) for kind, some in texts.items()),
        _check(CHECK, [text for some in zip(*texts.values(), strict=True) for text in some]),
        _encode(texts["oru"]),
        _fhir(texts["oru"]),
    ]


def _parse(kind: str, texts: list[str]) -> Row:
    contenders: dict[str, Contender] = {
        FLOOR: (floors.split_full, texts),
        OURS: (parse_bytes, [text.encode() for text in texts]),
    }
    contenders |= {name: (partial(peer.parse, kind), texts) for name, peer in peers.V2.items() if kind in peer.kinds}
    return Row(f"parse {kind}", contenders, "ours cuts fields further only when they are read")


def _read(texts: list[str]) -> Row:
    contenders: dict[str, Contender] = {
        FLOOR: (lambda text: floors.split_read(text, messages.VALUES), texts),
        OURS: (read_results, texts),
    }
    contenders |= {name: (peer.read, texts) for name, peer in peers.V2.items()}
    return Row("parse and read 12 OBX x 6", contenders, "all give the same 72 texts")


def _translate(kind: str, texts: list[str]) -> Row:
    data = [text.encode() for text in texts]
    bundles = [to_fhir(one) for one in data]
    return Row(
        f"translate {kind} to FHIR",
        {
            FLOOR: (floors.split_full, texts),
            OURS: (to_fhir, data),
            "fhir.resources": (peers.validate_and_dump, bundles),
        },
        "no peer translates; fhir.resources only reads our Bundle, checks its shape and writes it",
    )


def _back(kind: str, texts: list[str]) -> Row:
    bundles = [to_fhir(text.encode()) for text in texts]
    return Row(
        f"translate {kind} to HL7v2",
        {
            FLOOR: (floors.split_full, texts),
            OURS: (to_hl7v2, bundles),
            "fhir.resources": (peers.validate, bundles),
        },
        "no peer translates; fhir.resources only reads the Bundle",
    )


def _check(name: str, texts: list[str]) -> Row:
    data = [text.encode() for text in texts]
    bundles = [json.loads(to_fhir(one)) for one in data]
    note = "the floor is the translation that made the Bundle; fhir.resources checks the shape of R4 only"
    contenders: dict[str, Contender] = {
        FLOOR: (to_fhir, data),
        OURS: (check, bundles),
        "fhir.resources": (peers.validate, [json.dumps(one) for one in bundles]),
    }
    return Row(name, contenders, note)


def _encode(texts: list[str]) -> Row:
    contenders: dict[str, Contender] = {
        FLOOR: (floors.joined, [floors.split_full(text) for text in texts]),
        OURS: (lambda message: er7.encode(message.segments), [er7.parse(text) for text in texts]),
    }
    for name, peer in peers.V2.items():
        contenders[name] = (peer.encode, [peer.parse("oru", text) for text in texts[:20]])
    return Row("encode oru", contenders, "from what each one's parser gives")


def _fhir(texts: list[str]) -> Row:
    bundles = [ketafhir.to_fhir(text).bundle for text in texts]
    plain = [orjson.loads(json.dumps(bundle)) for bundle in bundles]
    models = [peers.validate(json.dumps(bundle)) for bundle in bundles[:20]]
    return Row(
        "write FHIR JSON of oru",
        {FLOOR: (orjson.dumps, plain), OURS: (json.dumps, bundles), "fhir.resources": (peers.dump, models)},
        "the floor writes floats (72.50 becomes 72.5), as fhir.resources does",
    )
