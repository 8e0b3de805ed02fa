"""What was read or made before is used again: it changes no translation, and no translation changes another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ketafhir import Refused, to_fhir
from ketafhir.fhir.json import dumps
from ketafhir.hl7v2.stream import split_messages
from ketafhir.mapping.tables import Tables
from ketafhir.translate import patients, repeats, visits, wording
from ketafhir.translate.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = sorted([*ROOT.glob("tests/golden/*/*/in.hl7"), *ROOT.glob("examples/stories/*/*.hl7")])
MESSAGES = list(dict.fromkeys(one for file in FILES for one in split_messages(file.read_bytes())))
TABLES = Tables()

VITALS = (
    "MSH|^~\\&|{app}|WILLOW|||20260309084005-0500||ORU^R01^ORU_R01|{number}|P|2.5.1||||||UNICODE UTF-8\r"
    "PID|1||SYN-1^^^WILLOW^MR||Halloway^Wren\r"
    "PV1|1|O|INFUSION^ROOM 1^CHAIR 2^WILLOW||||||||||||||||V-1^^^WILLOW^VN\r"
    "OBR|1||VS-{number}^MONITOR|85353-1^Vital signs^LN|||{time}-0500||||||||||||||||||F\r"
    "OBX|1|NM|8480-6^Systolic^LN|1|{value}|mm[Hg]^^UCUM|90-140|{flag}|||{status}|||{time}-0500||RN-2^Sample^Imre^^^^^^WILLOW||M-3^WILLOW\r"
    "OBX|2|NM|8462-4^Diastolic^LN|1|84|mm[Hg]^^UCUM|60-90|N|||F|||{time}-0500||RN-2^Sample^Imre^^^^^^WILLOW||M-3^WILLOW\r"
    "OBX|3|NM|8867-4^Heart rate^LN||{value}|/min^^UCUM||{flag}|||{status}|||{time}-0500||||M-3^WILLOW\r"
    "OBX|4|NM|38208-5^Pain severity^LN|{sub}|{value}|{{score}}^^UCUM|||||F|||{time}-0500\r"
)
USUAL = {"app": "MONITOR", "number": "1", "time": "20260309084000", "value": "9", "flag": "N", "status": "F", "sub": ""}
CHANGES: list[dict[str, str]] = [
    {},
    {"number": "2", "time": "20260309084500", "value": "8.50"},
    {"app": "OTHER"},
    {"flag": "H"},
    {"flag": "H~A"},
    {"status": "C"},
    {"status": "D"},
    {"status": "X"},
    {"sub": "1"},
    {"value": "high"},
    {"value": ""},
    {"value": '""'},
    {"time": "202603090840"},
    {"flag": '""'},
    {"value": "1|x"},
]


def outcome(message: str | bytes, settings: Settings) -> tuple[Any, ...]:
    try:
        made = to_fhir(message, settings=settings)
    except Refused as refusal:
        return (refusal.issues,)
    written = made.json()
    assert written == dumps(made.bundle)
    return written, made.bundle, made.issues, made.losses, made.records


def test_a_feed_gives_what_each_message_gives_alone() -> None:
    feed = Settings(TABLES)
    alone = [outcome(message, Settings(TABLES)) for message in MESSAGES]
    assert [outcome(message, feed) for message in MESSAGES] == alone
    assert [outcome(message, feed) for message in reversed(MESSAGES)] == alone[::-1]
    assert [outcome(message, feed) for message in MESSAGES] == alone


@pytest.mark.parametrize("first", range(len(CHANGES)))
def test_after_any_variant_any_other_is_as_alone(first: int) -> None:
    texts = [VITALS.format(**{**USUAL, **change}) for change in CHANGES]
    for second in texts:
        feed = Settings(TABLES)
        expected = outcome(second, Settings(TABLES))
        outcome(texts[first], feed)
        for _ in range(3):
            assert outcome(second, feed) == expected


def test_what_was_made_before_is_written_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [VITALS.format(**{**USUAL, "number": str(at), "value": f"{at}.50"}) for at in range(4)]
    expected = to_fhir(texts[3], settings=Settings(TABLES))
    feed = Settings(TABLES)
    for text in texts[:3]:
        to_fhir(text, settings=feed).json()

    def never(*_: Any) -> None:
        raise AssertionError("this was made before")

    with monkeypatch.context() as patched:
        for place in (wording, repeats):
            patched.setattr(place, "again", never)
        for place in (patients, visits):
            patched.setattr(place, "render", never)
        made = to_fhir(texts[3], settings=feed)
        assert made.json() == expected.json()
    assert made.bundle == expected.bundle


@pytest.mark.parametrize(
    "display", ["100% %s", 'say "rate" \\\\ \\T\\', "\ufdd00\ufdd1", "\ufdd1\ufdd0", "Größe \U0001f4c8 \u2028"]
)
def test_any_words_are_written_again_as_they_were(display: str) -> None:
    feed = Settings(TABLES)
    for number in range(3):
        text = VITALS.replace("Heart rate", display).replace("Wren", display).replace("M-3", display)
        text = text.format(**{**USUAL, "number": str(number)})
        assert outcome(text, feed) == outcome(text, Settings(TABLES))


def _spoil(json: Any) -> None:
    for part in list(json.values()) if isinstance(json, dict) else json:
        if isinstance(part, (dict, list)):
            _spoil(part)
    json.clear()


def test_a_bundle_is_its_owners_to_change() -> None:
    feed = Settings(TABLES)
    text = VITALS.format(**USUAL)
    expected = to_fhir(text, settings=feed).json()
    for _ in range(3):
        made = to_fhir(text, settings=feed)
        assert made.json() == expected
        assert made.bundle is not None
        _spoil(made.bundle)
        assert made.json() == b"{}"
    assert to_fhir(text, settings=feed).json() == expected


def test_what_is_remembered_is_bounded() -> None:
    feed = Settings(TABLES)
    for number in range(1200):
        time = f"2026{number // 100 + 1:02}{number // 4 % 25 + 1:02}{number % 24:02}{number % 60:02}00"
        to_fhir(VITALS.format(**{**USUAL, "number": str(number), "time": time, "value": str(number)}), settings=feed)
    sizes = [len(known) for known in feed._read.values()]
    assert max(sizes) <= 4096
    for number in range(100):
        feed.context(f"urn:ketafhir:sender:{number}")
    assert len(feed._read) <= 66
