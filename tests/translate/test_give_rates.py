"""RXG-14 to -16 and TQ1-13: one rate, or a refusal (chapter 4A, RXG-14; IHE PCD TF-2, 3.3.4.4.5 and 3.3.4.4.6)."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from ketafhir import Refused, to_fhir
from ketafhir.therapy.records import Order
from ketafhir.therapy.values import Quantity
from ketafhir.translate.give_rates import PROFILE

HEAD = "MSH|^~\\&|BCMA|WILLOW|K|HUB|20260414085500-0500||RGV^O15^RGV_O15|G1|P|2.6|||AL|AL|||||{profile}\r"
HOURS = "4^264384&MDC_DIM_HR&MDC"


def message(per: str, amount: str, unit: str, lasts: str, *, pcd: bool = True, volume: str = "") -> str:
    dose = (volume, "", "mL" if volume else "")
    cells = [
        "1",
        "",
        "",
        "6130^ketamine^RXN",
        *dose,
        *[""] * 6,
        per,
        amount,
        unit,
        "250",
        "mg",
        "",
        "",
        "",
        "",
        "250",
        "mL",
    ]
    return (
        HEAD.format(profile=PROFILE if pcd else "")
        + "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo||19740930|M\rORC|RE|P-1^EHR|F-1^PH\r"
        + "RXG|" + "|".join(cells) + f"\rTQ1|1||||||||||||{lasts}\rRXR|IV\r"
    )  # fmt: skip


def give(text: str, site: str | None = None) -> Order:
    (found,) = to_fhir(text, site=site).records.orders.values()
    return found


@pytest.mark.parametrize(
    ("per", "amount", "unit", "lasts", "rate"),
    [
        ("", "120", "mg", HOURS, ("30", "mg/h")),
        ("", "75", "mg", "2^264384&MDC_DIM_HR&MDC~30^264352&MDC_DIM_MIN&MDC", ("0.5", "mg/min")),
        ("", "100", "mL", "4^h&&UCUM", ("25", "mL/h")),
        ("H1", "20", "mL", "", ("20", "mL/h")),
        ("H4", "120", "mg", HOURS, ("30", "mg/h")),
        ("", "20", "mL/h", HOURS, ("20", "mL/h")),
    ],
)
def test_an_amount_goes_over_rxg_14_or_over_tq1_13(
    per: str, amount: str, unit: str, lasts: str, rate: tuple[str, str]
) -> None:
    found = give(message(per, amount, unit, lasts)).rate
    assert isinstance(found, Quantity)
    assert (str(found.value), found.unit) == rate


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (message("H1", "120", "mg", HOURS), "rate-ambiguous"),
        (message("", "100", "mg", "45^min&&UCUM"), "rate-unreadable"),
        (message("", "120", "mg", ""), "unit-wrong-kind"),
        (message("", "20", "mL/h", "4^264384&MDC_DIM_HR&MDC~30^mmol&&UCUM"), "unit-unknown"),
    ],
)
def test_what_means_no_single_rate_is_refused(text: str, code: str) -> None:
    with pytest.raises(Refused) as refusal:
        to_fhir(text)
    assert refusal.value.issues[-1].code == code


def test_outside_pcd_03_an_amount_per_rxg_14_runs_for_tq1_13() -> None:
    """Chapter 4A: 20 mL per hour, for four hours."""
    found = give(message("H1", "20", "mL", HOURS, pcd=False))
    assert found.rate == Quantity(Decimal(20), "mL/h")
    assert found.occurrence_duration is not None
    assert found.occurrence_duration.value == 4


def test_a_site_says_that_rxg_14_counts(tmp_path: Path) -> None:
    (tmp_path / "settings.csv").write_text("setting,value,comment\nrxg_amount,per-time,\n", encoding="utf-8")
    found = give(message("H1", "20", "mL", HOURS), str(tmp_path))
    assert found.rate == Quantity(Decimal(20), "mL/h")


def test_a_time_in_parts_is_their_sum() -> None:
    found = give(message("", "20", "mL/h", "2^264384&MDC_DIM_HR&MDC~45^264352&MDC_DIM_MIN&MDC")).occurrence_duration
    assert found is not None
    assert (found.value, found.unit) == (165, "min")


@pytest.mark.parametrize(("lasts", "warned"), [("30^min&&UCUM", False), ("165^min&&UCUM", True)])
def test_a_rate_that_does_not_give_the_volume_in_its_time_is_told(lasts: str, warned: bool) -> None:
    made = to_fhir(message("", "20", "mL/h", lasts, volume="10"))
    assert ("order-inconsistent" in [one.code for one in made.issues]) is warned
