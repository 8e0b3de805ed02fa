"""Units as they are sent: UCUM, MDC and free text, one or two triplets, in either order."""

from __future__ import annotations

import pytest

from ketafhir.mapping import codes, units
from ketafhir.mapping.codecs.amounts import Concentration
from ketafhir.mapping.codecs.numbers import read_unit
from ketafhir.mapping.codecs.rates import CompoundRate
from ketafhir.mapping.context import Context, Unreadable


@pytest.mark.parametrize(
    ("sent", "ucum"),
    [
        ("mL/h^^UCUM", "mL/h"),
        ("^mL/hr^L", "mL/h"),
        ("265266^MDC_DIM_MILLI_L_PER_HR^MDC", "mL/h"),
        ("265266^^MDC^mL/h^mL/h^UCUM", "mL/h"),
        ("mL/h^mL/h^UCUM^265266^MDC_DIM_MILLI_L_PER_HR^MDC", "mL/h"),
        ("^MDC_DIM_MILLI_L_PER_HR^MDC", "mL/h"),
        ("mL^milliliter^UCUM^263762^MDC_DIM_MILLI_L^MDC", "mL"),
        ("mL^milliliter^UCUM^265201^MDC_DIM_SOMETHING^MDC", "mL"),
        ("mcg/kg/min", "ug/kg/min"),
        ("ug/kg/min^ug/kg/min^UCUM", "ug/kg/min"),
        ("265619^MDC_DIM_MICRO_G_PER_KG_PER_MIN^MDC", "ug/kg/min"),
        ("mg/hr", "mg/h"),
        ("mL/hr", "mL/h"),
        ("cc/hr", "mL/h"),
        ("ML/HR", "mL/h"),
        ("MCG/KG/MIN", "ug/kg/min"),
        ("µg/kg/min", "ug/kg/min"),
        ("mg/kg/hour", "mg/kg/h"),
        ("mL/minute", "mL/min"),
        ("milliliters per hour^mL/hr^L", "mL/h"),
    ],
)
def test_spellings_of_one_unit(sent: str, ucum: str) -> None:
    found, _, _ = read_unit(sent)
    assert found is not None
    assert found.ucum == ucum


@pytest.mark.parametrize(
    "sent", ["Mg/h", "mg/h/h", "drops/min", "mL/h^^UCUM^265522^MDC_DIM_MILLI_G_PER_HR^MDC", "mg^^X^mL^^Y"]
)
def test_what_is_not_understood_or_says_two_things_is_none(sent: str) -> None:
    assert read_unit(sent)[0] is None


def test_a_refused_unit_says_which_would_be_taken() -> None:
    with pytest.raises(Unreadable) as told:
        CompoundRate("", None).from_v2(Context(), "20", "drops/min")
    assert "mL/h" in told.value.hint
    assert "ug/kg/min" in told.value.hint
    with pytest.raises(Unreadable) as told:
        Concentration("", None).from_v2(Context(), "20", "mg/h")
    assert told.value.hint == "send UCUM: mg/mL, ug/mL, g/L, mg/dL"
    with pytest.raises(Unreadable, match="not understood") as told:
        CompoundRate("", None).from_v2(Context(), "20", "mL/h^^UCUM^265522^^MDC")
    assert told.value.value == "mL/h or 265522"


def test_every_mdc_unit_of_the_catalogue_is_read_by_number_and_name() -> None:
    dimensions = codes.codes("mdc.dim-")
    assert len(dimensions) > 20
    for one in dimensions:
        for text in (one.code, one.display, f"{one.code}^{one.display}^MDC"):
            found, _, _ = read_unit(text)
            assert found is not None, text
            assert found.ucum == one.unit


def test_a_rate_says_its_halves() -> None:
    for unit in units.table().values():
        if unit.kind == "rate":
            assert f"{unit.amount}/{unit.per}" == unit.ucum
        else:
            assert not unit.amount + unit.per
