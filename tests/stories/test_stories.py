"""The story files against each other and against the sums, without the translator."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import hl7types
import pytest
from hl7apy.consts import VALIDATION_LEVEL
from hl7apy.parser import parse_segment
from story_messages import (
    LETTERS,
    SCREENER_ITEMS,
    STORIES,
    Message,
    Segment,
    facts,
    in_utc,
    infusion,
    infusion_messages,
    messages,
    minutes,
    moment,
    observed,
    of_event,
    read,
)

DAMAGED = STORIES / "damaged.hl7"
EVERY = [message for letter in LETTERS for message in messages(letter)]
INFUSED = ("a", "b")
TIMES = {
    "MSH": (7,),
    "EVN": (2, 6),
    "PV1": (44, 45),
    "ORC": (9,),
    "TQ1": (7,),
    "RXA": (3, 4, 22),
    "OBR": (7,),
    "OBX": (14,),
}
STRUCTURES = {
    "ADT": r"MSH EVN PID PV1",
    "RDE": r"MSH PID PV1 ORC RXE TQ1 RXR RXC RXC( OBX)+",
    "RAS": r"MSH PID PV1 ORC RXA RXR( OBX( NTE)?)*",
    "ORU": r"MSH PID( PV1)?( OBR( NTE)?( OBX( NTE)?)+)+",
}


def expected(letter: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((STORIES / letter / "expect.json").read_text("utf-8"))
    return found


def without_null_time(text: str) -> str:
    """RXA-4 as RXA-3, which is what its null means (chapter 4A); both libraries refuse `""` as no date."""
    return re.sub(r'^(RXA\|\d+\|\d+\|)([^|]+)\|""\|', r"\1\2|\2|", text, flags=re.M)


def times_of(message: Message) -> Iterator[tuple[str, str]]:
    for segment in message.segments:
        for number in TIMES.get(segment.name, ()):
            if segment[number] not in ("", '""'):
                yield f"{segment.name}-{number}", segment[number]


def identity(heading: Segment, obx: Segment) -> tuple[str, ...]:
    return (heading[3], heading.part(4), obx.part(3), obx[4], obx[14])


@pytest.mark.parametrize("letter", LETTERS)
def test_the_server_must_hold_what_the_messages_say(letter: str) -> None:
    said = expected(letter)
    assert said.pop("story") == letter.upper()
    assert said.pop("title")
    assert said == facts(letter)


@pytest.mark.parametrize("letter", LETTERS)
def test_numbers_are_decimal_texts(letter: str) -> None:
    text = (STORIES / letter / "expect.json").read_text("utf-8")
    floats: list[str] = []
    json.loads(text, parse_float=floats.append)
    assert floats == []


def test_the_sums_of_the_stories() -> None:
    a, b, c = (expected(letter) for letter in LETTERS)
    assert (a["infusion"]["delivered_mg"], a["infusion"]["status"]) == ("36.0", "completed")
    assert [s["volume_ml"] for s in b["infusion"]["segments"]] == ["10.0", "30.0", "28.0", "43.2"]
    assert (b["infusion"]["delivered_ml"], b["infusion"]["status"]) == ("111.2", "stopped")
    assert (b["infusion"]["running_minutes"], b["infusion"]["pause_minutes"]) == ("240", "30")
    assert (a["waste"]["mg"], b["waste"]["mg"]) == ("14.0", "138.8")
    assert c["order"] is c["infusion"] is c["waste"] is None
    assert [e["decision"]["decision"] for e in (a, b, c)] == ["accepted", "accepted", "refused"]
    assert c["risk"]["level"] == "high"


@pytest.mark.parametrize("letter", INFUSED)
def test_what_was_drawn_is_what_was_given_and_wasted(letter: str) -> None:
    said = expected(letter)
    given, wasted = Decimal(said["infusion"]["delivered_mg"]), Decimal(said["waste"]["mg"])
    assert given + wasted == Decimal(said["order"]["bag_mg"])
    volume = Decimal(said["infusion"]["delivered_ml"]) + Decimal(said["waste"]["ml"])
    assert volume == Decimal(said["order"]["bag_ml"])
    assert said["infusion"]["pump_volume_ml"] == said["infusion"]["delivered_ml"]


@pytest.mark.parametrize("letter", INFUSED)
def test_the_pump_agrees_with_rate_and_time_at_every_event(letter: str) -> None:
    folded = infusion(letter)
    assert folded is not None
    readings = [obx for m in infusion_messages(letter) for obx in observed(m, "157993")]
    for obx in readings:
        total = Decimal(0)
        for segment in folded["segments"]:
            start = re.sub(r"[-:T]", "", segment["start"][:19]) + segment["start"][19:].replace(":", "")
            ran = min(minutes(start, obx[14]), Decimal(segment["minutes"]))
            total += Decimal(segment["rate_ml_per_h"]) * max(ran, Decimal(0)) / 60
        assert Decimal(obx[5]) == total, obx.line
    assert len(readings) >= 2


@pytest.mark.parametrize("letter", INFUSED)
def test_a_segment_volume_is_its_rate_times_its_minutes(letter: str) -> None:
    told = [(m.one("RXA"), obx) for m in infusion_messages(letter) for obx in observed(m, "segment-volume")]
    assert told
    for rxa, obx in told:
        assert Decimal(obx[5]) == Decimal(rxa[6]) * minutes(rxa[3], rxa[4]) / 60
        assert obx[14] == rxa[4]


@pytest.mark.parametrize("letter", INFUSED)
def test_the_order_agrees_with_itself(letter: str) -> None:
    (message,) = of_event(letter, "RDE^O11")
    rxe = message.one("RXE")
    base, drug = message.all("RXC")
    assert Decimal(drug[3]) / Decimal(rxe[10]) == Decimal(rxe[25])
    assert Decimal(base[3]) < Decimal(rxe[10])
    if rxe[22]:
        hours = Decimal(rxe[22].removeprefix("M")) / 60
        assert Decimal(rxe[3]) / hours / Decimal(rxe[25]) == Decimal(rxe[23])
    for limit in observed(message, "rate-max"):
        given = [Decimal(m.one("RXA")[6]) for m in infusion_messages(letter)]
        assert max(given) <= Decimal(limit[5])


def test_dose_by_weight() -> None:
    a, b = expected("a")["order"], expected("b")["order"]
    assert Decimal(a["dose_mg"]) == Decimal("0.5") * Decimal(a["weight_kg"])
    assert Decimal(b["dose_mg"]) == Decimal("1.5") * Decimal(b["weight_kg"])
    assert Decimal(b["rate_ml_per_h"]) == Decimal("0.25") * Decimal(b["weight_kg"])
    assert Decimal(b["max_rate_ml_per_h"]) == Decimal("0.5") * Decimal(b["weight_kg"])


@pytest.mark.parametrize("letter", LETTERS)
def test_totals_are_the_sums_of_their_items(letter: str) -> None:
    for score in expected(letter)["scores"]:
        if score["items"]:
            assert sum(map(int, score["items"])) == int(score["total"]), score


@pytest.mark.parametrize("letter", ["a", "c"])
def test_the_risk_level_follows_from_the_answers(letter: str) -> None:
    risk = expected(letter)["risk"]
    high = {4, 5} & set(risk["positive"])
    assert risk["level"] == ("high" if high else "low")
    assert not set(risk["positive"]) - set(range(1, len(SCREENER_ITEMS) + 1))


@pytest.mark.parametrize("letter", INFUSED)
def test_a_later_rxa_of_one_segment_changes_nothing_but_its_end(letter: str) -> None:
    first: dict[str, Segment] = {}
    again = 0
    for message in infusion_messages(letter):
        rxa = message.one("RXA")
        opened = first.setdefault(rxa[2], rxa)
        again += opened is not rxa
        for number in (1, 3, 5, 6, 7, 10, 12, 13, 14, 15, 16):
            assert rxa[number] == opened[number], (message.path.name, number)
    assert again >= 2


@pytest.mark.parametrize("letter", INFUSED)
def test_waste_travels_with_the_last_rxa_unchanged(letter: str) -> None:
    *before, closing, waste = infusion_messages(letter)
    assert before
    assert observed(waste, "waste-amount")
    assert waste.one("RXA") == closing.one("RXA")
    assert waste.one("RXR") == closing.one("RXR")
    assert waste.one("ORC")[5] == closing.one("ORC")[5]
    assert len({(obx[4], obx[14], obx[16]) for obx in waste.all("OBX")}) == 1


def test_story_b_tells_one_event_a_message() -> None:
    told = [(m.one("ORC")[5], m.one("RXA")[2], m.one("RXA")[20]) for m in infusion_messages("b")]
    started = [("IP", "1", ""), ("IP", "2", ""), ("IP", "3", "")]
    ended = [("HD", "3", "PA"), ("IP", "4", ""), ("DC", "4", "PA"), ("DC", "4", "PA")]
    assert told == started + ended


def test_control_ids_and_order_numbers_are_unique() -> None:
    ids = [message.segments[0][10] for message in [*EVERY, read(DAMAGED)]]
    assert [control for control, times in Counter(ids).items() if times > 1] == []
    numbers = {(m.one("ORC")[2], m.one("ORC")[3]) for m in EVERY if m.event.startswith("R")}
    assert len({placer for placer, _ in numbers}) == len({filler for _, filler in numbers}) == len(numbers)
    assert len(numbers) == 4


@pytest.mark.parametrize("letter", LETTERS)
def test_no_two_observations_share_an_identity(letter: str) -> None:
    seen = Counter(identity(obr, obx) for message in of_event(letter, "ORU^R01") for obr, obx in message.under())
    assert [key for key, times in seen.items() if times > 1] == []
    headings = [obr[3] for message in of_event(letter, "ORU^R01") for obr in message.all("OBR")]
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("letter", LETTERS)
def test_files_are_numbered_in_sending_order(letter: str) -> None:
    told = messages(letter)
    numbers = [int(message.path.name[:2]) for message in told]
    assert numbers == list(range(1, len(told) + 1))
    sent = [moment(message.segments[0][7]) for message in told]
    assert sent == sorted(sent)


@pytest.mark.parametrize("message", EVERY, ids=lambda m: f"{m.path.parent.name}/{m.path.stem}")
class TestEveryMessage:
    def test_is_lf_terminated_utf8(self, message: Message) -> None:
        assert "\r" not in message.text
        assert message.text.endswith("\n")
        assert not message.text.endswith("\n\n")

    def test_header(self, message: Message) -> None:
        msh = message.segments[0]
        assert message.text.startswith("MSH|^~\\&|")
        assert msh[3] in ("EHR", "EMAR", "MONITOR")
        assert (msh[4], msh[11], msh[12], msh[15], msh[16]) == ("WILLOW", "P", "2.5.1", "", "")
        assert msh[18] == "UNICODE UTF-8"

    def test_is_about_the_patient_of_its_story(self, message: Message) -> None:
        mrn = expected(message.path.parent.name)["patient"]["mrn"]
        assert message.one("PID")[3] == f"{mrn}^^^WILLOW^MR"
        assert mrn.startswith("SYN-")

    def test_times_carry_the_offset_of_the_clinic(self, message: Message) -> None:
        clinic = ZoneInfo("America/Chicago")
        for where, text in times_of(message):
            local = moment(text).astimezone(clinic)
            assert f"{local:%z}" == text[-5:], (where, text)

    def test_nothing_is_told_before_it_happened(self, message: Message) -> None:
        sent = in_utc(message.segments[0][7])
        for where, text in times_of(message):
            if where != "TQ1-7":
                assert in_utc(text) <= sent, (where, text)

    def test_structure(self, message: Message) -> None:
        names = " ".join(segment.name for segment in message.segments)
        assert re.fullmatch(STRUCTURES[message.event[:3]], names)

    def test_segments_conform(self, message: Message) -> None:
        check_segments(message.text)

    def test_groups_as_an_independent_parser_sees_them(self, message: Message) -> None:
        wire = without_null_time(message.text).replace("\n", "\r")
        parsed = hl7types.decode_er7(wire)
        assert type(parsed).__name__ == message.segments[0].part(9, 3)
        if message.event == "RAS^O17":
            (order,) = parsed.ORDER
            (group,) = order.ADMINISTRATION
            assert len(group.RXA) == 1
            assert len(group.OBSERVATION or []) == len(message.all("OBX"))

    def test_loinc_codes_have_their_check_digit(self, message: Message) -> None:
        for code in re.findall(r"[|^](\d+-\d)\^[^|^]*\^LN", message.text):
            number, check = code.split("-")
            assert mod10(number) == int(check), code


def mod10(number: str) -> int:
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(number))]
    return -sum(d // 10 + d % 10 for d in doubled) % 10


def check_segments(text: str) -> None:
    for line in without_null_time(text).splitlines():
        segment = parse_segment(line, version="2.5.1", validation_level=VALIDATION_LEVEL.STRICT)
        assert segment.validate()


def test_the_damaged_message_is_at_fault_in_meaning_only() -> None:
    message = read(DAMAGED)
    check_segments(message.text)
    rxa = message.one("RXA")
    assert (rxa.part(7), rxa[12], rxa[20]) == ("mg/h", "", "CP")
    orders = {(m.one("ORC")[2], m.one("ORC")[3]) for m in infusion_messages("a")}
    assert orders == {(message.one("ORC")[2], message.one("ORC")[3])}
    assert rxa[2] not in {m.one("RXA")[2] for m in infusion_messages("a")}


def test_codes_of_our_own_are_in_the_code_file() -> None:
    with (STORIES.parents[1] / "mappings" / "codes.csv").open(encoding="utf-8", newline="") as file:
        ours = {row["code"] for row in csv.DictReader(file) if row["system"].endswith("/CodeSystem/keta")}
    used = {code for m in EVERY for code in re.findall(r"[|^]([^|^]+)\^[^|^]*\^99KETA", m.text)}
    assert used
    assert used <= ours
