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
SLOW = 200
"""How many of them a peer gets that does so few in the time measured."""
CHECK = "check profiles of all three"
FLOOR, OURS = "floor", "ketafhir"
Contender = tuple[Callable[[Any], object], Sequence[Any]]


Contenders = dict[str, Contender]


class Row(NamedTuple):
    """One line of the table: what makes its contenders by name, `floor` and `ketafhir` among them, with their inputs; and what
    differs in their work.
    """

    name: str
    contenders: Callable[[], Contenders]
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
    """Every row; its inputs are made when it is measured, so that no other row has them in memory."""
    kinds = list(messages.NAMES)
    return [
        *(
            Row(f"parse {kind}", partial(_parse, kind), "ours cuts fields further only when they are read")
            for kind in kinds
        ),
        Row("parse and read 12 OBX x 6", _read, "all give the same 72 texts"),
        *(Row(f"translate {kind} to FHIR", partial(_translate, kind), _NO_PEER + ", and writes it") for kind in kinds),
        *(Row(f"translate {kind} to HL7v2", partial(_back, kind), _NO_PEER) for kind in kinds),
        *(Row(f"check profiles of {kind}", partial(_check, kind), _CHECKED) for kind in kinds),
        Row(CHECK, partial(_check, *kinds), _CHECKED),
        Row("encode oru", _encode, "from what each one's parser gives"),
        Row("write FHIR JSON of oru", _fhir, "the floor writes floats (72.50 becomes 72.5), as fhir.resources does"),
    ]


_NO_PEER = "no peer translates; fhir.resources only reads our Bundle and checks its shape"
_CHECKED = "the floor is the translation that made the Bundle; fhir.resources checks the shape of R4 only"


def _texts(kind: str) -> list[str]:
    return messages.variants(kind, COUNT)


def _parse(kind: str) -> Contenders:
    texts = _texts(kind)
    contenders: Contenders = {
        FLOOR: (floors.split_full, texts),
        OURS: (parse_bytes, [text.encode() for text in texts]),
    }
    return contenders | {
        name: (partial(peer.parse, kind), texts) for name, peer in peers.V2.items() if kind in peer.kinds
    }


def _read() -> Contenders:
    texts = _texts("oru")
    contenders: Contenders = {
        FLOOR: (lambda text: floors.split_read(text, messages.VALUES), texts),
        OURS: (read_results, texts),
    }
    return contenders | {name: (peer.read, texts) for name, peer in peers.V2.items()}


def _translate(kind: str) -> Contenders:
    texts = _texts(kind)
    data = [text.encode() for text in texts]
    return {
        FLOOR: (floors.split_full, texts),
        OURS: (to_fhir, data),
        "fhir.resources": (peers.validate_and_dump, [to_fhir(one) for one in data[-SLOW:]]),
    }


def _back(kind: str) -> Contenders:
    texts = _texts(kind)
    bundles = [to_fhir(text.encode()) for text in texts]
    return {
        FLOOR: (floors.split_full, texts),
        OURS: (to_hl7v2, bundles),
        "fhir.resources": (peers.validate, bundles),
    }


def _check(*kinds: str) -> Contenders:
    data = [text.encode() for some in zip(*map(_texts, kinds), strict=True) for text in some]
    bundles = [json.loads(to_fhir(one)) for one in data]
    return {
        FLOOR: (to_fhir, data),
        OURS: (check, bundles),
        "fhir.resources": (peers.validate, [json.dumps(one) for one in bundles[:SLOW]]),
    }


def _encode() -> Contenders:
    texts = _texts("oru")
    contenders: Contenders = {
        FLOOR: (floors.joined, [floors.split_full(text) for text in texts]),
        OURS: (lambda message: er7.encode(message.segments), [er7.parse(text) for text in texts]),
    }
    for name, peer in peers.V2.items():
        contenders[name] = (peer.encode, [peer.parse("oru", text) for text in texts[:20]])
    return contenders


def _fhir() -> Contenders:
    bundles = [ketafhir.to_fhir(text).bundle for text in _texts("oru")]
    return {
        FLOOR: (orjson.dumps, [orjson.loads(json.dumps(bundle)) for bundle in bundles]),
        OURS: (json.dumps, bundles),
        "fhir.resources": (peers.dump, [peers.validate(json.dumps(bundle)) for bundle in bundles[:20]]),
    }
