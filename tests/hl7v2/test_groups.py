"""The group walker: who owns what, and what is refused because nobody could tell."""

from __future__ import annotations

import hl7types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.groups import Administration, Order, Patient, Walked, walk
from ketafhir.hl7v2.tree import Result

RAS, RDE, OMP, ORU, ADT = "RAS^O17", "RDE^O11", "OMP^O09", "ORU^R01", "ADT^A04"


def message(row: str, type: str = RAS, version: str = "2.5.1") -> er7.Message:
    """A message of bare segments, each with its place in the row as first field: `PID ORC RXA RXR`."""
    lines = [f"{name}|{at}" for at, name in enumerate(row.split(), 2)]
    return er7.parse("\r".join([rf"MSH|^~\&|A|B|C|D|2026||{type}|1|P|{version}", *lines]))


def walked(row: str, type: str = RAS, version: str = "2.5.1") -> Walked:
    whole = message(row, type, version)
    tree = walk(whole)
    assert sorted(s.line for s in tree.segments()) == list(range(1, len(whole.segments) + 1))
    return tree


def patient(row: str, type: str = RAS, version: str = "2.5.1") -> Patient:
    (only,) = walked(row, type, version).patients
    return only


def order(row: str, type: str = RAS, version: str = "2.5.1") -> Order:
    (only,) = patient(row, type, version).orders
    return only


def lines(segments: list[er7.Segment]) -> list[int]:
    return [segment.line for segment in segments]


def results(found: list[Result]) -> list[int]:
    return [result.obx.line for result in found]


def shape(administration: Administration) -> tuple[list[int], list[int], list[int]]:
    return lines(administration.rxas), lines(administration.rxrs), results(administration.results)


def refusal(row: str, type: str = RAS, version: str = "2.5.1") -> list[str]:
    with pytest.raises(Refused) as caught:
        walk(message(row, type, version))
    assert {issue.hl7 for issue in caught.value.issues} == {"100"}
    return [issue.where for issue in caught.value.issues]


class TestAdministrations:
    def test_rxa_after_rxr_is_the_next_administration(self) -> None:
        first, second = order("PID ORC RXA RXR RXA RXR").administrations
        assert shape(first) == ([4], [5], [])
        assert shape(second) == ([6], [7], [])

    def test_several_rxa_share_the_rxr_behind_them(self) -> None:
        (only,) = order("PID ORC RXA RXA RXA RXR OBX OBX").administrations
        assert shape(only) == ([4, 5, 6], [7], [8, 9])

    def test_results_stay_with_their_administration(self) -> None:
        first, second = order("PID ORC RXA RXR OBX NTE OBX RXA RXR OBX").administrations
        assert shape(first) == ([4], [5], [6, 8])
        assert lines(first.results[0].notes) == [7]
        assert shape(second) == ([9], [10], [11])

    def test_rxa_without_rxr_ends_at_its_obx(self) -> None:
        first, second = order("PID ORC RXA OBX RXA").administrations
        assert shape(first) == ([4], [], [5])
        assert shape(second) == ([6], [], [])

    def test_notes_and_participations_do_not_part_rxa_from_rxr(self) -> None:
        (only,) = order("PID ORC RXA PRT NTE RXA PRT ZKT RXR PRT", version="2.7").administrations
        assert shape(only) == ([4, 7], [10], [])
        assert [(rxa.line, prt.line) for rxa, prt in only.participations] == [(4, 5), (7, 8), (10, 11)]
        assert [(name, nte.line) for name, nte in only.notes] == [("RXA", 6)]
        assert lines(only.others) == [9]

    def test_each_order_has_its_own(self) -> None:
        first, second = patient("PID PV1 ORC RXA RXA RXR ORC RXA RXR OBX CTI").orders
        assert [shape(a) for a in first.administrations] == [([5, 6], [7], [])]
        assert [shape(a) for a in second.administrations] == [([9], [10], [11])]
        assert lines(second.others) == [12]

    def test_the_order_detail_has_its_own_route_timing_and_components(self) -> None:
        found = order("PID ORC TQ1 TQ2 RXO NTE RXR RXC NTE RXE TQ1 RXR RXC RXA RXR")
        assert lines(found.timings) == [4, 5]
        assert lines(found.routes) == [8]
        assert lines(found.components) == [9]
        assert found.rxe is not None
        assert lines(found.encoding_timings) == [12]
        assert lines(found.encoding_routes) == [13]
        assert lines(found.encoding_components) == [14]
        assert shape(found.administrations[0]) == ([15], [16], [])
        assert [(name, nte.line) for name, nte in found.notes] == [("RXO", 7), ("RXC", 10)]

    @pytest.mark.parametrize("version", ["2.3", "2.3.1"])
    def test_2_3_has_one_group_of_rxa_before_its_rxr(self, version: str) -> None:
        (only,) = order(
            "PID ORC RXO NTE RXR RXC RXE RXR RXC RXA RXA RXR OBX NTE CTI", "RAS^O01", version
        ).administrations
        assert shape(only) == ([11, 12], [13], [14])

    def test_an_rxc_among_administrations_is_no_ingredient(self) -> None:
        found = order("PID ORC RXA RXC RXR")
        assert found.components == []
        assert lines(found.administrations[0].others) == [5]


@st.composite
def ras_rows(draw: st.DrawFn) -> str:
    """Rows that RAS_O17 allows, without optional groups that would not change the administrations."""
    row = ["PID"]
    for _ in range(draw(st.integers(1, 3))):
        row.append("ORC")
        for _ in range(draw(st.integers(1, 3))):
            row += ["RXA"] * draw(st.integers(1, 3)) + ["RXR"]
            for _ in range(draw(st.integers(0, 2))):
                row += ["OBX"] + ["NTE"] * draw(st.integers(0, 2))
    return " ".join(row)


FULL = {
    "PID": "PID|{0}||{0}^^^A^MR||X^Y",
    "ORC": "ORC|RE|{0}",
    "RXA": "RXA|0|{0}|20260101|20260101|K^K^L|1",
    "RXR": "RXR|{0}",
    "OBX": "OBX|{0}|NM|1^x^LN||1||||||F",
    "NTE": "NTE|{0}",
}


@settings(max_examples=25, deadline=None)
@given(ras_rows())
def test_a_second_opinion_on_administrations(row: str) -> None:
    """hl7types groups RAS_O17 by its structure tables, with code that is not ours."""
    head = r"MSH|^~\&|A|B|C|D|20260101||RAS^O17^RAS_O17|1|P|2.5.1"
    body = [FULL[name].format(at) for at, name in enumerate(row.split(), 2)]
    theirs = hl7types.decode_er7("\r".join([head, *body]) + "\r")
    expected = [
        [
            (
                [int(rxa.rxa_2) for rxa in group.RXA],
                [int(group.RXR.rxr_1.ce_1)],
                [int(result.OBX.obx_1) for result in group.OBSERVATION or []],
            )
            for group in found.ADMINISTRATION
        ]
        for found in theirs.ORDER
    ]
    assert [[shape(a) for a in found.administrations] for found in patient(row).orders] == expected


class TestOrders:
    def test_rde(self) -> None:
        found = order("PID PV1 AL1 ORC TQ1 RXO NTE RXR RXC RXE NTE TQ1 TQ2 RXR RXC RXC OBX NTE FT1", RDE)
        assert found.rxo is not None
        assert found.rxe is not None
        assert (lines(found.timings), lines(found.encoding_timings)) == ([6], [13, 14])
        assert (lines(found.routes), lines(found.encoding_routes)) == ([9], [15])
        assert (lines(found.components), lines(found.encoding_components)) == ([10], [16, 17])
        assert results(found.results) == [18]
        assert lines(found.results[0].notes) == [19]
        assert lines(found.others) == [20]
        assert [name for name, _ in found.notes] == ["RXO", "RXE"]

    def test_rde_2_8_infusion_order(self) -> None:
        found = order("PID ORC PRT RXE PRT TQ1 RXV PRT NTE TQ1 RXR RXC CDO OBX", RDE, "2.8")
        (infusion,) = found.infusions
        assert (infusion.rxv.line, lines(infusion.timings)) == (8, [11])
        assert [prt.line for _, prt in infusion.participations] == [9]
        assert [(name, nte.line) for name, nte in infusion.notes] == [("RXV", 10)]
        assert lines(found.encoding_timings) == [7]
        assert (lines(found.encoding_routes), lines(found.encoding_components)) == ([12], [13])
        assert [(owner.name, prt.line) for owner, prt in found.participations] == [("ORC", 4), ("RXE", 6)]
        assert (lines(found.others), results(found.results)) == ([14], [15])

    def test_omp(self) -> None:
        found = order("PID NTE PV1 ORC TQ1 RXO NTE RXR RXC OBX", OMP)
        assert (lines(found.timings), lines(found.routes), lines(found.components)) == ([6], [9], [10])
        assert results(found.results) == [11]

    def test_rgv_has_several_gives(self) -> None:
        found = order("PID ORC RXE TQ1 RXR RXG TQ1 RXR RXC OBX NTE RXG TQ1 RXR", "RGV^O15")
        first, second = found.gives
        assert found.rxg is first.rxg
        assert lines(first.timings + first.routes + first.components) == [8, 9, 10]
        assert results(first.results) == [11]
        assert lines(second.timings + second.routes) == [14, 15]

    def test_rds(self) -> None:
        found = order("PID ORC RXE TQ1 RXR RXD NTE RXR RXC OBX FT1", "RDS^O13")
        assert found.rxd is not None
        assert (lines(found.dispense_routes), lines(found.dispense_components)) == ([9], [10])
        assert results(found.results) == [11]


class TestResults:
    def test_an_obr_without_orc_is_an_order(self) -> None:
        first, second, third = patient("PID OBR OBX OBX ORC OBR TQ1 OBX OBR OBX", ORU).orders
        assert first.orc is None
        assert [results(found.results) for found in (first, second, third)] == [[4, 5], [9], [11]]
        assert second.orc is not None
        assert second.head is second.orc
        assert third.head is third.obr
        assert lines(second.timings) == [8]

    def test_several_patients(self) -> None:
        tree = walked("PID PV1 OBR OBX PID NTE OBR OBX NTE DSC", ORU)
        first, second = tree.patients
        assert (first.pv1 is not None, second.pv1) == (True, None)
        assert [results(found.results) for found in second.orders] == [[9]]
        assert [name for name, _ in second.notes] == ["PID"]
        assert lines(tree.others) == [11]

    def test_results_behind_a_specimen_are_kept(self) -> None:
        found = order("PID OBR OBX SPM OBX", ORU)
        assert (results(found.results), lines(found.others)) == ([4, 6], [5])

    def test_no_pid(self) -> None:
        assert patient("OBR OBX", ORU).pid is None

    def test_notes_and_participations_of_a_result(self) -> None:
        found = order("PID OBR NTE OBX PRT NTE NTE ZAB NTE OBX NTE", ORU, "2.7")
        first, second = found.results
        assert lines(first.notes) == [7, 8]
        assert lines(first.others) == [6, 9, 10]
        assert lines(second.notes) == [12]
        assert [(name, nte.line) for name, nte in found.notes] == [("OBR", 4)]

    def test_observations_of_the_patient_and_documents_of_the_order(self) -> None:
        found = patient("PID OBX PV1 ORC OBX TXA OBR OBX", ORU, "2.8.2")
        assert results(found.results) == [3]
        assert results(found.orders[0].results) == [9]
        assert lines(found.orders[0].others) == [6, 7]


class TestPatient:
    def test_adt(self) -> None:
        tree = walked("SFT NTE EVN PID PD1 NK1 PV1 PV2 OBX AL1 AL1 DG1 GT1 IN1 ZPV", ADT)
        (found,) = tree.patients
        assert tree.evn is not None
        assert lines(tree.software) == [2]
        assert [(name, nte.line) for name, nte in tree.notes] == [("SFT", 3)]
        assert results(found.results) == [10]
        assert (lines(found.allergies), lines(found.diagnoses)) == ([11, 12], [13])
        assert lines(found.others) == [7, 14, 15, 16]
        assert [segment and segment.line for segment in (found.pid, found.pd1, found.pv1, found.pv2)] == [
            5,
            6,
            8,
            9,
        ]

    def test_notes_belong_to_the_segment_they_follow(self) -> None:
        found = patient("PID NTE PV1 NTE AL1 NTE NK1 NTE", ADT)
        assert [(name, nte.line) for name, nte in found.notes] == [("PID", 3), ("PV1", 5), ("AL1", 7)]
        assert lines(found.others) == [8, 9]

    def test_a_visit_behind_the_order_is_out_of_place(self) -> None:
        found = patient("PID ORC RXA RXR PV1 DG1")
        assert found.pv1 is None
        assert lines(found.orders[0].administrations[0].others) == [6, 7]


@pytest.mark.parametrize(
    ("row", "type", "where"),
    [
        ("PID RXA RXR", RAS, ["RXA"]),
        ("PID RXO ORC", OMP, ["RXO"]),
        ("PID RXE", RDE, ["RXE"]),
        ("PID RXR ORC RXA", RAS, ["RXR"]),
        ("PID RXC", RDE, ["RXC"]),
        ("PID ORC RXR RXA", RAS, ["RXR"]),
        ("PID ORC RXC RXE", RDE, ["RXC"]),
        ("PID ORC OBX RXA", RAS, ["OBX"]),
        ("PID OBX ORC RXA", RAS, ["OBX"]),
        ("PID ORC RXA RXR OBR OBX", RAS, ["OBR"]),
        ("PID OBX OBR", ORU, ["OBX"]),
        ("PID ORC OBX OBR", ORU, ["OBX"]),
        ("PID ORC RXE RXE", RDE, ["RXE[2]"]),
        ("PID ORC RXE RXO", RDE, ["RXO"]),
        ("PID ORC RXO RXO", OMP, ["RXO[2]"]),
        ("PID ORC RXA RXE", RAS, ["RXE"]),
        ("PID ORC RXV RXE", RDE, ["RXV"]),
        ("PID ORC RXA PID ORC RXA", RAS, ["PID[2]"]),
        ("ORC RXA PID", RAS, ["PID"]),
        ("PID PV1 PID PV1", ADT, ["PID[2]"]),
        ("PV1", ADT, ["PID"]),
        ("EVN", ADT, ["PID"]),
        ("PID", RAS, ["RXA"]),
        ("PID ORC ORC RXA ORC", RAS, ["ORC[1]", "ORC[3]"]),
        ("PID ORC RXO", RDE, ["ORC"]),
        ("PID ORC OBX", OMP, ["ORC"]),
        ("PID", ORU, ["OBR"]),
        ("PID ORC", ORU, ["ORC"]),
        ("PID ORC RXE", "RGV^O15", ["ORC"]),
        ("PID ORC RXE", "RDS^O13", ["ORC"]),
    ],
)
def test_refused(row: str, type: str, where: list[str]) -> None:
    assert refusal(row, type) == where


NAMES = (
    "PID PD1 PV1 PV2 AL1 DG1 NK1 ORC OBR RXO RXE RXV RXR RXC RXD RXG RXA TQ1 TQ2 OBX NTE PRT "
    "SFT EVN FT1 CTI SPM DSC ZAB XYZ"
)


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from(NAMES.split()), max_size=14),
    st.sampled_from([RAS, RDE, OMP, ORU, ADT, "RGV^O15", "RDS^O13", "ORM^O01", "VXU^V04"]),
    st.sampled_from(["2.3", "2.5.1", "2.7", "2.8.2"]),
)
def test_every_segment_has_exactly_one_place(row: list[str], type: str, version: str) -> None:
    try:
        walked(" ".join(row), type, version)
    except Refused as refused:
        assert all(issue.hl7 == "100" and issue.where for issue in refused.issues)  # noqa: PT017 - either is right
