"""Pump events (ORU^R42, IHE PCD-10): segments of them in any order, beside an eMAR, and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pump_feed
from golden.cases import last_state
from golden.reduced import Infusion, bundles_of, reduced
from ketafhir import Refused, iter_fhir, to_fhir, to_hl7v2
from ketafhir.fhir import json
from ketafhir.hl7v2.ack import application_response
from ketafhir.hl7v2.stream import split_messages
from ketafhir.service.admission import Policy
from ketafhir.service.answers import Answers
from ketafhir.service.intake import Channel, Intake
from ketafhir.store.sqlite import SqliteStore
from ketafhir.translate.incoming import parse
from ketafhir.translate.settings import default
from pump_feed import Pump, story_b

STORY = Path(__file__).parents[2] / "examples" / "stories" / "b"
ORDER = (STORY / "08-rde-order.hl7").read_bytes()
CHARTED = [path.read_bytes() for path in sorted(STORY.glob("*-ras-*.hl7"))]


def told(messages: list[str], *, order: bool = True) -> list[bytes]:
    return [*([ORDER] if order else []), *(one.encode() for one in messages)]


def infusion(messages: list[bytes], number: int = 0) -> Infusion:
    return reduced(bundles_of(messages))[number]


def codes(messages: list[bytes]) -> list[tuple[str, str]]:
    found = []
    for step in iter_fhir(messages):
        assert not isinstance(step, Refused)
        found += [(issue.code, issue.text) for issue in step.issues]
    return found


def alive(found: Infusion) -> Infusion:
    return found._replace(segments=tuple(one for one in found.segments if one.status != "entered-in-error"))


def test_the_pump_tells_what_the_emar_tells() -> None:
    assert infusion(told(story_b())) == infusion([ORDER, *CHARTED])


def test_at_every_moment_it_stands_as_the_pump_does() -> None:
    statuses = [infusion(told(story_b()[:upto])).status for upto in range(1, 9)]
    running = "in-progress"
    assert statuses == [running, running, running, running, running, "on-hold", running, "on-hold"]


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_order_any_repeat_any_cut(data: st.DataObject) -> None:
    messages = told(story_b())
    again = data.draw(st.lists(st.sampled_from(messages), max_size=3))
    shuffled = data.draw(st.permutations([*messages, *again]))
    assert reduced(bundles_of(shuffled)) == reduced(bundles_of(messages))


@settings(max_examples=25, deadline=None)
@given(st.permutations([ORDER, *CHARTED[:3], *(one.encode() for one in story_b())]))
def test_pump_and_emar_in_any_order(messages: list[bytes]) -> None:
    found = alive(infusion(messages))
    assert found.segments == infusion(told(story_b())).segments
    assert found.total == infusion(told(story_b())).total


def test_one_record_with_both_numbers() -> None:
    bundles = bundles_of([ORDER, *(one.encode() for one in story_b()), *CHARTED])
    children = [
        one["resource"]
        for one in last_state(bundles)["entry"]
        if "infusion-segment" in str(one["resource"].get("meta", {}).get("tag"))
        and one["resource"]["request"]["identifier"]["value"] == "F-B2"
    ]
    assert len(children) == 4
    for child in children:
        kinds = {one["type"]["coding"][0]["code"] for one in child["identifier"]}
        assert {"pump-segment", "administration-number", "PLAC", "FILL"} <= kinds
        assert child["performer"], "who gave it is known by the eMAR only"


@pytest.mark.parametrize(("old", "new", "text"), [
    ("|20|mL^^UCUM", "|22|mL^^UCUM", "different rates: 20 mL/h and 22 mL/h"),
])  # fmt: skip
def test_two_rates_of_one_segment_are_told(old: str, new: str, text: str) -> None:
    charted = CHARTED[0].decode().replace(old, new).encode()
    found = codes([*told(story_b()), charted])
    assert any(code == "pump-differs" and text in shown for code, shown in found)
    assert infusion([*told(story_b()), charted]).segments[0].amount == 20


def test_a_lost_pause_is_named_by_its_gap() -> None:
    messages = story_b()
    del messages[5]
    assert infusion(told(messages)).total is not None
    assert next(text for code, text in codes(told(messages)) if code == "volume-unreconciled").endswith(
        "the pump tells 68 mL, rate and time give 88 mL; a missed pause of 30 min at 40 mL/h would explain it"
    )


def test_two_pumps_of_one_order_are_never_mixed() -> None:
    one, other = Pump(), Pump(device="E0007^^0012210000000777^EUI-64")
    messages = [one.start("09:00", "20"), other.start("09:10", "7"), one.stop("09:30", "20"), other.stop("10:10", "7")]
    segments = infusion(told(messages, order=False)).segments
    assert [(s.amount, (s.end or 0) - s.start) for s in segments] == [(20, 1800.0), (7, 3600.0)]


def test_two_channels_of_one_pump() -> None:
    one, other = Pump(), Pump(vmd=2, placer="P-9^EHR")
    messages = [one.start("09:00", "20"), other.start("09:10", "7"), one.stop("09:30", "20"), other.stop("10:10", "7")]
    found = reduced(bundles_of(told(messages, order=False)))
    assert [[(s.amount, s.status) for s in one.segments] for one in found] == [[(20, "stopped")], [(7, "stopped")]]


def test_what_names_no_order_falls_to_what_the_channel_delivers() -> None:
    pump = Pump()
    messages = [pump.start("09:00", "20"), pump.stop("10:00", "20", order=False, drug=""),
                pump.event("PUMP_PROG_CLEARED", "10:01", order=False, drug="")]  # fmt: skip
    for listed in (messages, messages[::-1]):
        (found,) = reduced(bundles_of(told(listed, order=False)))
        assert (found.status, [s.status for s in found.segments]) == ("stopped", ["stopped"])


def test_the_end_of_a_bolus_counts_its_volume() -> None:
    case = Path(__file__).parents[1] / "golden" / "ORU_R42" / "clinician-bolus" / "in.hl7"
    found = infusion([case.read_bytes()])
    assert [(s.kind, s.amount, s.unit) for s in found.segments if s.kind == "bolus"] == [("bolus", 5, "mL")]
    assert found.total == 35


@pytest.mark.parametrize("unit", [
    "265266^MDC_DIM_MILLI_L_PER_HR^MDC", "mL/h^mL/h^UCUM^265266^MDC_DIM_MILLI_L_PER_HR^MDC",
    "^MDC_DIM_MILLI_L_PER_HR^MDC", "mL/h",
])  # fmt: skip
def test_a_rate_in_each_way_of_writing_its_unit(unit: str) -> None:
    message = Pump().start("09:00", "20").replace(pump_feed.MLH, unit)
    assert infusion([message.encode()]).segments[0].unit == "mL/h"


@pytest.mark.parametrize("term", ["0^MDCX_FLOW_FLUID_PUMP^MDC", "^MDC_FLOW_FLUID_PUMP^MDC", "157784^^MDC"])
def test_a_term_by_its_name_or_its_number(term: str) -> None:
    message = Pump().start("09:00", "20").replace("157784^MDC_FLOW_FLUID_PUMP^MDC", term)
    assert infusion([message.encode()]).segments[0].amount == 20


def test_every_event_goes_back_as_it_came() -> None:
    """What OBR and OBX told comes back in the same messages, container by container."""
    messages = story_b()
    text = to_hl7v2(last_state(bundles_of(told(messages, order=False)))).text
    back = [one for one in split_messages(text.encode()) if b"ORU^R42" in one]
    assert [_body(one.decode()) for one in back] == [_body(one) for one in messages]


def _body(message: str) -> list[str]:
    return [line for line in message.strip("\r").split("\r") if line[:3] in ("OBR", "OBX")]


def test_what_goes_back_makes_the_same_infusion() -> None:
    messages = told(story_b())
    text = to_hl7v2(last_state(bundles_of(messages))).text
    assert reduced(bundles_of(text.encode())) == reduced(bundles_of(messages))


def test_a_pump_fed_infusion_goes_out_as_ras_where_asked_for() -> None:
    bundle = last_state(bundles_of(told(story_b())))
    text = to_hl7v2(bundle, message="RAS^O17").text
    again = [ORDER, text.encode()]
    assert infusion(again).segments == infusion(told(story_b())).segments


def test_the_program_is_checked_against_the_order() -> None:
    message = Pump().start("09:00", "200", concentration="2", weight="176")
    texts = [text for code, text in codes(told([message])) if code == "pump-order-mismatch"]
    assert [text.split(" of the order")[0] for text in texts] == [
        "C5: the concentration",
        "C5: the rate",
        "C5: the weight",
    ]


def test_another_drug_than_ordered_is_told() -> None:
    message = Pump(drug="Dopamine").start("09:00", "20")
    assert any("drug of the order is ketamine, of the pump dopamine" in text for _, text in codes(told([message])))


def test_refusals_say_where() -> None:
    with pytest.raises(Refused) as caught:
        to_fhir(Pump().start("09:00", "20").replace(pump_feed.MLH, "gtt/min"))
    assert caught.value.issues[-1].code == "unit-unknown"
    assert caught.value.issues[-1].where.startswith("OBX[")


def test_an_alarm_is_no_act_of_an_infusion_and_is_answered_by_r41() -> None:
    case = Path(__file__).parents[1] / "golden" / "ORU_R40" / "occlusion" / "in.hl7"
    (first, *_) = split_messages(case.read_bytes())
    kinds = [entry["resource"]["resourceType"] for entry in bundles_of(first)[0]["entry"]]
    assert "MedicationAdministration" not in kinds
    assert {"DiagnosticReport", "Observation", "Device", "DeviceMetric"} <= set(kinds)
    answer = application_response(parse(first), "AA", control_id="1", timestamp="20260414110002-0500")
    assert answer.split("|")[8] == "ORA^R41^ORA_R41"


@settings(max_examples=20, deadline=None)
@given(st.permutations([*CHARTED[:2], *(one.encode() for one in story_b())]))
def test_what_the_emar_told_first_is_withdrawn_and_not_part_of_the_infusion(messages: list[bytes]) -> None:
    (found,) = [one for one in reduced(bundles_of([ORDER, *messages])) if one.total != 4]
    assert found == infusion(told(story_b()))


def test_what_is_written_again_keeps_its_part_of_the_device() -> None:
    """An event that comes late moves the values of later ones to another segment: they are written again, with all they had."""

    def devices(messages: list[bytes]) -> dict[str, str]:
        entries = last_state(bundles_of(messages))["entry"]
        told = [one["resource"] for one in entries if one["resource"]["resourceType"] == "Observation"]
        return {
            one["id"]: one.get("device", {}).get("reference", "").rpartition("/")[2].rpartition(":")[2] for one in told
        }

    messages = told(story_b())
    late = [*messages[:3], *messages[4:7], messages[3], *messages[7:]]
    assert devices(late) == devices(messages)


OTHER = pump_feed.PID.replace("SYN-100318", "SYN-100402").replace("Vasquez-Lindholm^Dorian", "Quill^Theodora")


def of_other(text: str) -> str:
    """An event with the PID and the visit of another patient."""
    return text.replace(pump_feed.PID, OTHER).replace("V-B2", "V-C1")


def standings(*messages: str) -> list[tuple[str, str]]:
    """Order and status of each whole infusion, the first begun first."""
    bundle = last_state(bundles_of([one.encode() for one in messages]))
    told = [
        entry["resource"]
        for entry in bundle["entry"]
        if entry["resource"]["resourceType"] == "MedicationAdministration"
    ]
    wholes = [one for one in told if one["meta"]["tag"][0]["code"] == "infusion"]
    wholes.sort(key=lambda one: str(one["effectivePeriod"]["start"]))
    return [(one["request"]["identifier"]["value"], one["status"]) for one in wholes]


def test_the_pump_goes_to_another_patient() -> None:
    """PATIENT_CHANGE ends the infusion of the patient it names, and never touches that of one it does not name."""
    one, other = Pump(), Pump(placer="P-C1^EHR")
    begun = one.start("09:00", "20")
    assert standings(begun, one.event("PATIENT_CHANGE", "10:00")) == [("P-B2", "stopped")]
    assert standings(begun, of_other(one.event("PATIENT_CHANGE", "10:00"))) == [("P-B2", "in-progress")]
    assert standings(begun, of_other(one.stop("10:00", "20", order=False))) == [("P-B2", "in-progress")]
    runs = of_other(other.start("10:00", "30")), of_other(other.stop("10:30", "30", order=False))
    for feed in ((begun, *runs), (*runs, begun), (runs[1], begun, runs[0])):
        assert standings(*feed) == [("P-B2", "in-progress"), ("P-C1", "on-hold")]


def test_what_names_no_order_finds_its_infusion_under_both_numbers_of_a_merged_patient() -> None:
    one = Pump()
    merge = (
        f"MSH|^~\\&|EHR|WILLOW|||20260414120000-0500||ADT^A40^ADT_A39|M1|P|2.5.1\r{OTHER}\rMRG|SYN-100318^^^WILLOW^MR\r"
    )
    told = (one.start("09:00", "20"), one.stop("10:00", "20", order=False).replace(pump_feed.PID, OTHER), merge)
    for feed in (told, told[::-1]):
        assert [status for _, status in standings(*feed)] == ["on-hold"]


def test_a_clock_that_was_set_right_is_wrong_no_more() -> None:
    """C13 counts by the clock that the pump has now; what it told before stands as told."""
    one = Pump()
    wrong = one.start("10:00", "20", sent="09:40")
    told = [wrong, one.event("DEVICE_TIME_CHANGED", "09:41"), *one.change("09:50", "20", "30", "3", "3")]
    skewed = [
        number for number, text in enumerate(told) if "clock-skew" in [code for code, _ in codes([text.encode()])]
    ]
    assert skewed == [0]
    assert [code for code, _ in codes([text.encode() for text in told])].count("clock-skew") == 1


def emar(sub: str, start: str, end: str, rate: str, give: str = "0") -> bytes:
    """A rate charted by hand; with an end the segment's own RXA again, closed."""
    sent, closed = pump_feed.at(end or start), pump_feed.at(end) if end else '""'
    status, action = ("CM", "U") if end else ("IP", "A")
    drug, dose = "6130^ketamine^RXNORM", f"{rate}|mL|||RN-3^Bjork^Zoe||H1|1|mg/mL"
    return (
        f"MSH|^~\\&|EMAR|WILLOW|||{sent}||RAS^O17^RAS_O17|E{give}{sub}{end}|P|2.5.1\r{pump_feed.PID}\r{pump_feed.PV1}\r"
        f"ORC|RE|P-B2^EHR|F-B2^PHARM||{status}\r"
        f"RXA|{give}|{sub}|{pump_feed.at(start)}|{closed}|{drug}|{dose}||||||{'CP' if end else ''}|{action}\rRXR|IV\r"
    ).encode()  # fmt: skip


@pytest.mark.parametrize(("start", "end"), [("09:03", "10:03"), ("08:57", "10:00"), ("09:10", "09:50")])
def test_what_pump_and_emar_may_tell_twice_is_told_and_in_no_sum(start: str, end: str) -> None:
    pump = Pump()
    own = [pump.start("09:00", "20").encode(), pump.stop("10:00", "20", total="20").encode()]
    feed = [ORDER, *own, emar("1", start, "", "20"), emar("1", start, end, "20")]
    assert not any(code == "volume-unreconciled" for code, _ in codes(feed)), "the counter is the pump's"
    for listed in (feed, [ORDER, *reversed(feed[1:])]):
        assert any(code == "pump-overlap" and f"T{start}:00" in text for code, text in codes(listed))
        assert infusion(listed).total is None
        assert len(infusion(listed).segments) == 2


def test_one_after_the_other_pump_and_emar_are_summed() -> None:
    """A pump that was off the network for the first rate, charted by hand; its clock is half a minute off."""
    pump = Pump()
    feed = [ORDER, emar("1", "09:00", "", "20"), emar("1", "09:00", "10:00", "20"),
            pump.start("09:59:30", "30").encode(), pump.stop("10:59:30", "30").encode(),
            pump.event("PUMP_PROG_CLEARED", "11:00").encode()]  # fmt: skip
    assert not any(code == "pump-overlap" for code, _ in codes(feed))
    assert infusion(feed).total == 50


GIVES = [
    ORDER, emar("1", "09:00", "", "20", "1"), emar("1", "09:00", "10:00", "20", "1"),
    emar("1", "10:00", "", "30", "2"), emar("1", "10:00", "11:00", "30", "2"),
]  # fmt: skip


def of_gives() -> list[bytes]:
    pump = Pump()
    own = [pump.start("09:00", "20"), pump.stop("10:00", "20", total="20"), pump.start("10:00:20", "30"),
           pump.stop("11:00", "29.8", total="49.8"), pump.event("PUMP_PROG_CLEARED", "11:05", order=False, drug="")]  # fmt: skip
    return [*GIVES, *(one.encode() for one in own)]


@settings(max_examples=25, deadline=None)
@given(st.permutations(of_gives()))
def test_what_a_pump_tells_is_of_the_give_that_is_charted(messages: list[bytes]) -> None:
    """The eMAR numbers its gives (RXA-1), the pump does not: no drug is given twice, whichever told first."""
    found = [one for one in reduced(bundles_of(messages)) if one.status != "entered-in-error"]
    assert [[(s.amount, s.status) for s in alive(one).segments] for one in found] == [
        [(20, "stopped")],
        [(30, "stopped")],
    ]
    assert [float(one.total or 0) for one in found] == [20, 29.833]
    held = last_state(bundles_of(messages))
    acts = [one["resource"] for one in held["entry"] if one["resource"]["resourceType"] == "MedicationAdministration"]
    gone = {one["id"] for one in acts if "withdrawn" in str(one["meta"]["tag"])}
    assert not any(gone & {str(part["reference"]).rpartition("/")[2].rpartition(":")[2] for part in one.get("partOf", ())}
                   for one in acts)  # fmt: skip
    assert not any("dose" in one.get("dosage", {}) for one in acts if one["id"] in gone)


def test_the_counter_of_a_pump_goes_on_under_the_next_give() -> None:
    """Its second give is no first program (C5), and the counter has the first in it (C6)."""
    program = ("pump-order-mismatch", "volume-unreconciled")
    assert [code for code, _ in codes(of_gives()) if code in program] == []


def test_a_counter_that_is_off_under_the_next_give_is_told() -> None:
    """C6 over all gives that the channel has delivered: what rate and time give of both against the one counter."""
    feed = [one.replace(b"|49.8|", b"|39.8|") for one in of_gives()]
    assert feed != of_gives()
    (text,) = [text for code, text in codes(feed) if code == "volume-unreconciled"]
    assert text.endswith("the pump tells 39.8 mL, rate and time give 49.833 mL"), text


def test_a_give_that_was_charted_in_error_leaves_the_pump_its_own() -> None:
    pump = Pump()
    charted = emar("1", "09:00", "", "20", "1")
    deleted = charted.replace(b"|A\rRXR", b"|D\rRXR").replace(b"20260414090000-0500||RAS", b"20260414093000-0500||RAS")
    feed = [ORDER, charted, pump.start("09:00", "20").encode(), deleted, pump.stop("10:00", "20").encode()]
    found = [one for one in reduced(bundles_of(feed)) if one.status != "entered-in-error"]
    assert [(one.status, [s.status for s in one.segments]) for one in found] == [("on-hold", ["stopped"])]


def test_gives_of_pump_and_emar_go_back_as_they_are() -> None:
    text = to_hl7v2(last_state(bundles_of(of_gives())), message="RAS^O17").text
    told = [line.split("|")[1:4:2] for line in text.split("\r") if line.startswith("RXA")]
    assert told == [["1", "20260414090000-0500"], ["2", "20260414100020-0500"]]


@pytest.mark.parametrize("restarts", [False, True])
def test_the_service_finds_the_give_of_what_a_pump_told(tmp_path: Path, restarts: bool) -> None:
    """Rows of the store are by infusion: the eMAR's message needs that of the pump's."""
    store = SqliteStore(tmp_path / "store")
    channel = Channel("emar", default(), Policy(), Answers())
    intake = Intake(store, {"emar": channel})
    bundles = []
    for number, one in enumerate([ORDER, *of_gives()[5:], *GIVES[1:]], 1):
        intake = Intake(store, {"emar": channel}) if restarts else intake
        (ack,) = intake.take(channel, one, "peer").answers
        assert b"MSA|AA" in ack or b"MSA|CA" in ack
        bundles += [json.loads(delivery.payload) for delivery in store.show(number).deliveries]
    store.close()
    found = [one for one in reduced(bundles) if one.status != "entered-in-error"]
    assert [float(one.total or 0) for one in found] == [20, 29.833]


@pytest.mark.parametrize("place", ["%s%n", "2.1.0.0", ""])
def test_a_part_in_no_part_that_was_told_leaves_all_as_they_were_told(place: str) -> None:
    """A gateway may name a part of another device: no Device is made of what stands nowhere."""
    text = Pump().start("09:00", "20")
    lines = [
        line.replace("|1.1.0.0|", f"|{place}|") if line.startswith("OBX|") and "_VMD^" in line else line
        for line in text.split("\r")
    ]
    bundle = to_fhir("\r".join(lines)).bundle or {}
    devices = [one["resource"] for one in bundle["entry"] if one["resource"]["resourceType"] == "Device"]
    assert all("identifier" in one or "parent" in one for one in devices)


def test_a_message_that_names_fewer_parts_moves_no_metric() -> None:
    """A cleared program tells the drug without the channel it stands in: the metric of the channel stays where it is."""
    text = Pump().start("09:00", "20")
    sparse = "\r".join(line for line in text.split("\r") if "INFUSATE_SOURCE_PRIMARY^" not in line)

    def parents(message: str) -> dict[str, str]:
        told = [one["resource"] for one in (to_fhir(message).bundle or {})["entry"]]
        return {one["id"]: one["parent"]["reference"] for one in told if one["resourceType"] == "DeviceMetric"}

    whole, less = parents(text), parents(sparse)
    assert less.keys() != whole.keys()
    assert all(whole[one] == less[one] for one in less.keys() & whole.keys())
