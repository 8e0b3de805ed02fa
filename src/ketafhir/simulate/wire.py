"""ER7 text: the segments that every message of the clinic shares, and coded elements by the names of the catalogue."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from ketafhir.mapping import codes
from ketafhir.simulate.person import Person

OFFSET = "-0500"
ROUTE = "IV^Intravenous^HL70162"
ARM = "LLFA^Left Lower Forearm^HL70163"
PUMP, PUSH = "IVP^IV Pump^HL70164", "IVP^IV Push^HL70165"
RXR = f"RXR|{ROUTE}|{ARM}|{PUMP}"
RXR_PUSH = f"RXR|{ROUTE}|{ARM}||{PUSH}"


@dataclass(slots=True, frozen=True)
class Told:
    """A message and when it was sent; `late` moves it behind what was sent meanwhile."""

    sent: datetime
    text: str


@dataclass(slots=True, frozen=True)
class Sender:
    """An application of a site, for one patient and visit."""

    application: str
    facility: str
    person: Person
    visit: str
    place: str

    def message(
        self, kind: str, number: str, sent: datetime, segments: list[str], *, version: str = "2.5.1", more: str = ""
    ) -> Told:
        """A message of `kind` (RAS^O17^RAS_O17) with its MSH, PID and PV1 before `segments`, ended by CR."""
        head = (
            f"MSH|^~\\&|{self.application}|{self.facility}|KETAFHIR|{self.facility}|{time(sent)}||{kind}|"
            f"{self.application.partition('^')[0]}-{self.person.number}-{number}|P|{version}||||||UNICODE UTF-8{more}"
        )
        return Told(sent, "\r".join([head, *segments]) + "\r")

    @property
    def pid(self) -> str:
        """PID as every message has it."""
        who = self.person
        return f"PID|1||{who.mrn}^^^{self.facility}^MR||{who.family}^{who.given}^^^^^L||{who.birth}|{who.sex}"

    @property
    def pv1(self) -> str:
        """PV1 with place and number of the visit."""
        return f"PV1|1|O|{self.place}^{self.facility}||||||||||||||||{self.visit}^^^{self.facility}^VN"


def time(moment: datetime) -> str:
    """DTM with the offset of the clinic."""
    return f"{moment:%Y%m%d%H%M%S}{OFFSET}"


def later(moment: datetime, seconds: int) -> datetime:
    """So many seconds after."""
    return moment + timedelta(seconds=seconds)


def coded(name: str) -> str:
    """A CWE of a row of the catalogue."""
    found = codes.code(name)
    return f"{found.code}^{found.display}^{codes.v2_name(found.system)}"


def unit(name: str) -> str:
    """A unit of the catalogue (`mg`) as CWE of UCUM."""
    return f"{codes.code('ucum.' + name).code}^^UCUM"


def bare(name: str) -> str:
    """A unit as it is said among those who know which: its code alone."""
    return codes.code("ucum." + name).code


def number(value: Decimal | int) -> str:
    """A number without an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def xcn(who: tuple[str, str, str], facility: str) -> str:
    """A person of the staff."""
    return f"{who[0]}^{who[1]}^{who[2]}^^^^^^{facility}"


def obx(
    place: int,
    kind: str,
    code: str,
    value: str,
    measured: str = "",
    *,
    sub: str = "",
    status: str = "F",
    at: datetime | None = None,
    by: str = "",
    device: str = "",
) -> str:
    """One OBX; empty fields at its end are left out."""
    when = time(at) if at else ""
    return f"OBX|{place}|{kind}|{code}|{sub}|{value}|{measured}|||||{status}|||{when}||{by}||{device}".rstrip("|")
