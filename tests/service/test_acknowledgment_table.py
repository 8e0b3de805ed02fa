"""The acknowledgments of MSH-15 and MSH-16 as a table (HL7 v2 chapter 2, 2.9; HL7 table 0155), through the whole intake.

Every pair and every outcome, and the same again for the message that is sent once more: a sender that has lost its
answer gets the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from service_peers import heart_rate
from test_intake import FullStore, channel

from ketafhir.service.intake import Intake

# accepted: stored and understood. refused: stored, its content refused. rejected: its processing id is not taken here.
# failed: the disk is full. After CE or CR nothing else comes; where those are not wanted, AR tells a sender that asks
# for application answers on errors.
TABLE = """
MSH-15| MSH-16| accepted| refused| rejected| failed
empty | empty | AA    | AE    | AR    | AR
empty | AL    | AA    | AE    | AR    | AR
empty | NE    | none  | none  | none  | none
empty | ER    | none  | AE    | AR    | AR
empty | SU    | AA    | none  | none  | none
AL    | empty | CA    | CA    | CR    | CE
AL    | AL    | CA AA | CA AE | CR    | CE
AL    | NE    | CA    | CA    | CR    | CE
AL    | ER    | CA    | CA AE | CR    | CE
AL    | SU    | CA AA | CA    | CR    | CE
NE    | empty | none  | none  | none  | none
NE    | AL    | AA    | AE    | AR    | AR
NE    | NE    | none  | none  | none  | none
NE    | ER    | none  | AE    | AR    | AR
NE    | SU    | AA    | none  | none  | none
ER    | empty | none  | none  | CR    | CE
ER    | AL    | AA    | AE    | CR    | CE
ER    | NE    | none  | none  | CR    | CE
ER    | ER    | none  | AE    | CR    | CE
ER    | SU    | AA    | none  | CR    | CE
SU    | empty | CA    | CA    | none  | none
SU    | AL    | CA AA | CA AE | AR    | AR
SU    | NE    | CA    | CA    | none  | none
SU    | ER    | CA    | CA AE | AR    | AR
SU    | SU    | CA AA | CA    | none  | none
""    | ""    | AA    | AE    | AR    | AR
""    | NE    | none  | none  | none  | none
AL    | ""    | CA    | CA    | CR    | CE
other | AL    | CA AA | CA AE | CR    | CE
al    | ne    | CA    | CA    | CR    | CE
"""
OUTCOMES = ("accepted", "refused", "rejected", "failed")
ROWS = [[cell.strip() for cell in line.split("|")] for line in TABLE.strip().splitlines()[1:]]
CASES = [
    (*("" if one == "empty" else one for one in row[:2]), outcome, [] if codes == "none" else codes.split())
    for row in ROWS
    for outcome, codes in zip(OUTCOMES, row[2:], strict=True)
]


def test_every_pair_has_a_row() -> None:
    values = ("empty", "AL", "NE", "ER", "SU")
    assert [tuple(row[:2]) for row in ROWS][:25] == [(one, other) for one in values for other in values]


@pytest.mark.parametrize(("msh_15", "msh_16", "outcome", "codes"), CASES)
def test_row(tmp_path: Path, msh_15: str, msh_16: str, outcome: str, codes: list[str]) -> None:
    header = {"MSH_15": msh_15, "MSH_16": msh_16}
    if outcome == "rejected":
        header["MSH_11"] = "T"
    message = heart_rate("M1", value="abc" if outcome == "refused" else "72", **header)
    store = FullStore(tmp_path / "store.sqlite")
    try:
        store.full = outcome == "failed"
        intake, through = Intake(store, {"ehr": (listener := channel())}), listener
        first, again = (intake.take(through, message, "peer:1").answers for _ in range(2))
        assert [[field(one, b"MSA", 1), field(one, b"MSA", 2)] for one in first] == [[code, "M1"] for code in codes]
        if outcome == "failed":
            assert sum(store.counts().outcomes.values()) == 0
            assert [field(one, b"MSA", 1) for one in again] == codes
        else:
            assert again == first
            assert sum(store.counts().outcomes.values()) == 1
    finally:
        store.close()


def field(answer: bytes, segment: bytes, number: int) -> str:
    """One field of the first such segment."""
    (found,) = (one for one in answer.split(b"\r") if one.startswith(segment))
    return found.split(b"|")[number].decode()
