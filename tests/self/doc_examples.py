"""The documentation as data: its fenced blocks, links, headings and tables, and a folder in which its examples run.

A ```python block runs in the namespace of its document; what it prints must be the lines after `# -> `. A ```console
block has commands after `$ ` with their output, in which `...` stands for anything. A block with `file=PATH` behind
its language is a file that the examples of the document use. Other blocks (```sh, ```text) are not run.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<language>\w+)(?P<more>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_EXPECTED = re.compile(r"# -> ?(.*?) *$", re.MULTILINE)
_USED = ("examples", "mappings")  # what examples may read, beside their own files


class Block(NamedTuple):
    """One fenced block; `file` is the path it is to be written to, `line` where it begins."""

    language: str
    file: str
    body: str
    line: int


def documents() -> list[Path]:
    """All documents of the project."""
    top = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "examples/stories/README.md")]
    return [*top, *sorted((ROOT / "docs").rglob("*.md"))]


def name(document: Path) -> str:
    """How a test names a document."""
    return str(document.relative_to(ROOT))


def blocks(document: Path) -> Iterator[Block]:
    """The fenced blocks of a document, in order."""
    text = document.read_text("utf-8")
    for found in _FENCE.finditer(text):
        file = re.search(r"file=(\S+)", found["more"])
        line = text[: found.start()].count("\n") + 1
        yield Block(found["language"], file[1] if file else "", found["body"], line)


def prose(document: Path) -> str:
    """The text of a document without its fenced blocks."""
    return _FENCE.sub("", document.read_text("utf-8"))


def links(document: Path) -> list[str]:
    """The targets of its links."""
    return [found["target"] for found in _LINK.finditer(prose(document))]


def anchors(document: Path) -> set[str]:
    """The anchors of its headings, as code hosts make them."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def table_cells(document: Path) -> Iterator[list[str]]:
    """The cells of each row of its tables; a `\\|` is part of a cell."""
    for line in prose(document).splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


class Folder:
    """Where the examples of one document run; `run` raises AssertionError where something else comes out."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for used in _USED:
            (place / used).symlink_to(ROOT / used)
        self.namespace: dict[str, Any] = {}

    def run(self, block: Block) -> None:
        """Write the file, or run the example."""
        if block.file:
            path = self.place / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, "utf-8")
        elif block.language == "python":
            self._python(block)
        elif block.language == "console":
            self._console(block)

    def _python(self, block: Block) -> None:
        printed = io.StringIO()
        before = Path.cwd()
        os.chdir(self.place)
        try:
            with redirect_stdout(printed):
                exec(compile(block.body, f"line {block.line}", "exec"), self.namespace)
        finally:
            os.chdir(before)
        told = [line.rstrip() for line in printed.getvalue().splitlines()]
        assert told == _EXPECTED.findall(block.body), f"the example of line {block.line}"

    def _console(self, block: Block) -> None:
        for command, expected in commands(block.body):
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=self.place,
                env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONUTF8": "1"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=60,
                text=True,
                encoding="utf-8",
            )
            pattern = re.escape(expected).replace(r"\.\.\.", ".*")
            assert re.fullmatch(pattern, done.stdout, re.DOTALL), f"$ {command}\n{done.stdout}"


def commands(body: str) -> Iterator[tuple[str, str]]:
    """Each command of a console block with the output below it."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert not parts[0], "a console block begins with a command"
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        yield command, output
