"""Reads the story files and works out, without the translator, what a FHIR server must hold after them.

Only splitting at the delimiters and the conventions of HL7 v2.5.1 chapters 3, 4 and 7 are used, so that a
fault of the translator cannot hide a fault of the stories, nor the reverse.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
LETTERS = ("a", "b", "c")

VITAL_SIGNS = "85353-1"
READINGS = {
    "8480-6": "blood-pressure",
    "8478-0": "mean-pressure",
    "8867-4": "heart-rate",
    "9279-1": "respiratory-rate",
    "2708-6": "oxygen-saturation",
    "59408-5": "oxygen-saturation",
    "8310-5": "body-temperature",
    "8302-2": "body-height",
}
ASSESSMENTS = {
    "72514-3": "nrs",
    "1345050000": "rass",
    "moaas": "moaas",
    "cadss": "cadss",
    "aldrete": "aldrete",
    "padss": "padss",
}
TOTALS = {"44261-6": "phq-9", "70274-6": "gad-7"}
ANSWERS = {"LA6568-5": "0", "LA6569-3": "1", "LA6570-1": "2", "LA6571-9": "3"}
SCREENER_ITEMS = ("93246-7", "93247-5", "93248-3", "93249-1", "93250-9", "93267-3")


@dataclass(frozen=True)
class Segment:
    """One segment; `seg[7]` is its field 7 as text, `seg.part(5, 2)` component 2 of field 5."""

    line: str

    @property
    def name(self) -> str:
        return self.line[:3]

    def __getitem__(self, number: int) -> str:
        fields = self.line.split("|")
        at = number - 1 if self.name == "MSH" else number
        return fields[at] if at < len(fields) else ""

    def part(self, number: int, component: int = 1) -> str:
        parts = self[number].split("~")[0].split("^")
        return parts[component - 1] if component <= len(parts) else ""


@dataclass(frozen=True)
class Message:
    path: Path
    text: str
    segments: tuple[Segment, ...]

    @property
    def event(self) -> str:
        return "^".join(self.segments[0][9].split("^")[:2])

    def all(self, name: str) -> list[Segment]:
        return [segment for segment in self.segments if segment.name == name]

    def one(self, name: str) -> Segment:
        (segment,) = self.all(name)
        return segment

    def under(self) -> list[tuple[Segment, Segment]]:
        """Every OBX of an ORU with the OBR it stands under."""
        pairs, heading = [], self.segments[0]
        for segment in self.segments:
            if segment.name == "OBR":
                heading = segment
            elif segment.name == "OBX":
                pairs.append((heading, segment))
        return pairs


def read(path: Path) -> Message:
    text = path.read_bytes().decode("utf-8")
    return Message(path, text, tuple(Segment(line) for line in text.splitlines()))


@lru_cache
def messages(letter: str) -> tuple[Message, ...]:
    """The messages of one story in sending order."""
    return tuple(read(path) for path in sorted((STORIES / letter).glob("*.hl7")))


def moment(text: str) -> datetime:
    """An HL7 time with offset, to the minute or the second."""
    clock, offset = text[8:-5], text[-5:]
    return datetime.fromisoformat(f"{text[:8]}T{clock}{offset}")


def rfc3339(text: str) -> str:
    return moment(text).isoformat()


def minutes(start: str, end: str) -> Decimal:
    return Decimal(int((moment(end) - moment(start)).total_seconds())) / 60


def facts(letter: str) -> dict[str, Any]:
    """What `expect.json` of the story must say, but for its name and title."""
    return {
        "messages": _counts(letter),
        "patient": _patient(letter),
        "visits": _visits(letter),
        "order": _order(letter),
        "infusion": infusion(letter),
        "waste": _waste(letter),
        "boluses": _boluses(letter),
        "vitals": _vitals(letter),
        "assessments": _assessments(letter),
        "scores": _scores(letter),
        "risk": _risk(letter),
        "decision": _decision(letter),
    }


def of_event(letter: str, event: str) -> list[Message]:
    return [message for message in messages(letter) if message.event == event]


def infusion_messages(letter: str) -> list[Message]:
    """The RAS messages of the order that an RDE placed, in sending order."""
    placed = {message.one("ORC")[3] for message in of_event(letter, "RDE^O11")}
    return [message for message in of_event(letter, "RAS^O17") if message.one("ORC")[3] in placed]


def observed(message: Message, code: str) -> list[Segment]:
    return [segment for segment in message.all("OBX") if segment.part(3) == code]


def _counts(letter: str) -> dict[str, Any]:
    events = Counter(message.event for message in messages(letter))
    return {"total": events.total(), "by_type": dict(events)}


def _patient(letter: str) -> dict[str, str]:
    last = [message.one("PID") for message in messages(letter) if message.event.startswith("ADT")][-1]
    born = last[7]
    return {
        "mrn": last.part(3),
        "family": last.part(5),
        "given": last.part(5, 2),
        "gender": {"F": "female", "M": "male"}[last[8]],
        "birth_date": f"{born[:4]}-{born[4:6]}-{born[6:]}",
        "phone": last.part(13),
    }


def _visits(letter: str) -> list[dict[str, str | None]]:
    visits: dict[str, dict[str, str | None]] = {}
    for message in messages(letter):
        if message.event.startswith("ADT"):
            visit = message.one("PV1")
            end = rfc3339(visit[45]) if visit[45] else None
            visits[visit.part(19)] = {"number": visit.part(19), "start": rfc3339(visit[44]), "end": end}
    return list(visits.values())


def _order(letter: str) -> dict[str, Any] | None:
    placed = of_event(letter, "RDE^O11")
    if not placed:
        return None
    (message,) = placed
    orc, rxe = message.one("ORC"), message.one("RXE")
    (weight,) = observed(message, "29463-7")
    limit = observed(message, "rate-max")
    (drug,) = [rxc for rxc in message.all("RXC") if rxc[1] == "A"]
    return {
        "placer": orc.part(2),
        "filler": orc.part(3),
        "drug": {"code": rxe.part(2), "display": rxe.part(2, 2)},
        "dose_mg": rxe[3],
        "rate_ml_per_h": rxe[23],
        "max_rate_ml_per_h": limit[0][5] if limit else None,
        "concentration_mg_per_ml": rxe[25],
        "bag_mg": drug[3],
        "bag_ml": rxe[10],
        "weight_kg": weight[5],
    }


def infusion(letter: str) -> dict[str, Any] | None:
    """The fold of the RAS messages by hand: a segment ends at its RXA-4, else where the next one starts."""
    told = infusion_messages(letter)
    if not told:
        return None
    last: dict[str, Segment] = {}
    for message in told:
        rxa = message.one("RXA")
        last[rxa[2]] = rxa
    starts = [rxa[3] for rxa in last.values()] + [""]
    segments = []
    for rxa, following in zip(last.values(), starts[1:], strict=True):
        end = following if rxa[4] == '""' else rxa[4]
        ran = minutes(rxa[3], end)
        volume = Decimal(rxa[6]) * ran / 60
        segments.append({"start": rxa[3], "end": end, "minutes": ran, "rate": rxa[6], "volume": volume})
    gaps = [(before["end"], after["start"]) for before, after in pairwise(segments) if before["end"] != after["start"]]
    delivered = sum(segment["volume"] for segment in segments)
    (concentration,) = {rxa[13] for rxa in last.values()}
    volumes = [obx[5] for message in told for obx in observed(message, "157993")]
    return {
        "status": {"CM": "completed", "DC": "stopped"}[told[-1].one("ORC")[5]],
        "start": rfc3339(segments[0]["start"]),
        "end": rfc3339(segments[-1]["end"]),
        "segments": [
            {
                "start": rfc3339(segment["start"]),
                "end": rfc3339(segment["end"]),
                "minutes": f"{segment['minutes']:.0f}",
                "rate_ml_per_h": segment["rate"],
                "volume_ml": f"{segment['volume']:.1f}",
            }
            for segment in segments
        ],
        "pauses": [
            {"start": rfc3339(start), "end": rfc3339(end), "minutes": f"{minutes(start, end):.0f}"}
            for start, end in gaps
        ],
        "running_minutes": f"{sum(segment['minutes'] for segment in segments):.0f}",
        "pause_minutes": f"{sum(minutes(start, end) for start, end in gaps):.0f}",
        "delivered_ml": f"{delivered:.1f}",
        "delivered_mg": f"{delivered * Decimal(concentration):.1f}",
        "pump_volume_ml": volumes[-1],
    }


def _waste(letter: str) -> dict[str, str] | None:
    for message in infusion_messages(letter):
        for amount in observed(message, "waste-amount"):
            (volume,) = observed(message, "waste-volume")
            (witness,) = observed(message, "waste-witness")
            return {
                "mg": amount[5],
                "ml": volume[5],
                "time": rfc3339(amount[14]),
                "by": amount.part(16),
                "witness": witness.part(5),
            }
    return None


def _boluses(letter: str) -> list[dict[str, Any]]:
    gifts = [m.one("RXA") for m in of_event(letter, "RAS^O17") if not m.one("RXA")[12]]
    return [{"drug": {"code": r.part(5), "display": r.part(5, 2)}, "mg": r[6], "time": rfc3339(r[3])} for r in gifts]


def _charted(letter: str) -> list[tuple[Segment, Segment]]:
    return [pair for message in of_event(letter, "ORU^R01") for pair in message.under()]


def _vitals(letter: str) -> dict[str, Any]:
    under = [obx for obr, obx in _charted(letter) if obr.part(4) == VITAL_SIGNS]
    headings = [s for m in of_event(letter, "ORU^R01") for s in m.all("OBR") if s.part(4) == VITAL_SIGNS]
    readings = Counter(READINGS[obx.part(3)] for obx in under if obx.part(3) in READINGS)
    return {"sets": len(headings), "readings": dict(readings)}


def _assessments(letter: str) -> list[dict[str, str]]:
    found = [
        {"what": ASSESSMENTS[obx.part(3)], "value": obx[5], "time": rfc3339(obx[14])}
        for obr, obx in _charted(letter)
        if obr.part(4) == VITAL_SIGNS and obx.part(3) in ASSESSMENTS
    ]
    return sorted(found, key=lambda row: (row["time"], row["what"]))


def _scores(letter: str) -> list[dict[str, Any]]:
    scores = []
    for message in of_event(letter, "ORU^R01"):
        for obr, obx in message.under():
            name = TOTALS.get(obx.part(3))
            if name:
                items = [ANSWERS.get(o.part(5), o[5]) for o in message.all("OBX") if o is not obx]
            elif obr.part(4) == obx.part(3) == "72514-3":
                name, items = "pain-nrs", []
            else:
                continue
            row = {"instrument": name, "total": obx[5], "items": items or None, "time": rfc3339(obx[14])}
            scores.append(row)
    return sorted(scores, key=lambda row: (row["time"], row["instrument"]))


def _risk(letter: str) -> dict[str, Any] | None:
    for message in of_event(letter, "ORU^R01"):
        for level in observed(message, "93374-7"):
            answers = [observed(message, code)[0].part(5) for code in SCREENER_ITEMS]
            return {
                "instrument": "c-ssrs",
                "level": {"LA9194-7": "low", "risk-high": "high"}[level.part(5)],
                "positive": [number for number, answer in enumerate(answers, 1) if answer == "LA33-6"],
                "time": rfc3339(level[14]),
            }
    return None


def _decision(letter: str) -> dict[str, Any] | None:
    for message in of_event(letter, "ORU^R01"):
        for decision in observed(message, "candidacy-decision"):
            return {
                "decision": decision.part(5),
                "rules": [obx.part(5) for obx in observed(message, "candidacy-rule")],
                "time": rfc3339(decision[14]),
                "by": decision.part(16),
            }
    return None


def in_utc(text: str) -> datetime:
    return moment(text).astimezone(UTC)
