"""The stories: messages in sending order, and what a server must hold after them.

examples/stories/README.md says how they are written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from ketafhir import data
from ketafhir.errors import ConfigError, Refused
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.mapping.codecs.identifiers import authority_system
from ketafhir.mapping.context import Context
from ketafhir.mllp.command import terminated_by_cr

EXPECTATION = "expect.json"
DAMAGED = "damaged.hl7"


@dataclass(slots=True, frozen=True)
class Story:
    """One patient: `name` is the folder (`B`), `messages` go out in this order with CR after each segment.

    `expected` is what `expect.json` says. `system` and `mrn` are what the patient is found by.
    """

    name: str
    messages: tuple[bytes, ...]
    expected: dict[str, Any]
    system: str
    mrn: str

    @property
    def title(self) -> str:
        """What the story is about, in a few words."""
        return str(self.expected.get("title", ""))


def load(folder: Path | None = None) -> list[Story]:
    """The stories of a folder (one in each folder below it), by default those that come with the project.

    Raises ConfigError where there is none, or one cannot be read.
    """
    folder = folder or data.path("stories")
    found = [_story(place.parent) for place in sorted(folder.glob(f"*/{EXPECTATION}"))]
    if not found:
        raise ConfigError(f"no stories in {folder}: a story is a folder with messages and an {EXPECTATION}")
    twice = {one.mrn for one in found if [other.mrn for other in found].count(one.mrn) > 1}
    if twice:
        raise ConfigError(f"two stories tell of the same patient: {', '.join(sorted(twice))}")
    return found


def damaged(folder: Path | None = None) -> bytes:
    """The message that must be refused: that of the folder, else the one that comes with the project."""
    place = (folder or data.path("stories")) / DAMAGED
    return _read(place if place.is_file() else data.path("stories") / DAMAGED)


def interleaved(stories: list[Story]) -> Iterator[tuple[Story, bytes]]:
    """All messages as they could come in on one day: the patients by turns, each in its own order."""
    for round_ in zip_longest(*(story.messages for story in stories)):
        for story, message in zip(stories, round_, strict=True):
            if message is not None:
                yield story, message


def event(message: bytes) -> str:
    """MSH-9 without its structure: `RAS^O17`."""
    parsed = parse(message)
    return f"{parsed.code}^{parsed.event}"


def parse(message: bytes) -> er7.Message:
    """A message of the stories, which are UTF-8."""
    return er7.parse(message.decode("utf-8"))


def patient_number(message: bytes) -> tuple[str, str]:
    """The FHIR system and the value of the first PID-3, under the translator's own settings."""
    parsed = parse(message)
    seps = parsed.separators
    pid = next((one for one in parsed.segments if one.name == "PID"), None)
    number = er7.repetitions(pid.get(3), seps)[0] if pid is not None and pid.get(3) else ""
    parts = er7.components(number, seps)
    if len(parts) < 4 or not parts[0] or not parts[3]:
        raise ConfigError("PID-3 of its first message is no number with an assigning authority")
    name, universal, kind = (*er7.subcomponents(parts[3], seps), "", "")[:3]
    return authority_system(name, universal, kind, Context()), er7.unescape(parts[0], seps)


def _story(folder: Path) -> Story:
    messages = tuple(_read(file) for file in sorted(folder.glob("*.hl7")))
    if not messages:
        raise ConfigError(f"the story {folder} has no messages (files *.hl7)")
    try:
        expected = json.loads((folder / EXPECTATION).read_bytes())
        system, mrn = patient_number(messages[0])
    except (ValueError, Refused, ConfigError) as error:
        raise ConfigError(f"the story {folder} cannot be read: {error}") from error
    if not isinstance(expected, dict):
        raise ConfigError(f"{folder / EXPECTATION} is no JSON object")
    return Story(folder.name.upper(), messages, expected, system, mrn)


def _read(file: Path) -> bytes:
    try:
        return terminated_by_cr(file.read_bytes())
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error}") from error
