"""Every field of every segment of each message that is read, filled: the account is full, and what it calls mapped or preserved
comes back in the same field; also once more on the way FHIR -> HL7v2 -> FHIR.
"""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from golden.cases import last_state
from golden.filled import LEFT_EMPTY, VERSION, message_of, reference
from ketafhir.errors import Refused
from ketafhir.fhir import json
from ketafhir.hl7v2.er7 import Message
from ketafhir.hl7v2.stream import split_messages
from ketafhir.hl7v2.structures import structure_of
from ketafhir.translate import losses
from ketafhir.translate.incoming import READERS, parse
from ketafhir.translate.pump_orders import PumpOrders
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import default
from ketafhir.translate.translation import Translation, to_hl7v2

KINDS = [kind for kind in READERS if reference(structure_of(*kind, VERSION), "Message") is not None]
TOKEN = re.compile(r"Q\d+Q|(?<!\d)88\d{4}(?!\d)|(?<![\dQ])2026\d{4,10}")
NEW = {"MSH-7"}  # of the MSH out, which is new


class Trip(NamedTuple):
    """A filled message there and back; `alone` where nothing had to be told before it."""

    message: Message
    step: Step
    bundles: list[dict[str, Any]]
    back: Translation
    alone: bool


@cache
def trip(code: str, event: str) -> Trip:
    message, before = message_of(code, event)
    session, bundles, alone = Session(default()), [], True
    try:
        step = session.take(message)
    except Refused:  # an answer to an order that is not known
        bundles, alone = [session.take(one).bundle for one in before], False
        step = session.take(message)
    bundles.append(step.bundle)
    return Trip(message, step, bundles, way_back(last_state(bundles)), alone)


def way_back(held: dict[str, Any]) -> Translation:
    """All that a Bundle makes. Give instructions too, whatever speaks against them: what is filled is no order to a pump."""
    bundle = json.dumps(held)
    if not any(one["resource"].get("intent") == "instance-order" for one in held["entry"]):
        return to_hl7v2(bundle)
    with patch("ketafhir.translate.pump_orders.check", return_value=[]):
        made = to_hl7v2(bundle, message="RGV^O15", settings=default().allowing(PumpOrders("nobody", 1, 0.0)))
    with suppress(Refused):  # there may be nothing beside them
        made.text = to_hl7v2(bundle).text + made.text
    return made


def fields(message: Message) -> dict[str, str]:
    """The fields of a message or of several: of segments of one name, all together."""
    found: dict[str, str] = {}
    for segment in message.segments:
        for number, text in enumerate(segment.fields):
            if number and text:
                place = f"{segment.name}-{number}"
                found[place] = f"{found.get(place, '')}~{text}"
    return found


@pytest.mark.parametrize("kind", KINDS, ids="^".join)
def test_every_field_is_filled_and_accounted_for(kind: tuple[str, str]) -> None:
    made = trip(*kind)
    empty = [
        f"{segment.name}-{number}"
        for segment in made.message.segments
        for number in range(1, len(segment.fields))
        if not segment.fields[number] and segment.name != "MSH"
    ]
    assert set(empty) <= LEFT_EMPTY.keys()
    account = losses.of_message(made.message, made.step.reading)
    populated = [text for segment in made.message.segments for text in segment.fields[1:] if text]
    assert len({loss.where for loss in account}) == len(account) == len(populated)
    assert [loss for loss in account if loss.fate == "dropped" and not loss.why] == []
    assert [loss for loss in account if loss.why == "nothing reads this segment"] == []


def _without_place(made: Any) -> set[str]:
    """What the version that is written has no place for, as the warnings say (devices tell 2.6, and were told 2.5.1)."""
    return {token for one in made.back.issues if one.code == "version-loss" for token in TOKEN.findall(one.value)}


@pytest.mark.parametrize("kind", KINDS, ids="^".join)
def test_what_is_mapped_or_preserved_comes_back_in_its_field(kind: tuple[str, str]) -> None:
    """Each component too: what a codec cannot hold is preserved."""
    made = trip(*kind)
    back: dict[str, str] = {}
    for text in split_messages(made.back.text.encode()):
        for place, cell in fields(parse(text)).items():
            back[place] = f"{back.get(place, '')}~{cell}"
    lost = []
    for loss in losses.of_message(made.message, made.step.reading):
        place = re.sub(r"\[\d+\]", "", loss.where)
        if loss.fate == "dropped" or place in NEW or (not made.alone and place[:3] in ("PID", "PV1")):
            continue  # where something was told before, a message that only mentions a patient changes nothing
        name, _, number = loss.where.partition("-")
        segment = next(one for one in made.message.segments if name in (one.name, f"{one.name}[{one.occurrence}]"))
        lost += [
            f"{loss.where} ({loss.fate}): {token}"
            for token in TOKEN.findall(segment.fields[int(number)])
            if token not in back.get(place, "") and token not in _without_place(made)
        ]
    assert lost == []


@pytest.mark.parametrize("kind", KINDS, ids="^".join)
def test_what_is_in_the_bundle_goes_out_and_comes_in_again(kind: tuple[str, str]) -> None:
    made = trip(*kind)
    held = last_state(made.bundles)
    account = made.back.losses
    assert [loss for loss in account if loss.fate == "dropped" and not loss.why] == []
    sent = set(TOKEN.findall(made.back.text)) | _without_place(made)
    told = {token for token in TOKEN.findall(json.dumps(held).decode()) if token not in sent and "-" not in token}
    assert told == set()
    assert len(_without_place(made)) < (9 if kind == ("ORU", "R42") else 1)
    session = Session(default())
    again = [session.take(parse(text)).bundle for text in split_messages(made.back.text.encode())]
    expected = set(TOKEN.findall(json.dumps(held).decode())) - _without_place(made)
    assert set(TOKEN.findall(json.dumps(last_state(again)).decode())) >= expected
    assert way_back(last_state(again)).text.count("\r") == made.back.text.count("\r")
