"""Numbers as people write them in charts."""

from __future__ import annotations

from decimal import Decimal


def plain(number: Decimal | None) -> str:
    """Without trailing zeros: 36, 111.2, 0.125; a dash for what is not known."""
    return "-" if number is None else format(number.normalize(), "f")


def one_decimal(number: Decimal | None) -> str:
    """36.0, 111.2; more places where there are more (0.125)."""
    text = plain(number)
    return text if number is None or "." in text else f"{text}.0"
