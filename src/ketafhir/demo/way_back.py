"""From FHIR back to HL7v2: what the server's resources of one patient make, beside what was sent."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import ketafhir
from ketafhir.demo import stories
from ketafhir.demo.compare import Comparison, compare, compare_results
from ketafhir.demo.reader import Resource
from ketafhir.demo.stories import Story
from ketafhir.fhir import json
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.stream import split_messages
from ketafhir.translate.settings import default


@dataclass(slots=True)
class WayBack:
    """The messages that came back, and how they compare; `text` says it in one line."""

    messages: list[er7.Message]
    rxa: Comparison
    results: Comparison
    text: str


def of_story(story: Story, bundle: Resource) -> WayBack:
    """Translate the Bundle and compare RXA and results with those of the story. Raises Refused."""
    translated = ketafhir.to_hl7v2(bundle).text
    back = [stories.parse(one) for one in split_messages(translated.encode())]
    sent = [stories.parse(one) for one in story.messages]
    rxa = compare(story.name, sent, back, default().tables)
    results = compare_results(story.name, sent, back)
    kinds = Counter(f"{one.code}^{one.event}" for one in back)
    made = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    equal = [f"{_of(one)} {what}" for one, what in ((rxa, "RXA"), (results, "results (OBX)")) if one.compared]
    return WayBack(back, rxa, results, f"{made}: equal are {' and '.join(equal) or 'none'}")


def _of(comparison: Comparison) -> str:
    wrong = len({one.where.rpartition(" ")[0] for one in comparison.differences})
    return f"{comparison.compared - wrong} of {comparison.compared}"


def write(name: str, bundle: Resource, found: WayBack, folder: Path) -> None:
    """The Bundle and the messages as files, one segment a line, for whoever wants to look."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name.lower()}-bundle.json").write_bytes(json.dumps(bundle, indent=True))
    text = "".join(one.text.replace("\r", "\n") for one in found.messages)
    (folder / f"{name.lower()}-from-fhir.hl7").write_text(text, "utf-8")
