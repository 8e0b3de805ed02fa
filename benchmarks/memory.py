"""What one message keeps in memory, parsed and translated, by the count of Python's own allocator."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import ketafhir
from benchmarks import floors, messages, peers
from benchmarks.rows import FLOOR, OURS, Contenders, Row, parse_bytes

_COUNT, _FEW = 100, 10


def all_rows() -> list[Row]:
    """Memory of a parsed and of a translated ORU with 12 OBX; what is measured is what the functions return."""
    return [
        Row("memory of a parsed oru", _parsed),
        Row(
            "memory of a translated oru",
            _translated,
            "ours holds records, Bundle and findings; fhir.resources the Bundle",
        ),
    ]


def _parsed() -> Contenders:
    texts = messages.variants("oru", _COUNT)
    found: Contenders = {
        FLOOR: (floors.split_full, texts),
        OURS: (parse_bytes, [text.encode() for text in texts]),
    }
    return found | {name: (partial(peer.parse, "oru"), texts[:_FEW]) for name, peer in peers.V2.items()}


def _translated() -> Contenders:
    texts = messages.variants("oru", _COUNT)
    data = [text.encode() for text in texts]
    return {
        FLOOR: (floors.split_full, texts),
        OURS: (ketafhir.to_fhir, data),
        "fhir.resources": (peers.validate, [ketafhir.to_fhir(one).json() for one in data[:_FEW]]),
    }


def retained(function: Callable[[Any], object], inputs: Sequence[Any]) -> float:
    """KiB that stay with each result."""
    warm = [function(one) for one in inputs]  # caches fill once and are not charged to the messages
    del warm
    gc.collect()
    tracemalloc.start()
    try:
        kept = [function(one) for one in inputs]
        gc.collect()
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return size / len(kept) / 1024
