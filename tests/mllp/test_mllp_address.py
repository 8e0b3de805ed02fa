"""mllp://host:port."""

from __future__ import annotations

import pytest

from ketafhir.errors import ConfigError
from ketafhir.mllp.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("mllp://127.0.0.1:2575", "127.0.0.1", 2575),
        ("MLLP://engine.example:1/", "engine.example", 1),
        ("mllp://[::1]:65535", "::1", 65535),
        ("mllp://[fe80::1%eth0]:2575", "fe80::1%eth0", 2575),
    ],
)
def test_good_addresses(text: str, host: str, port: int):
    assert parse_address(text) == (host, port, False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("localhost:2575", "does not begin with mllp://"),
        ("http://localhost:2575", "does not begin with mllp://"),
        ("mllp://localhost", "the port is missing"),
        ("mllp://[::1]", "the port is missing"),
        ("mllp://localhost:", "the port is not a number from 1 to 65535"),
        ("mllp://localhost:0", "the port is not a number from 1 to 65535"),
        ("mllp://localhost:65536", "the port is not a number from 1 to 65535"),
        ("mllp://localhost:" + "9" * 5000, "the port is not a number from 1 to 65535"),
        ("mllp://localhost:²", "the port is not a number from 1 to 65535"),
        ("mllp://localhost:2575/path", "the port is not a number"),
        ("mllp://::1:2575", "an IPv6 address stands in brackets"),
        ("mllp://:2575", "the host is missing or is not a host name"),
        ("mllp://[]:2575", "the host is missing or is not a host name"),
        ("mllp://user@host:2575", "the host is missing or is not a host name"),
    ],
)
def test_bad_addresses(text: str, why: str):
    with pytest.raises(ConfigError) as raised:
        parse_address(text)
    assert why in str(raised.value)
    assert str(raised.value).endswith("an address reads mllp://host:port")


def test_it_reads_as_it_is_written():
    for text in ("mllp://127.0.0.1:2575", "mllp://[::1]:2575"):
        assert str(parse_address(text)) == text
    assert str(Address("::1", 2575)) == "mllp://[::1]:2575"


def test_mllps_is_encrypted():
    address = parse_address("mllps://engine.example:2575")
    assert address.encrypted
    assert str(address) == "mllps://engine.example:2575"
