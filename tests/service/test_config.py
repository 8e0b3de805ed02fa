"""Settings: what loads, what is refused, and how it is told."""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from ketafhir import config
from ketafhir.cli import main
from ketafhir.errors import ConfigError

ROOT = Path(__file__).parents[2]


def test_the_example_loads_and_says_the_defaults() -> None:
    found = config.parse(config.example())
    plain = config.Config()
    assert (found.fhir, found.policy, found.limits) == (plain.fhir, plain.policy, plain.limits)
    assert found.default_authority in found.authorities
    assert found.listeners[0].timezone == "America/Chicago"


def test_the_example_names_every_setting() -> None:
    text = config.example()
    kinds = (
        config.ListenerSettings, config.FhirSettings, config.StoreSettings, config.PolicySettings,
        config.LimitSettings,
    )  # fmt: skip
    names = [part.name for kind in kinds for part in fields(kind)]
    assert [name for name in names if f"{name} = " not in text] == []


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "example"]) == 0
    assert tomllib.loads(capsys.readouterr().out) == tomllib.loads(config.example())


@pytest.mark.parametrize("file", ["examples/ketafhir.toml", "docker/ketafhir/ketafhir.toml"])
def test_the_configurations_that_we_ship_load(file: str) -> None:
    assert config.load(ROOT / file, {}).listeners[0].port == 2575


def test_the_configuration_of_make_run_is_the_example() -> None:
    assert (ROOT / "examples/ketafhir.toml").read_text("utf-8") == config.example()


def test_an_empty_file_gives_loopback_and_defaults() -> None:
    found = config.parse("")
    assert found == config.Config()
    assert found.listeners[0].host == "127.0.0.1"


def test_everything_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "overlay").mkdir()
    file = tmp_path / "k.toml"
    file.write_text(
        """
        [[listener]]
        port = 0
        site = "overlay"
        charset = "8859/1"
        sending = ["EHR|WILLOW", "EMAR^WILLOW"]
        [[listener]]
        name = "pumps"
        [authorities]
        W = "urn:oid:1.2.3"
        [fhir]
        url = "https://fhir.example/r4"
        token_file = "secret"
        parallel = 2
        [store]
        path = "/var/lib/k.sqlite"
        [policy]
        processing_ids = ["P", "T"]
        unsupported = "reject"
        [limits]
        idle_timeout = 60
        """
    )
    found = config.load(file, {})
    first, second = found.listeners
    assert (first.name, second.name) == ("127.0.0.1:0", "pumps")
    assert first.site == str(tmp_path / "overlay")
    assert first.sending == (("EHR", "WILLOW"), ("EMAR", "WILLOW"))
    assert found.fhir.token_file == tmp_path / "secret"
    assert found.store.path == Path("/var/lib/k.sqlite")
    assert (found.policy.processing_ids, found.limits.idle_timeout) == (("P", "T"), 60)


def test_the_default_authority_may_be_told_by_its_system() -> None:
    found = config.parse('[authorities]\ndefault = "urn:oid:1.2.3"')
    assert found.authorities[found.default_authority] == "urn:oid:1.2.3"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[fihr]\nurl = 'x'", "fihr is no section; known are authorities, delivery, fhir"),
        ("[fhir]\nurk = 'x'", "[fhir] urk is no setting; known are auth, client_id, connect_timeout"),
        ("[[listener]]\nprot = 1", "[[listener]] prot is no setting; known are acks, allow, charset, host"),
        ("[[listener]]\nport = '2575'", "[[listener]] port is a whole number, not '2575'"),
        ("[[listener]]\nport = true", "port is a whole number, not True"),
        ("[[listener]]\nport = 70000", "port is a number from 0 (any free one) to 65535, not 70000"),
        ("[[listener]]\ntimezone = 'Mars/Base'", "timezone 'Mars/Base': there is no such time zone"),
        ("[[listener]]\ncharset = 'EBCDIC'", "charset 'EBCDIC': this character set is not known"),
        ("[[listener]]\nsending = ['EHR']", 'sending is a list of "APPLICATION|FACILITY"'),
        ("[[listener]]\n[[listener]]\n", "two listeners are 127.0.0.1:2575"),
        ("[[listener]]\n[[listener]]\nport = 'x'", "[[listener]] 2 port is a whole number"),
        ("[listener]\nport = 1", "listeners are written as [[listener]]"),
        ("fhir = 1", "[fhir] is no table of settings"),
        ("[authorities]\ndefault = 'W'", "default names one of the authorities (none yet), not 'W'"),
        ("[authorities]\nW = 'hospital'", "W is the URI of its numbers"),
        ("[authorities]\nW = 1", "W is a text, not 1"),
        ("[policy]\nunsupported = 'drop'", '[policy] unsupported is "accept" or "reject"'),
        ("[policy]\nprocessing_ids = 'P'", "processing_ids is a list of texts"),
        ("[limits]\nframe_timeout = -1", "frame_timeout is a number from 0"),
        ("[limits]\nmax_message_bytes = 10", "max_message_bytes is at least 1024, not 10"),
        ("[fhir]\nauth = 'oauth'", '[fhir] auth is "none", "bearer", "basic" or "smart"'),
        ("[fhir]\nauth = 'smart'", "needs client_id and key_file"),
        ("[fhir]\nauth = 'basic'", "needs username"),
        ("[fhir]\nwrite = 'patch'", '[fhir] write is "auto"'),
        ("[fhir]\ntls_cert = 'a'", "[fhir] tls_cert and tls_key belong together"),
        ("[[receiver]]\nname = 'fhir'", "[[receiver]] needs a name of its own"),
        ("[[receiver]]\nname = 'a'\naddress = 'a:1'", "address: 'a:1' is no MLLP address"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:99999'", "the port is not a number from 1 to 65535"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:1'\nforward = ['adt^a01']", "forward names the message types"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:1'\nforward = ['ADTT']", "forward names the message types"),
        (
            "[[receiver]]\nname = \"a\\u001b\"\naddress = 'mllp://a:1'\nforward = ['ADT']",
            "name is printed in lists and logs",
        ),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:1'\nforward = ['ADT']\ntls_ca = 'x'", "begins with mllps://"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllps://a:1'\nforward = ['ADT']\ntls_cert = 'x'", "belong together"),
        ("[[peer]]\nname = 'p'\ncertificates = ['a.example']", "tls_client_ca"),
        ("[[listener]]\nname = 'a'\n[[listener]]\nname = 'b'", "two listeners have port 2575"),
        ("[policy]\nprocessing_ids = []", "at least one"),
        ("[store]\nurl = 'mysql://h/d'", "postgresql://HOST/DATABASE"),
        ("[store]\nurl = 'postgresql://[::1/d'", "postgresql://HOST/DATABASE"),
        ("[store]\nurl = 'postgresql://h/d?password=x'", "holds a password"),
        ("[fhir]\norigins = ['auth.example']", r"[fhir] origins: it is http:// or https://"),
        ("[fhir]\norigins = ['https://auth.example/token']", "without a path"),
        ("[fhir]\npublic_hosts = ['https://x.example']", r"[fhir] public_hosts: a host is a name"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:1'", "forward names the message types"),
        ("[[receiver]]\nname = 'a'\naddress = 'mllp://a:1'\nforward = ['ADT']\non_error = 'x'", 'on_error is "retry"'),
        ("[[peer]]\naddresses = ['10.0.0.1']", "[[peer]] needs a name of its own"),
        ("[[peer]]\nname = 'a'", "known by its certificates, or else by its addresses"),
        ("[[peer]]\nname = 'a'\naddresses = ['10.0.0.1/8']", "[[peer]] addresses are such as 10.1.2.3 or 10.1.0.0/16"),
        (
            "[[peer]]\nname = 'a'\naddresses = ['10.0.0.1']\nlistener = 'x'",
            "listener is one of 127.0.0.1:2575, not 'x'",
        ),
        ("[[peer]]\nname = 'a'\naddresses = ['::1']\nacks = 'AL'", 'acks is "original", or MSH-15 and MSH-16'),
        ("[[listener]]\nallow = ['ward']", "[[listener]] allow are such as"),
        ("[[listener]]\ntls_cert = 'a.pem'", "tls_cert and tls_key belong together"),
        ("[[listener]]\ntls_client_ca = 'a.pem'", "tls_client_ca needs tls_cert"),
        ("[store]\nurl = 'postgresql://me:secret@db/k'", "[store] url holds a password"),
        ("[policy]\norder = 'none'", '[policy] order is "patient", "sender" or "all"'),
        ("[delivery]\nlimit = 3", "[delivery] limit is at least 10, not 3"),
        ("[fhir", "is no TOML"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.parse(text, "k.toml")
    assert "k.toml" in str(error.value)
    assert told in str(error.value)


def test_the_environment_wins() -> None:
    environment = {
        "KETAFHIR_FHIR_URL": "http://other/fhir",
        "KETAFHIR_FHIR_TOKEN": "secret",
        "KETAFHIR_STORE_PATH": "elsewhere.sqlite",
        "KETAFHIR_POLICY_PROCESSING_IDS": "P, T",
        "KETAFHIR_LIMITS_IDLE_TIMEOUT": "1.5",
        "KETAFHIR_FHIR_PARALLEL": "8",
        "KETAFHIR_HOME": "is not ours to judge",
    }
    found = config.parse("[fhir]\nurl = 'http://file/fhir'", folder=Path("/etc"), environment=environment)
    assert (found.fhir.url, found.fhir.parallel) == ("http://other/fhir", 8)
    assert found.store.path == Path("elsewhere.sqlite")
    assert found.policy.processing_ids == ("P", "T")
    assert found.limits.idle_timeout == 1.5
    assert "secret" not in repr(found)


def test_a_variable_that_is_no_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="KETAFHIR_FHIR_URI is no setting; known are KETAFHIR_FHIR_AUTH"):
        config.parse("", environment={"KETAFHIR_FHIR_URI": "x"})


def test_a_variable_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ConfigError, match="KETAFHIR_FHIR_PARALLEL is a whole number, not 'many'"):
        config.parse("", environment={"KETAFHIR_FHIR_PARALLEL": "many"})


def test_no_configuration_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KETAFHIR_CONFIG", raising=False)
    assert main(["serve"]) == 1
    assert "`ketafhir config example`" in capsys.readouterr().err
    assert main(["serve", "--config", "missing.toml"]) == 1
    assert "missing.toml: No such file" in capsys.readouterr().err


def test_the_configuration_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KETAFHIR_CONFIG", raising=False)
    assert config.find() is None
    Path("ketafhir.toml").touch()
    assert config.find() == Path("ketafhir.toml")
    monkeypatch.setenv("KETAFHIR_CONFIG", "/etc/k.toml")
    assert config.find() == Path("/etc/k.toml")
    assert config.find("mine.toml") == Path("mine.toml")


LINE = "mirth sender " + "0f" * 32


@pytest.mark.parametrize(
    ("rest", "why"),
    [
        ("enabled = true", "needs a token"),
        (f'enabled = true\ntokens = ["{LINE}"]\nhost = "0.0.0.0"', "needs tls_cert and tls_key"),
        (f'enabled = true\ntokens = ["{LINE}"]\nhost = "::"', "needs tls_cert and tls_key"),
        (f'enabled = true\ntokens = ["{LINE}"]\nhost = "gateway.example"', "needs tls_cert and tls_key"),
        ('tokens = ["mirth admin 00"]', "one of the roles"),
        ('listener = "other"', "listener is one of"),
        ('tls_cert = "a.pem"', "belong together"),
        ("port = 70000", "65535"),
        ('\n[log]\nformat = "xml"', "text"),
        ('\n[log]\nlevel = "all"', "debug"),
    ],
)
def test_http_is_closed_by_default_and_wide_open_never(rest: str, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        config.parse(f"[rest]\n{rest}\n")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3", "gateway.example"])
def test_a_listener_for_others_names_who_may_connect(host: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = f'[[listener]]\nname = "ehr"\nhost = "{host}"\n'
    with pytest.raises(ConfigError, match=r"listener ehr is on .* tell who may connect"):
        config.parse(told)
    assert config.parse(told + 'allow = ["10.1.0.0/16"]\n').listeners[0].host == host
    assert config.parse(told + '[[peer]]\nname = "lab"\naddresses = ["10.1.0.7"]\n').peers
    assert main(["serve", "--listen", f"[{host}]:2575"]) == 1
    assert "tell who may connect" in capsys.readouterr().err


def test_a_token_is_made_and_known_by_its_digest_alone(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from hashlib import sha256

    from ketafhir.config.tokens import read_tokens

    assert main(["config", "token", "mirth", "sender"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    token = first.rpartition(" ")[2]
    found = config.parse(f"[rest]\nenabled = true\n{second.removeprefix('[rest] ')}\n").rest
    (known,) = read_tokens(found.tokens, None)
    assert (known.name, known.role, known.digest) == ("mirth", "sender", sha256(token.encode()).digest())
    assert sha256(token.encode()).hexdigest() not in repr(found) + repr(known)
    in_environment = config.parse("", environment={"KETAFHIR_REST_TOKENS": LINE, "KETAFHIR_REST_ENABLED": "true"})
    assert in_environment.rest.tokens == (LINE,)
    file = tmp_path / "tokens"
    file.write_text(f"# who may what\n{LINE} # the engine\n\n")
    file.chmod(0o640)
    assert [one.name for one in read_tokens((), file)] == ["mirth"]
    with pytest.raises(ConfigError, match="two tokens of"):
        read_tokens((LINE,), file)
    file.chmod(0o666)
    with pytest.raises(ConfigError, match=r"open to other users \(mode 0666\): chmod 600"):
        read_tokens((), file)


def test_a_secret_in_the_wrong_place_is_not_repeated() -> None:
    with pytest.raises(ConfigError) as error:
        config.parse('[rest]\ntokens = ["my-secret-token"]\n')
    assert "my-secret" not in str(error.value)
    with pytest.raises(ConfigError) as error:
        config.parse('[rest]\ntokens = "my-secret-token"\n')
    assert "my-secret" not in str(error.value)


@pytest.mark.parametrize("lines", ["retention_days = 9\nretention_error_days = 3", "retention_error_days = 3"])
def test_trouble_is_kept_at_least_as_long_as_the_rest(lines: str) -> None:
    with pytest.raises(ConfigError, match="retention_error_days"):
        config.parse(f"[store]\n{lines}")


def test_content_goes_before_the_message() -> None:
    assert config.parse("[store]\nretention_content_days = 30\nretention_days = 90").store.retention_content_days == 30
    with pytest.raises(ConfigError, match="retention_content_days is below retention_days"):
        config.parse("[store]\nretention_content_days = 90\nretention_days = 90")


def test_a_version_that_is_not_written_is_refused() -> None:
    assert config.parse('[[listener]]\nversion = "2.4"\n').listeners[0].version == "2.4"
    with pytest.raises(ConfigError, match=r"version is one of 2\.3, "):
        config.parse('[[listener]]\nversion = "3"\n')


@pytest.mark.parametrize(
    "url",
    ["https://u:Zebrafink@x/fhir", "x/fhir?key=Zebrafink", "http://x/fhir?key=Zebrafink", "ftp://Zebrafink", "http://[::1/Zebrafink",
     "https://ho\u2100st/Zebrafink", "http://x:ab/Zebrafink", "http://x:99999/Zebrafink", "https://a%2eb/Zebrafink", ""],
)  # fmt: skip
@pytest.mark.parametrize("name", ["url", "token_url"])
def test_an_address_that_is_none_is_refused_without_its_text(
    url: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Some ended in a traceback, others were repeated with the password in them."""
    if (name == "token_url" and "?" in url and "://" in url) or (name, url) == ("token_url", ""):
        return  # it may have a query
    file = tmp_path / "k.toml"
    file.write_text(f'[fhir]\n{name} = "{url}"\n', "utf-8")
    for command in (["check", "--config", str(file)], ["config", "check", str(file)], ["serve", "--config", str(file)]):
        assert main(command) == 1
        told = "".join(capsys.readouterr())
        assert f"[fhir] {name}: it" in told
        assert "Zebrafink" not in told


def test_what_the_command_line_puts_in_place_is_held_to_the_same(tmp_path: Path) -> None:
    """`--fhir` went past the guard for public servers, `--store` past the retention."""
    import argparse

    from ketafhir.serve_command import add_arguments, settings

    file = tmp_path / "k.toml"
    file.write_text('[store]\nurl = "postgresql://h/d"\nretention_days = 9\n')

    def asked(*words: str) -> config.Config:
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        return settings(parser.parse_args(["--config", str(file), *words]))

    with pytest.raises(ConfigError, match="everybody may read"):
        asked("--fhir", "https://hapi.fhir.org/baseR4")
    with pytest.raises(ConfigError, match="no user name and no password"):
        asked("--fhir", "https://u:p@h/fhir")
    store = asked("--store", "other.sqlite").store
    assert (store.place, store.retention_days) == ("other.sqlite", 9.0)
    assert asked("--store", "postgresql://h/e").store.place == "postgresql://h/e"
    assert asked("--fhir", "http://h/fhir").fhir.url == "http://h/fhir"
