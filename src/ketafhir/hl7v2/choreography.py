"""Which acknowledgements a message gets (HL7 v2 chapter 2, 2.9.2 and 2.9.3; MSH-15/-16, table 0155)."""

from __future__ import annotations

from typing import Literal

# accepted: stored and understood. refused: stored, and its content refused. rejected: MSH-9, -11 or -12 is
# not taken here. failed: it could not be stored (a full disk, a message that is too long).
Outcome = Literal["accepted", "refused", "rejected", "failed"]

_ORIGINAL = {"accepted": "AA", "refused": "AE", "rejected": "AR", "failed": "AR"}
_ACCEPT = {"accepted": "CA", "refused": "CA", "rejected": "CR", "failed": "CE"}


def condition(text: str) -> str:
    """MSH-15 or MSH-16 as it was sent, without blanks; the null of HL7 (`""`) says as little as an empty field."""
    found = text.strip()
    return "" if found == '""' else found


def choreography(msh15: str, msh16: str, outcome: Outcome) -> tuple[str | None, str | None]:
    """MSA-1 of the accept acknowledgement and of the application answer; None where none is sent.

    Both fields empty: original mode, one answer. Else enhanced mode, in which an empty field means NE and an
    unknown value AL. After CE or CR there is no application answer, unless the sender wants no accept
    acknowledgement for errors and would otherwise never know.
    """
    msh15, msh16 = condition(msh15), condition(msh16)
    if not msh15 and not msh16:
        return None, _ORIGINAL[outcome]
    accept = _ACCEPT[outcome]
    stored = accept == "CA"
    accept_sent = accept if _wanted(msh15, ok=stored) else None
    if not stored and accept_sent:
        return accept_sent, None
    application = _ORIGINAL[outcome]
    return accept_sent, application if _wanted(msh16, ok=application == "AA") else None


def _wanted(condition: str, *, ok: bool) -> bool:
    """Whether table 0155 asks for an answer: AL always, NE never, SU on success, ER on error or reject."""
    match condition.upper():
        case "" | "NE":
            return False
        case "SU":
            return ok
        case "ER":
            return not ok
        case _:
            return True
