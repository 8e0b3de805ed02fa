"""The documentation says what is so: examples run, links lead somewhere, and nothing that it must name is missing."""

from __future__ import annotations

import argparse
import ast
import os
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest
from doc_examples import ROOT, Folder, anchors, blocks, documents, links, name, prose, table_cells

import ketafhir
from ketafhir import config, errors
from ketafhir.cli import COMMANDS, _overview
from ketafhir.mapping import sheet
from ketafhir.mapping.codecs import CODECS
from ketafhir.store import states

DOCS = ROOT / "docs"
CLI = DOCS / "cli.md"
_RUN = ("python", "console")
# Places of one machine, and registries: what a document must not name.
_HOST = re.compile(r"(?<![\w.])/(?:work|root|home|tmp|Users)/|\.\./shared|pypi|repo\.maven|registry\.")


def with_examples() -> list[Path]:
    return [one for one in documents() if any(block.language in _RUN for block in blocks(one))]


@pytest.mark.parametrize("document", with_examples(), ids=name)
def test_examples_run_and_give_what_they_say(document: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for block in blocks(document):
        folder.run(block)


def test_what_is_to_be_run_is_found() -> None:
    assert {"README.md", "docs/tables.md", "docs/python-api.md", "docs/mapping.md"} <= set(map(name, with_examples()))


@pytest.mark.parametrize("document", documents(), ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in links(document):
        if target.startswith(("https://", "http://")):
            continue
        path, _, anchor = target.partition("#")
        place = (document.parent / path).resolve() if path else document
        assert place.exists(), f"{target} is not there"
        assert not anchor or anchor in anchors(place), f"{target} has no such heading"


@pytest.mark.parametrize("document", documents(), ids=name)
def test_no_document_names_a_place_of_one_machine(document: Path) -> None:
    assert _HOST.findall(document.read_text("utf-8")) == []


def test_pictures_are_small() -> None:
    pictures = list((DOCS / "pictures").iterdir())
    assert pictures
    assert [one.name for one in pictures if one.stat().st_size > 300_000] == []


def test_every_document_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ROOT / "README.md", ROOT / "CHANGELOG.md"]
    while waiting:
        document = waiting.pop()
        if document in reached or document.suffix != ".md":
            continue
        reached.add(document)
        found = [target.partition("#")[0] for target in links(document) if "://" not in target]
        waiting += [(document.parent / path).resolve() for path in found if path]
    assert set(documents()) - reached - {ROOT / "examples/stories/README.md"} == set()


# --- the command line


def parsers() -> Iterator[tuple[str, str]]:
    """Every command and action with its help."""
    yield "ketafhir", _overview() + "\n"
    for command, (module, summary) in COMMANDS.items():
        parser = argparse.ArgumentParser(prog=f"ketafhir {command}", description=f"{summary[0].upper()}{summary[1:]}.")
        import_module(module).add_arguments(parser)
        yield from _helps(parser)


def _helps(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    yield parser.prog, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for one in dict.fromkeys(action.choices.values()):
                yield from _helps(one)


@pytest.fixture
def helps(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: False, raising=False)
    return dict(parsers())


def test_the_manual_of_the_command_line_is_the_help(helps: dict[str, str]) -> None:
    """DOCS_UPDATE=1 writes the help into docs/cli.md, below the heading of each command."""
    if os.environ.get("DOCS_UPDATE"):
        _update(helps)
    found = re.findall(
        r"^###? `(ketafhir[^`]*)`\n\n```text\n(.*?)```$", CLI.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    assert {command: text.split() for command, text in found} == {
        command: text.split() for command, text in helps.items()
    }


def _update(helps: dict[str, str]) -> None:
    text = CLI.read_text("utf-8")
    for command, told in helps.items():
        level = "##" if command.count(" ") < 2 else "###"
        heading = f"{level} `{command}`\n"
        if heading not in text:
            text = f"{text.rstrip()}\n\n{heading}\n```text\n```\n"
        start = text.index(heading)
        place = text.index("```text\n", start)
        end = text.index("```\n", place + 8)
        text = text[:place] + "```text\n" + told.rstrip() + "\n" + text[end:]
    CLI.write_text(text, "utf-8")


# --- what must be named


def test_every_setting_is_documented() -> None:
    told = {cells[0].strip("`") for cells in table_cells(DOCS / "operate.md")}
    known = {f"[[listener]] {one.name}" for one in fields(config.ListenerSettings)}
    known |= {f"[[peer]] {one.name}" for one in fields(config.PeerSettings)}
    known |= {f"[[receiver]] {one.name}" for one in fields(config.ReceiverSettings)}
    for key, kind in config.SECTIONS.items():
        known |= {f"[{key}] {one.name}" for one in fields(kind)}
    assert {one for one in told if one.startswith("[")} == known | {"[authorities] NAME", "[authorities] default"}


def test_every_setting_of_a_site_is_documented() -> None:
    told = {cells[0].strip("`"): cells[1] for cells in table_cells(DOCS / "tables.md")}
    for row in sheet.ours("settings.csv", "setting value values comment"):
        values = told[row["setting"]]
        assert values.startswith(f"`{row['value']}`" if row["value"] else "empty"), "the default stands first"
        assert row["values"] in ("number", "") or set(re.findall("`(.+?)`", values)) == set(row["values"].split())


def test_every_setting_is_in_the_example() -> None:
    text = config.example()
    kinds = (config.ListenerSettings, config.PeerSettings, config.ReceiverSettings, *config.SECTIONS.values())
    missing = [one.name for kind in kinds for one in fields(kind)
               if not re.search(rf"^(# )?{one.name} = ", text, re.MULTILINE)]  # fmt: skip
    assert missing == []


def test_every_state_is_documented() -> None:
    told = {cells[0].strip("`") for cells in table_cells(DOCS / "operate.md")}
    assert {*states.OUTCOMES, *states.DELIVERY_STATES, *states.OWED_STATES} <= told


def test_every_codec_is_documented() -> None:
    told = {cells[0].strip("`") for cells in table_cells(DOCS / "tables.md") if len(cells) == 4}
    assert told - {"codec"} == set(CODECS)


def test_every_extension_is_documented() -> None:
    told = {word for cells in table_cells(DOCS / "mapping.md") for word in re.findall(r"`([\w-]+)`", cells[0])}
    used = set()
    for path in sorted((ROOT / "mappings/segments").glob("*.csv")):
        used |= set(re.findall(r"extension\[([\w-]+)\]", path.read_text("utf-8")))
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text("utf-8")
        used |= set(re.findall(r"""(?:EXTENSION \+ "|StructureDefinition/)([\w-]+)""", text))
    of_hl7 = {"bp", "data-absent-reason", "iso21090-EN-qualifier", "ordinalValue"}
    profiles = {
        path.stem.partition("-")[2] for path in (ROOT / "profiles/definitions").glob("StructureDefinition-*.json")
    }
    extensions = set(re.findall(r"^Id: ([\w-]+)$", (ROOT / "profiles/fsh/input/fsh/extensions.fsh").read_text(), re.M))
    assert used - of_hl7 - (profiles - extensions) <= told


def test_every_column_is_documented() -> None:
    from ketafhir.mapping.tables import COLUMNS

    told = {word for cells in table_cells(DOCS / "tables.md") for word in re.findall(r"`(\w+)`", cells[0])}
    assert set(COLUMNS) <= told


_CODE = re.compile(r"[a-z]+(-[a-z0-9]+)+|separators|truncated")
_NO_CODES = ("demo", "hapi", "doctor.py")


@cache
def issue_codes() -> frozenset[str]:
    """The codes of all findings, as they stand in calls of the functions that make one."""
    makers = {"Issue", "refused", "Unreadable", "warn", "Finding", "_rejected", "_refused", "_missing"}
    found = set()
    for path in sorted((ROOT / "src").rglob("*.py")):
        if any(part in _NO_CODES for part in path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            made = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if isinstance(node, ast.Call) and made in makers:
                for value in node.args[:4]:
                    if (
                        isinstance(value, ast.Constant)
                        and isinstance(value.value, str)
                        and _CODE.fullmatch(value.value)
                    ):
                        found.add(value.value)
                        break
    return frozenset(found)


def test_every_error_code_is_documented() -> None:
    told = {word for cells in table_cells(DOCS / "errors.md") for word in re.findall(r"`([\w-]+)`", cells[0])}
    missing = issue_codes() - told
    assert missing == set()
    sources = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    assert [
        one for one in told if f'"{one}"' not in sources and f'"{one.removesuffix("-missing")}"' not in sources
    ] == []


def test_every_decision_is_listed() -> None:
    pages = {path.name for path in (DOCS / "decisions").glob("*.md")} - {"README.md"}
    assert set(links(DOCS / "decisions/README.md")) == pages
    for page in sorted(pages):
        assert re.findall(r"^## (.*)$", (DOCS / "decisions" / page).read_text("utf-8"), re.MULTILINE) == [
            "What",
            "Why",
            "Rejected",
        ]


def test_the_changelog_has_this_version() -> None:
    assert f"## [{ketafhir.__version__}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


def test_every_target_of_the_makefile_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for document in documents():
        named = re.findall(r"(?:`|^|    )make ([a-z-]+)", document.read_text("utf-8"), re.MULTILINE)
        assert set(named) <= targets, name(document)


def test_the_tree_of_errors_is_whole() -> None:
    known = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, Exception)]
    assert [one.__name__ for one in known if one.__name__ not in (errors.__doc__ or "")] == []


# --- safety


def hazards() -> list[list[str]]:
    rows = [cells for cells in table_cells(DOCS / "safety.md") if len(cells) == 4]
    return rows[1:]


@cache
def known_tests(path: Path) -> frozenset[str]:
    """The names of the tests of a file, those in classes with their class."""
    found = set()
    for node in ast.parse(path.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}::{one.name}"
                for one in node.body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)
            }
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
    return frozenset(found)


@pytest.mark.parametrize("row", hazards(), ids=lambda row: row[0].strip("*"))
def test_each_hazard_is_held_by_tests_that_exist(row: list[str]) -> None:
    held = re.findall(r"`([^`]+)`", row[3])
    assert held, "a hazard without a test"
    for one in held:
        file, _, test = one.partition("::")
        assert (ROOT / file).exists(), one
        if test:
            assert test in known_tests(ROOT / file), one
        else:
            assert (ROOT / file / "in.hl7").is_file(), f"{one} is no golden case"


def test_each_complaint_is_answered_by_tests_that_exist() -> None:
    rows = [cells for cells in table_cells(DOCS / "complaints.md") if len(cells) == 3 and cells[0] != "complaint"]
    assert len(rows) > 30
    for row in rows:
        held = re.findall(r"`(tests/[^`]+\.py)::(\w+)`", row[2])
        assert held, row[0]
        for file, test in held:
            known = {one.rpartition("::")[2] for one in known_tests(ROOT / file)}
            assert test in known, f"{file}::{test}"


def test_the_hazards_that_must_be_there() -> None:
    told = {row[0].strip("*").lower() for row in hazards()}
    assert {"wrong patient", "wrong order", "lost rate change", "unit misread", "stale data", "late message"} <= told
    for document in (DOCS / "safety.md", ROOT / "README.md"):
        assert "not a medical device" in prose(document)


@pytest.mark.parametrize("document", [DOCS / "threat-model.md", DOCS / "reliability.md"], ids=name)
def test_tests_that_hold_a_promise_are_there(document: Path) -> None:
    named = set(re.findall(r"`((?:tests/[\w/]+/)?test_\w+\.py)`", document.read_text("utf-8")))
    there = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert named
    assert [one for one in named if not (ROOT / one).is_file() and ("/" in one or one not in there)] == []


def test_every_test_of_the_guarantee_is_named_beside_it() -> None:
    document = (DOCS / "reliability.md").read_text("utf-8")
    there = {path.name for path in (ROOT / "tests" / "reliability").glob("test_*.py")}
    assert sorted(one for one in there if one not in document) == []
