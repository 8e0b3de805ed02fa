r"""Escape sequences of HL7 v2 chapter 2 (2.7), both ways.

Decoded: `\F\ \S\ \T\ \R\ \E\ \P\`, `\X..\` and `\.br\` (a line feed). Kept in the text as they are, and left
alone on the way back: highlighting (`\H\ \N\`), the other formatting commands of FT (`\.sp2\ \.in+4\ \.ce\`),
charset switches (`\C..\ \M..\`) and local sequences (`\Z..\`). What is no escape sequence at all is text, and
is never damaged.

Laws: unescape(escape(text)) == text for every text; escape(unescape(raw)) == raw for every raw text that
`escape` wrote, with or without kept sequences in it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ketafhir.errors import refused
from ketafhir.patterns import pattern

if TYPE_CHECKING:
    from ketafhir.hl7v2.er7 import Separators

_CONTROLS = "\x00-\x1f\x7f"
_KEPT = r"[HN]|\.(?!(?i:br))[A-Za-z]{2} ?[+-]?[0-9]*|C[0-9A-Fa-f]{4}|M[0-9A-Fa-f]{4}(?:[0-9A-Fa-f]{2})?"
_HEX = pattern(r"X(?:[0-9A-Fa-f]{2})+")
_rules: dict[str, _Rules] = {}


def unescape(text: str, seps: Separators) -> str:
    """The text that a raw component or subcomponent stands for."""
    esc = seps.escape
    if not esc or esc not in text:
        return text
    rules = _rules_of(seps)
    parts = text.split(esc)
    out = [parts[0]]
    at, last = 1, len(parts) - 1
    while at <= last:
        meaning = rules.meaning(parts[at]) if at < last else None
        if meaning is None:
            # A lone escape character is text; the next one may still open a sequence.
            out.append(esc + parts[at])
            at += 1
        else:
            out.append(meaning + parts[at + 1])
            at += 2
    return "".join(out)


def is_sequence(body: str, seps: Separators) -> bool:
    """Whether `body` between two escape characters is an escape sequence, and not text beside a lone escape character."""
    return _rules_of(seps).meaning(body) is not None


def escape(text: str, seps: Separators) -> str:
    """The raw text of a component or subcomponent that stands for `text`.

    Raises `Refused` (102) where the separators of the message have no escape character and `text` needs one.
    """
    rules = _rules_of(seps)
    if rules.special.search(text) is None:
        return text
    return rules.token.sub(rules.written, text)


def _rules_of(seps: Separators) -> _Rules:
    rules = _rules.get(seps.text)
    if rules is None:
        rules = _rules[seps.text] = _Rules(seps)
    return rules


class _Rules:
    """Both directions compiled for one set of separators."""

    __slots__ = ("chars", "esc", "kept", "names", "special", "token")

    def __init__(self, seps: Separators) -> None:
        self.esc = seps.escape
        self.chars = {
            "F": seps.field,
            "S": seps.component,
            "R": seps.repetition,
            "E": seps.escape,
            "T": seps.subcomponent or "&",
        }
        if seps.truncation:
            self.chars["P"] = seps.truncation
        self.names = {char: name for name, char in self.chars.items() if char in seps.text}
        specials = re.escape(seps.text) + _CONTROLS
        esc = re.escape(self.esc)
        # Nothing kept may hold what would need escaping: else the two directions would cut the text
        # differently.
        kept = f"(?=[^{specials}]*(?:{esc}|\\Z))(?:{_KEPT}|Z[^{specials}]*{'' if seps.truncation else '|P'})"
        self.kept = pattern(kept)
        self.special = pattern(f"[{specials}]")
        self.token = pattern(f"{esc}{kept}{esc}|[{specials}]" if esc else f"[{specials}]")

    def meaning(self, body: str) -> str | None:
        """What the sequence with this body stands for, or None where it is no sequence."""
        char = self.chars.get(body)
        if char:
            return char
        if _HEX.fullmatch(body):
            return _characters(bytes.fromhex(body[1:]))
        if body.lower() == ".br":
            return "\n"
        return self.esc + body + self.esc if self.kept.fullmatch(body) else None

    def written(self, match: re.Match[str]) -> str:
        """The raw text of one token that `token` found: a kept sequence, or one character to escape."""
        found = match[0]
        if len(found) > 1:
            return found
        esc = self.esc
        if not esc:
            raise refused(
                "escape-missing",
                "MSH-2 defines no escape character, and the text needs one",
                where="MSH-2",
                value=found,
                hl7="102",
                hint="use the separators |^~\\&",
            )
        if found in self.names:
            return f"{esc}{self.names[found]}{esc}"
        return f"{esc}.br{esc}" if found == "\n" else f"{esc}X{ord(found):02X}{esc}"


def _characters(data: bytes) -> str:
    """The characters of `\\X..\\`: UTF-8 where it is valid, else Latin-1, which always is."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")
