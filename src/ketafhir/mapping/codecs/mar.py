"""What an eMAR says was done (New Bag, Rate Change, Paused, ...): a word of the site <-> our code with that word beside it."""

from __future__ import annotations

from typing import Any

from ketafhir.mapping import codemaps
from ketafhir.mapping.codecs.base import Codec
from ketafhir.mapping.codecs.coded import concept_json, of_name, read_concept, read_cwe, write_cwe
from ketafhir.mapping.context import Context, Unreadable
from ketafhir.plain import replace
from ketafhir.therapy.values import Coded, Coding, Event


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


class MarAction(Codec):
    """CWE <-> CodeableConcept by the code map `vocab`: code, name or text of the eMAR (whatever its case), and our code."""

    fhir_type = "CodeableConcept"
    steady = True

    def __init__(self, vocab: str, maps: codemaps.Maps) -> None:
        super().__init__(vocab, maps)
        self.map = maps(vocab)
        self.words = {_plain(word): action for word, action in self.map.v2_to_domain.items()}

    def names(self, text: str) -> bool:
        """Whether a text is a word for an action, and nothing else."""
        return _plain(text) in self.words

    def find(self, told: Coded) -> str:
        """The action that a concept names, or "". Raises Unreadable where code and text name two."""
        codings = [text for one in told.codings for text in (one.code, one.display)]
        found = {self.words[_plain(text)] for text in (*codings, told.text) if _plain(text) in self.words}
        found |= {self.map.fhir_to_domain[one.code] for one in told.codings if self._ours(one)}
        if len(found) > 1:
            raise Unreadable("action-unknown", "code and text name two actions", told.label, "send one", "103")
        return next(iter(found), "")

    def _ours(self, coding: Coding) -> bool:
        return coding.code in self.map.fhir_to_domain and of_name(f"keta.{coding.code}").system == coding.system

    def from_v2(self, c: Context, *cells: str) -> Event | None:
        told = read_cwe(cells[0], c)
        if told is None:
            return None
        action = self.find(told)
        if not action:
            raise Unreadable(
                "action-unknown", "not an action of the eMAR", told.label,
                f"send one of {', '.join(sorted(set(self.map.v2_to_domain)))}, or map it in codesystems/{self.vocab}.csv", "103",
            )  # fmt: skip
        return Event(action, told)

    def to_v2(self, c: Context, value: Event) -> tuple[str, ...]:
        if value.told is not None and self.find(value.told) == value.action:
            return (write_cwe(value.told),)
        word = self.map.domain_to_v2.get(value.action)
        if word is None:
            raise Unreadable("action-unknown", "the site has no word for this action", value.action)
        coding = of_name(f"keta.{word}") if word in self.map.fhir_to_domain else Coding(word)
        return (write_cwe(Coded((coding,))),)

    def to_fhir(self, c: Context, value: Event) -> dict[str, Any]:
        ours = of_name(f"keta.{self.map.domain_to_fhir[value.action]}")
        told = value.told or Coded(())
        rest = tuple(one for one in told.codings if (one.system, one.code) != (ours.system, ours.code))
        return concept_json(replace(told, codings=(ours, *rest)))

    def from_fhir(self, c: Context, json: Any) -> Event | None:
        told = read_concept(json)
        if told is None:
            return None
        first, *rest = told.codings or (Coding(""),)
        if not self._ours(first):
            raise Unreadable("action-unknown", "the first coding is not an action of ours", first.code, hl7="103")
        action = self.map.fhir_to_domain[first.code]
        if not rest and not told.text:
            return Event(action, None)
        return Event(action, replace(told, codings=tuple(rest)))
