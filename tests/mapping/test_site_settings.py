"""Settings of a site: defaults in one place, overridden by name, and refused by file and line where they are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from ketafhir.cli import main
from ketafhir.errors import ConfigError, TableError
from ketafhir.mapping.tables import Tables
from ketafhir.translate.settings import Settings, default

HEAD = "setting,value,comment\n"


def site(folder: Path, *rows: str) -> str:
    (folder / "settings.csv").write_text(HEAD + "".join(f"{row}\n" for row in rows), encoding="utf-8")
    return str(folder)


def test_the_defaults_are_the_standard() -> None:
    found = Tables().settings
    assert (found.rxa12, found.rxa_repeat, found.rxa2, found.match_seconds) == (
        "standard",
        "administrations",
        "unique",
        60,
    )


def test_a_folder_with_nothing_but_settings_is_a_site(tmp_path: Path) -> None:
    used = default(None, site(tmp_path, "rxa12,rate-text,as the eMAR writes it", "match_seconds,90,"))
    assert (used.tables.settings.rxa12, used.tables.settings.match_seconds) == ("rate-text", 90)
    assert used.tables.settings.rxa2 == "unique"
    assert used.site == tmp_path.name


def test_settings_are_part_of_the_version(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    one = default(None, site(tmp_path / "one", "rxa2,unique,"))
    two = default(None, site(tmp_path / "two", "rxa2,not-unique,"))
    assert one.version != two.version != Settings(Tables()).version


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("rxa-12,standard,", "there is no setting 'rxa-12'; there are "),
        ("rxa12,textual,", "rxa12 is standard or rate-text or rxa11-12, not 'textual'"),
        ("rxa12,,", "rxa12 is standard or"),
        ("match_seconds,1.5,", "match_seconds is a whole number, not '1.5'"),
        ("match_seconds,-1,", "match_seconds is a whole number, not '-1'"),
        ("match_seconds", "the row has not 3 columns"),
    ],
)
def test_a_wrong_setting_is_named_by_file_and_line(tmp_path: Path, row: str, why: str) -> None:
    with pytest.raises(TableError, match=r"settings\.csv:3") as error:
        default(None, site(tmp_path, "rxa2,unique,", row))
    assert why in str(error.value)


def test_a_setting_stands_once(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"settings\.csv:3: the setting rxa2 stands twice"):
        default(None, site(tmp_path, "rxa2,unique,", "rxa2,not-unique,"))


def test_the_settings_at_work_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "--site", site(tmp_path, "rxa12,rxa11-12,"), "show"]) == 0
    told = dict((*line.split(maxsplit=1), "")[:2] for line in capsys.readouterr().out.splitlines())
    assert (told["rxa12"], told["rxa2"]) == ("rxa11-12", "unique")


def test_lint_tells_a_wrong_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "--site", site(tmp_path, "rxa12,x,"), "lint"]) != 0
    assert "settings.csv:2: rxa12 is" in "".join(capsys.readouterr())


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no site overlay"):
        default(None, str(tmp_path))
