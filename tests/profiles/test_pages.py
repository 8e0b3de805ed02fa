"""docs/profiles is what the definitions, the examples and the tables say. DOCS_UPDATE=1 writes it."""

from __future__ import annotations

import os
import re
import tarfile
from pathlib import Path

from ketafhir.mapping.tables import Tables
from ketafhir.profiles import package
from ketafhir.profiles.pages import pages

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "profiles"


def test_the_pages_are_those_of_the_definitions() -> None:
    made = dict(pages())
    if os.environ.get("DOCS_UPDATE"):
        for name, text in made.items():
            (FOLDER / name).write_text(text, "utf-8")
    assert {path.name for path in FOLDER.iterdir()} == set(made)
    for name, text in made.items():
        assert (FOLDER / name).read_text("utf-8") == text, f"{name}: run DOCS_UPDATE=1 pytest {Path(__file__).name}"


def test_every_row_that_writes_an_element_is_on_a_page() -> None:
    told = "".join(text for _, text in pages())
    tables = Tables(None)
    rows = [row for name in tables.names() for row in tables.table(name).rows if row.fhir]
    assert [row.place for row in rows if f"{row.v2} `[{row.name}]`".strip() not in told] == []


def test_each_page_has_its_elements_and_an_example() -> None:
    for name, text in pages():
        if name not in ("README.md", "extensions.md", "terminology.md"):
            assert "| element | card. | type |" in text, name
            assert re.search(r'```json\n\{\n  "resourceType"', text), name


def test_the_package_has_the_pages_and_no_link_out_of_itself(tmp_path: Path) -> None:
    with tarfile.open(package.write(tmp_path)) as archive:
        names = {name for name in archive.getnames() if name.startswith("package/other/")}
        for name in names:
            held = archive.extractfile(name)
            assert held is not None
            text = re.sub(r"^```.*?^```", "", held.read().decode(), flags=re.MULTILINE | re.DOTALL)
            for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
                assert os.path.normpath(f"{Path(name).parent}/{target}") in names, f"{name}: {target}"
    assert "package/other/reading-the-record.md" in names
    assert "package/other/profiles/infusion-segment.md" in names
