"""Who may read a file that holds a secret: the same wherever one is named."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ketafhir import private
from ketafhir.check import _file
from ketafhir.config.tokens import read_tokens
from ketafhir.errors import ConfigError
from ketafhir.mllp import tls
from ketafhir.sync.opening import Access, open_client
from ketafhir.sync.signing import read_keys
from ketafhir.sync.token import read_token


def fhir_key(file: Path) -> None:
    open_client(Access("https://127.0.0.1:1/fhir", tls_cert=file, tls_key=file))


READERS: dict[str, Callable[[Path], object]] = {
    "token": lambda file: read_token(file=file),
    "password": lambda file: read_token(file=file, what="password"),
    "key of SMART": read_keys,
    "key of the FHIR client": fhir_key,
    "key of a listener": lambda file: tls.listening(file, file),
    "key of a sender": lambda file: tls.connecting(None, file, file),
    "tokens of [rest]": lambda file: read_tokens((), file),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text("ZZSECRET")
    return file


def told(read: Callable[[Path], object], file: Path) -> str:
    try:
        read(file)
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
@pytest.mark.parametrize("what", READERS)
def test_its_owner_and_a_group_that_reads_may(file: Path, what: str, mode: int) -> None:
    """0440 are the credentials of systemd, and a Secret of Kubernetes with fsGroup."""
    file.chmod(mode)
    assert "open to" not in told(READERS[what], file)
    assert _file("where", file, secret=True).state == "ok"


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o601, 0o602, 0o620, 0o660, 0o650])
@pytest.mark.parametrize("what", READERS)
def test_others_may_nothing_and_a_group_no_more(file: Path, what: str, mode: int) -> None:
    file.chmod(mode)
    said = told(READERS[what], file)
    assert re.search(rf"secret is open to other users \(mode {mode:04o}\): chmod 600 \S+secret, or 640", said), said
    assert "ZZSECRET" not in said
    found = _file("where", file, secret=True)
    assert (found.state, f"(mode {mode:04o})" in found.text, found.remedy[:9]) == ("wrong", True, "chmod 600")
    assert _file("where", file, secret=False).state == "ok"


@pytest.mark.parametrize("what", READERS)
def test_it_belongs_to_root_or_to_the_user_of_the_service(
    file: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.chmod(0o600)
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    allowed = owner == 0
    assert ("belongs to another user" in told(READERS[what], file)) is not allowed
    monkeypatch.setattr(os, "geteuid", lambda: owner)
    assert "belongs to" not in told(READERS[what], file)


def test_the_file_of_somebody_else(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(file, 65534, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(ConfigError, match=r"belongs to another user \(uid \d+\), who can change it: chown 4711"):
        private.refuse_exposed("token file", file)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    private.refuse_exposed("token file", file)  # root looks at it for the user of the service
