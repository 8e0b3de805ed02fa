"""Codes as they were sent: without the blanks that FHIR's code may not have, and with all else."""

from __future__ import annotations

import pytest

from ketafhir.mapping.codecs import coded


@pytest.mark.parametrize(
    ("sent", "kept"),
    [(" A1 ", "A1"), ("A  1", "A 1"), ("A\\X09\\1", "A 1"), ("A\u00a01", "A\u00a01"), ("  ", "")],
)
def test_blanks_of_a_code(sent: str, kept: str) -> None:
    """A no-break space is no whitespace of the R4 code pattern: it is part of what a site calls it."""
    value, beyond = coded._read_cwe(f"{sent}^shown^L", "")  # the one place that cleans codes
    assert value is not None
    assert ([one.code for one in value.codings], beyond) == ([kept] if kept else [], () if kept else ((".3", "L"),))
