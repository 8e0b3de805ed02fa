"""The page: one file that asks for nothing from anywhere, in which text of a message is text, and fields are tied to elements."""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Issue
from ketafhir.explain.account import Line, Part, Target, Told
from ketafhir.explain.command import explained
from ketafhir.explain.page import page_of
from ketafhir.explain.sums import Sums
from ketafhir.translate.settings import default

STORIES = Path(__file__).resolve().parents[2] / "examples" / "stories"
START = STORIES / "b" / "10-ras-start.hl7"
HOSTILE = "</title></style><script>document.title='taken'</script><img src=//x onerror=document.title='taken'>\"'&#x3c;"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Page(HTMLParser):
    """Tags with their attributes, and the text of each."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), "an attribute stands twice"
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, kind: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.tags if kind in (attributes.get("class") or "").split()]


def page(data: bytes, number: int | None = None) -> tuple[Page, str]:
    text = page_of(*explained(iter([data]), default(), number))
    return Page(text), text


def hostile() -> str:
    target = Target(HOSTILE, HOSTILE, HOSTILE, HOSTILE, (HOSTILE,))
    lines = [
        Line(f"{HOSTILE}-1", HOSTILE, HOSTILE, fate, HOSTILE, (target,)) for fate in ("mapped", "preserved", "dropped")
    ]
    issue = Issue("error", HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    return page_of(Told(HOSTILE, (Part(HOSTILE, tuple(lines)),), (issue,), False), Sums())


@pytest.mark.parametrize("kind", ["message", "refused", "sums"])
def test_it_is_whole_and_asks_for_nothing(kind: str) -> None:
    feed = b"\r".join([START.read_bytes(), (STORIES / "damaged.hl7").read_bytes()])
    found, text = page(
        {"message": START.read_bytes(), "refused": feed, "sums": feed}[kind], 2 if kind == "refused" else None
    )
    assert found.open == []
    assert {"link", "iframe", "img", "object", "base", "form"}.isdisjoint(tag for tag, _ in found.tags)
    for _, attributes in found.tags:
        assert {"src", "href", "style", "action"}.isdisjoint(attributes)
        assert not any(name.startswith("on") for name in attributes)
    assert "@import" not in text
    assert "url(" not in text
    policy = next(
        one["content"] for tag, one in found.tags if tag == "meta" and "content" in one and "src" in str(one["content"])
    )
    assert policy
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        inner = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        assert inner
        assert "sha256-" + base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode() in policy


def test_every_field_and_every_element_is_tied() -> None:
    data = START.read_bytes()
    found, _ = page(data)
    told, _ = explained(iter([data]), default())
    assert told
    fields = found.of("field")
    assert [one["data-where"] for one in fields] == [line.where for part in told.parts for line in part.lines]
    assert all(one["tabindex"] == "0" for one in (*fields, *found.of("row")))
    ids = {str(one["data-f"]) for one in fields}
    linked = {one for row in found.of("row") for one in str(row["data-f"]).split()}
    assert linked == ids
    rate = {one["data-f"] for one in fields if one["data-where"] in ("RXA-6", "RXA-7", "RXA-12")}
    assert {frozenset(str(row["data-f"]).split()) for row in found.of("row")} >= {frozenset(rate)}


def test_the_segments_look_as_they_came() -> None:
    data = START.read_bytes()
    found, _ = page(data)
    text = "".join(found.texts)
    for line in data.decode().replace("\n", "\r").strip("\r").split("\r"):
        assert line.rstrip("|") in text


def test_hostile_text_is_text() -> None:
    text = hostile()
    assert "<script>document" not in text
    found = Page(text)
    assert [tag for tag, _ in found.tags].count("script") == 1
    assert "img" not in [tag for tag, _ in found.tags]
    assert HOSTILE in "".join(found.texts)


@given(st.text())
def test_any_text_is_text(text: str) -> None:
    line = Line("OBX-5", text, text, "mapped", text, (Target(text, text, text, text, (text,)),))
    found = Page(page_of(Told(text, (Part("OBX", (line,)),), (), False), Sums()))
    assert {tag for tag, _ in found.tags} <= {
        "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "span", "main", "section", "div", "b", "code",
        "script",
    }  # fmt: skip


def test_the_command_writes_it(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    command = [sys.executable, "-m", "ketafhir", "explain", str(START), "--html", str(file)]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == b""
    assert file.read_text("utf-8") == page(START.read_bytes())[1]


@pytest.mark.skipif(BROWSER is None, reason="no Chromium on the PATH: the page is checked by its structure only")
def test_in_a_browser(tmp_path: Path) -> None:
    """A field that is asked for is tied to its element, and no text of a message runs."""
    found = Page(in_browser(page(START.read_bytes())[1], "#RXA-6", tmp_path))
    assert [one["data-where"] for one in found.of("on") if "data-where" in one] == ["RXA-6"]
    tied = [one for one in found.of("row") if "on" in str(one["class"]).split()]
    assert len(tied) == 1
    assert "<title>taken</title>" not in in_browser(hostile(), "", tmp_path)


def in_browser(text: str, place: str, folder: Path) -> str:
    file = folder / "page.html"
    file.write_text(text, "utf-8")
    command = [
        str(BROWSER),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
    ]
    ran = subprocess.run([*command, f"{file.as_uri()}{place}"], capture_output=True, text=True, timeout=120, check=True)
    return ran.stdout
