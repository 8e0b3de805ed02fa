"""Message structures of types and events (HL7 v2 table 0354), and the types that answer them."""

from __future__ import annotations

# Code and event -> structure, where the two names differ.
_STRUCTURES = {
    **dict.fromkeys(("ADT^A01", "ADT^A04", "ADT^A08", "ADT^A13"), "ADT_A01"),
    **dict.fromkeys(("ADT^A05", "ADT^A14", "ADT^A28", "ADT^A31"), "ADT_A05"),
    **dict.fromkeys(("ADT^A06", "ADT^A07"), "ADT_A06"),
    **dict.fromkeys(("ADT^A09", "ADT^A10", "ADT^A11"), "ADT_A09"),
    **dict.fromkeys(
        ("ADT^A21", "ADT^A22", "ADT^A23", "ADT^A25", "ADT^A26", "ADT^A27", "ADT^A29", "ADT^A32", "ADT^A33"),
        "ADT_A21",
    ),
    **dict.fromkeys(
        ("ADT^A30", "ADT^A34", "ADT^A35", "ADT^A36", "ADT^A46", "ADT^A47", "ADT^A48", "ADT^A49"), "ADT_A30"
    ),
    **dict.fromkeys(("ADT^A39", "ADT^A40", "ADT^A41", "ADT^A42"), "ADT_A39"),
    **dict.fromkeys(("ADT^A43", "ADT^A44"), "ADT_A43"),
    "RDE^O25": "RDE_O11",
    "RRE^O26": "RRE_O12",
    "ORU^R42": "ORU_R01",
}

# Before 2.4 the pharmacy messages had one event; a message that names no event is of the one its code had.
_OLD_EVENTS = {"RAS": "O01", "RDE": "O01", "RGV": "O01", "RDS": "O01", "ORM": "O01", "ORU": "R01"}
_EVENTS = {**_OLD_EVENTS, "RAS": "O17", "RDE": "O11", "RGV": "O15", "RDS": "O13", "OMP": "O09"}
_OLD_VERSIONS = frozenset(("2.1", "2.2", "2.3", "2.3.1"))

# Application answers (HL7 v2 chapter 4A): code^event of the message -> MSH-9 of the answer.
RESPONSES = {
    "RAS^O17": ("RRA", "O18", "RRA_O18"),
    "RDE^O11": ("RRE", "O12", "RRE_O12"),
    "RDE^O25": ("RRE", "O26", "RRE_O12"),
    "RDS^O13": ("RRD", "O14", "RRD_O14"),
    "RGV^O15": ("RRG", "O16", "RRG_O16"),
    "OMP^O09": ("ORP", "O10", "ORP_O10"),
    "ORM^O01": ("ORR", "O02", "ORR_O02"),
    "RAS^O01": ("RRA", "O02", "RRA_O02"),
    "RDE^O01": ("RRE", "O02", "RRE_O02"),
    "RDS^O01": ("RRD", "O02", "RRD_O02"),
    "RGV^O01": ("RRG", "O02", "RRG_O02"),
    "ORU^R40": ("ORA", "R41", "ORA_R41"),
}


def structure_of(code: str, event: str, version: str) -> str:
    """MSH-9.3 for a message that leaves it empty: `RDE_O11` for RDE^O25, `RAS_O01` for RAS in 2.3, `ACK` for
    ACK^A01."""
    if code in ("", "ACK"):
        return code
    event = event or (_OLD_EVENTS if version in _OLD_VERSIONS else _EVENTS).get(code, "")
    return _STRUCTURES.get(f"{code}^{event}") or (f"{code}_{event}" if event else code)


def response_to(code: str, event: str) -> tuple[str, str, str]:
    """MSH-9 (code, event, structure) of the application answer: RRA^O18^RRA_O18 to RAS^O17, else
    ACK^event^ACK."""
    return RESPONSES.get(f"{code}^{event}", ("ACK", event, "ACK"))
