"""The account or the sums as one HTML page that needs nothing else: no font, no script, no picture from anywhere.

Everything that comes from a message is escaped, and the page's own policy lets no script run but the one written here.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from ketafhir.explain.shown import visible
from ketafhir.explain.style import SCRIPT, STYLE
from ketafhir.explain.wording import HEADINGS, MEANINGS, NOUNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ketafhir.errors import Issue
    from ketafhir.explain.account import Line, Target, Told
    from ketafhir.explain.sums import Sums

_COLUMNS = {
    "refusals": ("finding", "why", "row", "remedy"),
    "codes": ("finding", "field", "code", "row"),
    "warnings": ("finding", "why", "row", "remedy"),
    "notes": ("finding", "why", "row", "remedy"),
    "preserved": ("field",),
    "dropped": ("field", "why"),
    "written": ("message",),
    "rows": ("row", "field"),
}
_BY_CODE = "By code"
_LEFT = {"preserved": "Preserved", "dropped": "Dropped"}


def page_of(told: Told | None, sums: Sums) -> str:
    """The page of one message, or of the sums of a file."""
    title, body = ("", _sums(sums)) if told is None else (told.title, _message(told))
    policy = f"default-src 'none'; style-src '{_hash(STYLE)}'; script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title or 'A feed at a glance')}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def _hash(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


def _text(text: str) -> str:
    return escape(visible(text), quote=True)


def _message(told: Told) -> Iterator[str]:
    yield f"<header><h1>{_text(told.title)}</h1>"
    if told.refused:
        yield '<p class="key"><span class="bad">refused: nothing of it is written</span></p>'
    else:
        counts = told.counts()
        badges = [f'<span class="{fate}">{counts[fate]} {_text(meaning)}</span>' for fate, meaning in MEANINGS.items()]
        yield f'<p class="key">{"".join(badges)}</p>'
        yield '<p class="soft">Point at a field or an element, or use Tab and the arrow keys, to see what belongs together.</p>'
    yield "</header>\n<main>"
    lines = [line for part in told.parts for line in part.lines]
    ids = {id(line): f"f{number}" for number, line in enumerate(lines)}
    yield f'<section class="pane v2" aria-label="{told.side}"><h2>{told.side}</h2>'
    made = _elements if told.side == "FHIR" else _fields
    for part in told.parts:
        yield f'<div class="segment"><b>{_text(part.name)}</b>{"".join(made(part.lines, ids))}</div>'
    yield "</section>\n<div>"
    yield from _issues(told.issues)
    yield from _targets(lines, ids)
    yield "</div>\n</main>"


def _fields(lines: Iterable[Line], ids: dict[int, str]) -> Iterator[str]:
    """The fields of a segment with a bar for each separator, so that it looks as it came."""
    at = 0
    for line in lines:
        number = int(line.where.rpartition("-")[2])
        # MSH-1 is the separator itself.
        bars = "" if line.where in ("MSH-1", "MSH-2") else "|" * (number - at)
        at = number
        about = " ".join(filter(None, (line.where, line.name, line.fate)))
        yield (
            f'<span class="bar">{bars}</span><span class="field {line.fate or "bad"}" tabindex="0" data-f="{ids[id(line)]}" '
            f'data-where="{_text(line.where)}" title="{_text(about)}">{_text(line.text)}</span>'
        )


def _elements(lines: Iterable[Line], ids: dict[int, str]) -> Iterator[str]:
    """The elements of a resource, one below the other."""
    for line in lines:
        about = " ".join(filter(None, (line.where, line.fate)))
        yield (
            f'<div><span class="soft">{_text(line.name)}</span> <span class="field {line.fate or "bad"}" tabindex="0" '
            f'data-f="{ids[id(line)]}" data-where="{_text(line.where)}" title="{_text(about)}">{_text(line.text)}</span></div>'
        )


def _issues(issues: Iterable[Issue]) -> Iterator[str]:
    found = [f"<li><b>{_text(one.severity)}</b> {_text(one.code)}: {_text(one.line())}</li>" for one in issues]
    if found:
        yield f'<section class="pane" aria-label="Findings"><h2>Findings</h2><ul>{"".join(found)}</ul></section>'


def _targets(lines: list[Line], ids: dict[int, str]) -> Iterator[str]:
    """The elements under the resource that holds them, each once with all the fields it was made of."""
    groups: dict[str, dict[tuple[str, ...], list[Line]]] = {}
    for line in lines:
        for target in line.targets if line.fate == "mapped" else ():
            key: tuple[str, ...] = (target.element, target.value, target.row, target.codec, line.why)
            groups.setdefault(_group(target), {}).setdefault(key, []).append(line)
        if line.fate == "mapped" and not line.targets:
            groups.setdefault(_BY_CODE, {}).setdefault(("", "", "", "", line.why), []).append(line)
    for fate, heading in _LEFT.items():
        for line in lines:
            if line.fate == fate:
                where = ", ".join(name for target in line.targets for name in target.resources)
                groups.setdefault(heading, {}).setdefault((line.name, line.text, where, "", line.why), []).append(line)
    last = (_BY_CODE, *_LEFT.values())
    for name in [*(one for one in groups if one not in last), *(one for one in last if one in groups)]:
        yield f'<section class="pane" aria-label="{_text(name)}"><h2>{_text(name)}</h2>'
        for key, members in groups[name].items():
            yield _row(key, members, ids)
        yield "</section>"


def _group(target: Target) -> str:
    if target.resources:
        return target.resources[0]
    return f"{target.element.partition('.')[0]}: read, and written elsewhere" if target.element else _BY_CODE


def _row(key: tuple[str, ...], members: list[Line], ids: dict[int, str]) -> str:
    element, value, row, codec, why = key
    places = ", ".join(line.where for line in members)
    by = ", ".join(filter(None, (places, row, codec and f"codec {codec}")))
    head = f'<code>{_text(element)}</code> <span class="value">{_text(value)}</span>' if element or value else ""
    reason = f'<div class="soft">{_text(why)}</div>' if why else ""
    linked = " ".join(ids[id(line)] for line in members)
    return f'<div class="row" tabindex="0" data-f="{linked}">{head}<div class="soft">{_text(by)}</div>{reason}</div>'


def _sums(sums: Sums) -> Iterator[str]:
    taken = sums.messages - sums.refused
    yield f"<header><h1>{sums.messages} {sums.unit}s: {taken} translated, {sums.refused} refused</h1>"
    kinds = ", ".join(f"{count} {kind}" for kind, count in sums.types.most_common())
    yield f"<p>{_text(kinds)}</p>"
    noun = NOUNS[sums.side]
    badges = [
        f'<span class="{fate}">{sums.fates[fate]} {noun}s {_text(told)}</span>' for fate, told in MEANINGS.items()
    ]
    yield f'<p class="key">{"".join(badges)}</p></header>\n<main class="sums">'
    for kind, heading in HEADINGS.items():
        found = sums.of(kind)
        if not found:
            continue
        names = "".join(f"<th>{name}</th>" for name in (*_COLUMNS[kind], "first"))
        yield f'<section class="pane"><h2>{_text(heading)}</h2><table><tr><th class="n">count</th>{names}</tr>'
        for one in found:
            told = [*one.what, *[""] * (len(_COLUMNS[kind]) - len(one.what)), one.first]
            yield f'<tr><td class="n">{one.times}</td>{"".join(f"<td>{_text(cell)}</td>" for cell in told)}</tr>'
        yield "</table></section>"
    yield "</main>"
