"""A feed of many patients, as a hospital's interface engine would send it: registrations, orders, infusions, vital signs;
and what the command needs at most in memory to translate a long one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.rows import FLOOR, OURS

FEW, MANY = 10_000, 100_000
NAME = f"peak memory, {MANY:,} messages"
NOTE = f"the floor is the same command with {FEW:,} messages: what is known of earlier patients must not stay in memory"

_BEGIN = datetime(2026, 1, 5, 6)  # noqa: DTZ001  # local times, written with their offset
_AT_ONCE = 40
_RATES = (20, 30, 40, 24, 36)


def messages(count: int) -> Iterator[bytes]:
    """`count` different messages, CR between segments: forty patients at a time, twenty messages each, all interleaved."""
    for number in range(count):
        wave, within = divmod(number, _AT_ONCE * len(_COURSE))
        step, bed = divmod(within, _AT_ONCE)
        patient = wave * _AT_ONCE + bed
        at = _BEGIN + timedelta(hours=5 * wave, minutes=10 * step, seconds=bed)
        yield _COURSE[step](patient, step, at).replace("\n", "\r").encode()


def vitals(patient: int, step: int) -> str:
    """A message of five vital signs, CR between segments."""
    return _vitals(patient, step, _BEGIN + timedelta(minutes=10 * step)).replace("\n", "\r")


def measure() -> dict[str, float]:
    """KiB at most in memory (resident) of a short and of a long feed."""
    return {FLOOR: peak(FEW), OURS: peak(MANY)}


def peak(count: int) -> float:
    """KiB at most in memory while the command translates so many messages."""
    command = [str(Path(sys.executable).with_name("ketafhir")), "translate", "-", "--to", "fhir"]
    # A process counts the memory of the one that started it: hence a small one in between.
    with subprocess.Popen(
        [sys.executable, "-c", _PEAK, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as ran:
        assert ran.stdin is not None
        assert ran.stdout is not None
        for message in messages(count):
            ran.stdin.write(message + b"\r")
        ran.stdin.close()
        return float(ran.stdout.read())


_PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


def _stamp(at: datetime) -> str:
    return f"{at:%Y%m%d%H%M%S}-0600"


def _head(sender: str, kind: str, patient: int, step: int, at: datetime) -> str:
    return (
        f"MSH|^~\\&|{sender}|WILLOW|||{_stamp(at)}||{kind}|{sender[0]}{patient}-{step}|P|2.5.1\n"
        f"PID|1||SYN-{patient}^^^WILLOW^MR||Sample^Ida{patient}^^^^^L||19{50 + patient % 50}0211|F\n"
        f"PV1|1|O|INFUSION^ROOM {patient % 9}^CHAIR 2^WILLOW||||||||||||||||V-{patient}^^^WILLOW^VN\n"
    )


def _register(patient: int, step: int, at: datetime) -> str:
    return _head("EHR", "ADT^A04^ADT_A01", patient, step, at)


def _order(patient: int, step: int, at: datetime) -> str:
    return (
        _head("EHR", "RDE^O11^RDE_O11", patient, step, at) + f"ORC|NW|P-{patient}^EHR|F-{patient}^PHARM||IP\n"
        "RXE||6130^ketamine^RXNORM|120||mg^^UCUM|||||250.0|mL^^UCUM|||||||||||H4|20|mL/h^^UCUM|1|mg/mL^^UCUM\n"
        f"TQ1|1||||||{_stamp(at)}||R\n"
        "RXR|IV^Intravenous^HL70162\n"
        "RXC|A|6130^ketamine^RXNORM|250.0|mg^^UCUM\n"
        f"OBX|1|NM|29463-7^Body weight^LN||{60 + patient % 40}.5|kg^^UCUM|||||F\n"
    )


def _rate(patient: int, step: int, at: datetime) -> str:
    return (
        _head("EMAR", "RAS^O17^RAS_O17", patient, step, at) + f"ORC|RE|P-{patient}^EHR|F-{patient}^PHARM||IP\n"
        f'RXA|0|{step}|{_stamp(at)}|""|6130^ketamine^RXNORM|{_RATES[(patient + step) % len(_RATES)]}|mL^^UCUM|||'
        "RN-3^Bjork^Zoe^^^^^^WILLOW||H1|1|mg/mL^^UCUM|||||||A\n"
        "RXR|IV^Intravenous^HL70162\n"
    )


def _stop(patient: int, step: int, at: datetime) -> str:
    begun = at - timedelta(minutes=10)
    return (
        _head("EMAR", "RAS^O17^RAS_O17", patient, step, at) + f"ORC|RE|P-{patient}^EHR|F-{patient}^PHARM||CM\n"
        f"RXA|0|{step - 1}|{_stamp(begun)}|{_stamp(at)}|6130^ketamine^RXNORM|"
        f"{_RATES[(patient + step - 1) % len(_RATES)]}|mL^^UCUM|||RN-3^Bjork^Zoe^^^^^^WILLOW||H1|1|mg/mL^^UCUM||||||CP|U\n"
        "RXR|IV^Intravenous^HL70162\n"
    )


def _vitals(patient: int, step: int, at: datetime) -> str:
    results = (
        ("8480-6^Systolic blood pressure^LN", 100 + (patient + step) % 50, "mm[Hg]"),
        ("8462-4^Diastolic blood pressure^LN", 60 + (patient + step) % 30, "mm[Hg]"),
        ("8867-4^Heart rate^LN", 60 + (patient * step) % 50, "/min"),
        ("9279-1^Respiratory rate^LN", 12 + step % 8, "/min"),
        ("59408-5^Oxygen saturation^LN", 92 + patient % 8, "%"),
    )
    return (
        _head("MONITOR", "ORU^R01^ORU_R01", patient, step, at)
        + f"OBR|1||VS-{patient}-{step}^MONITOR|85353-1^Vital signs^LN|||{_stamp(at)}\n"
        + "".join(
            f"OBX|{number}|NM|{code}|1|{value}|{unit}^^UCUM|||||F|||{_stamp(at)}\n"
            for number, (code, value, unit) in enumerate(results, 1)
        )
    )


_COURSE = (_register, _order, *(_rate, _vitals, _vitals) * 5, _rate, _stop, _vitals)
