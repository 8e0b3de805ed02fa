"""Who may connect and how much: certificates, addresses, limits of a peer; and TLS of listener and sender."""

from __future__ import annotations

import asyncio
import ssl
import time
from pathlib import Path

import pytest
from mllp_peers import Recorder, ack, check_one_at_a_time, client, listening, message, run

from ketafhir.errors import ConfigError, Transient
from ketafhir.mllp import tls
from ketafhir.mllp.framing import wrap
from ketafhir.mllp.peers import Admitted, PeerRule, Peers, certificate_names, networks
from ketafhir.mllp.sender import Sender

LOOPBACK = networks(["127.0.0.0/8", "::1"])


# --- rules


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("10.1.2.3", "pump"),
        ("10.1.200.1", "ward"),
        ("::ffff:10.1.2.3", "pump"),
        ("fe80::1%eth0", "local"),
        ("10.2.0.1", None),
        ("unknown", None),
    ],
)
def test_a_peer_is_known_by_its_address(host: str, name: str | None) -> None:
    rules = [
        PeerRule("pump", networks(["10.1.2.3"])),
        PeerRule("ward", networks(["10.1.0.0/16"])),
        PeerRule("local", networks(["fe80::/10"])),
    ]
    admitted = Peers(rules).admit(host, None)
    assert (admitted and admitted.rule.name) == name


def test_a_certificate_comes_before_an_address_and_cannot_be_replaced_by_one() -> None:
    rules = [PeerRule("lab", networks(["10.0.0.0/8"]), ("lab.example",)), PeerRule("any", networks(["10.1.0.0/16"]))]
    shown = {"subjectAltName": (("DNS", "lab.example"), ("IP Address", "10.9.9.9"))}
    peers = Peers(rules)
    assert peers.admit("192.168.0.1", shown).rule.name == "lab"  # type: ignore[union-attr]
    assert peers.admit("10.1.0.1", None).rule.name == "any"  # type: ignore[union-attr]
    assert peers.admit("10.2.0.1", None) is None, "the address of a peer that has a certificate is not enough"


def test_the_common_name_counts_only_where_there_is_no_other() -> None:
    subject = ((("commonName", "lab"),),)
    assert certificate_names({"subject": subject}) == {"lab"}
    assert certificate_names({"subject": subject, "subjectAltName": (("DNS", "x"), ("URI", "urn:y"))}) == {"x", "urn:y"}


def test_without_rules_everybody_may_connect() -> None:
    assert Peers().admit("203.0.113.9", None) is not None


def test_a_rate_allows_a_burst_after_a_pause_and_then_makes_wait() -> None:
    peer = Admitted(PeerRule(bytes_per_second=1000.0, messages_per_second=10.0))
    assert peer.wait(100.0, 1500, 1) == 0.0  # two seconds' worth were saved up
    assert peer.wait(100.0, 1500, 1) == pytest.approx(1.0)
    assert peer.wait(101.0, 0, 0) == pytest.approx(0.0)
    assert peer.wait(101.0, 0, 30) == pytest.approx(1.0)  # the narrower of the two


# --- a listener with peers


def test_a_stranger_is_closed_at_once_and_told() -> None:
    async def scenario() -> None:
        handler = Recorder()
        peers = Peers([PeerRule("elsewhere", networks(["192.0.2.0/24"]))])
        async with listening(handler, peers=peers) as (listener, events), client(listener.port) as peer:
            await peer.send(wrap(message("M1")))
            assert await peer.ended()
            assert [event.kind for event in events][:1] == ["unknown"]
        assert handler.seen == []

    run(scenario())


def test_a_peer_has_no_more_connections_than_it_may_and_gets_them_back() -> None:
    async def scenario() -> None:
        handler = Recorder()
        peers = Peers([PeerRule("pump", LOOPBACK, max_connections=1)])
        async with listening(handler, peers=peers) as (listener, events):
            await check_one_at_a_time(listener, events)
        assert {peer.name for peer in handler.peers} == {"pump"}

    run(scenario())


def test_what_is_above_the_rate_waits_and_none_is_lost() -> None:
    async def scenario() -> None:
        handler = Recorder()
        peers = Peers([PeerRule("pump", LOOPBACK, messages_per_second=50.0)])
        async with listening(handler, peers=peers) as (listener, _), client(listener.port) as peer:
            began = time.monotonic()
            for number in range(150):
                await peer.send(wrap(message(f"M{number}")))
                assert await peer.frame() == ack("AA", f"M{number}")
            took = time.monotonic() - began
            assert took > 0.9, "100 are saved up, 50 wait"

    run(scenario())


def test_messages_that_come_all_at_once_are_above_the_rate_too() -> None:
    async def scenario() -> None:
        peers = Peers([PeerRule("pump", LOOPBACK, messages_per_second=50.0)])
        async with listening(Recorder(), peers=peers) as (listener, _), client(listener.port) as peer:
            began = time.monotonic()
            await peer.send(b"".join(wrap(message(f"M{number}")) for number in range(150)))
            answers = [await peer.frame() for _ in range(150)]
            assert answers == [ack("AA", f"M{number}") for number in range(150)]
            assert time.monotonic() - began > 0.9, "100 are saved up, 50 wait"

    run(scenario())


def test_what_a_rate_holds_back_is_answered_before_the_end() -> None:
    async def scenario() -> None:
        handler = Recorder()
        peers = Peers([PeerRule("pump", LOOPBACK, messages_per_second=1.0)])
        async with listening(handler, peers=peers) as (listener, _), client(listener.port) as peer:
            await peer.send(b"".join(wrap(message(f"M{number}")) for number in range(9)))
            assert await peer.frame() == ack("AA", "M0")
            await listener.close(drain=5)
            assert [await peer.frame() for _ in range(8)] == [ack("AA", f"M{number}") for number in range(1, 9)]

    run(scenario())


def test_one_peer_at_its_limit_holds_no_other_up() -> None:
    async def scenario() -> None:
        slow = PeerRule("slow", networks(["127.0.0.1"]), bytes_per_second=10.0)
        peers = Peers([slow, PeerRule("other", networks(["127.0.0.2"]))])
        async with (
            listening(Recorder(), peers=peers, frame_timeout=0.2) as (listener, events),
            client(listener.port) as peer,
        ):
            await peer.send(wrap(message("M1")) * 3)  # owes seconds now, and is not taken for stalled
            assert await peer.frame() == ack("AA", "M1")
            reader, writer = await asyncio.open_connection("127.0.0.1", listener.port, local_addr=("127.0.0.2", 0))
            writer.write(wrap(message("M2")))
            assert ack("AA", "M2") in await reader.readuntil(b"\x1c\r")
            writer.close()
            await asyncio.sleep(0.5)
            assert "stalled" not in [event.kind for event in events]

    run(scenario())


# --- TLS


class Authority:
    """Certificates of an authority of our own, as files."""

    def __init__(self, folder: Path) -> None:
        trustme = pytest.importorskip("trustme", reason="trustme is missing: make setup")
        self._folder, self._ca = folder, trustme.CA()
        self.file = folder / "ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str) -> tuple[Path, Path]:
        issued = self._ca.issue_cert(name)
        cert, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(key)
        key.chmod(0o600)
        return cert, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_a_message_over_tls_and_nothing_without(authority: Authority) -> None:
    async def scenario() -> None:
        handler = Recorder()
        async with listening(handler, tls=tls.listening(*authority.issue("localhost"))) as (listener, _):
            async with Sender("localhost", listener.port, tls=tls.connecting(authority.file)) as sender:
                assert await sender.exchange(message("M1")) == ack("AA", "M1")
                assert await sender.exchange(message("M2")) == ack("AA", "M2")
            async with client(listener.port) as plain:
                await plain.send(wrap(message("M3")))
                assert await plain.ended()
            async with Sender("localhost", listener.port, tls=tls.connecting()) as stranger:
                with pytest.raises(Transient, match="certificate"):
                    await stranger.exchange(message("M4"))
            async with Sender("127.0.0.1", listener.port, tls=tls.connecting(authority.file)) as misnamed:
                with pytest.raises(Transient, match="certificate"):
                    await misnamed.exchange(message("M5"))
        assert handler.seen == [message("M1"), message("M2")]

    run(scenario())


def test_a_peer_is_known_by_its_certificate(authority: Authority) -> None:
    async def scenario() -> None:
        handler = Recorder()
        context = tls.listening(*authority.issue("localhost"), authority.file)
        peers = Peers([PeerRule("pharmacy", LOOPBACK, ("pharmacy.example",))])
        async with listening(handler, tls=context, peers=peers) as (listener, events):
            known = tls.connecting(authority.file, *authority.issue("pharmacy.example"))
            async with Sender("localhost", listener.port, tls=known) as sender:
                assert await sender.exchange(message("M1")) == ack("AA", "M1")
            for other in (
                tls.connecting(authority.file, *authority.issue("stranger.example")),
                tls.connecting(authority.file),
            ):
                async with Sender("localhost", listener.port, tls=other, reply_timeout=2) as sender:
                    with pytest.raises((Transient, Exception)):
                        await sender.exchange(message("M2"))
            assert "unknown" in [event.kind for event in events]
        assert handler.seen == [message("M1")]
        assert {peer.name for peer in handler.peers} == {"pharmacy"}

    run(scenario())


def test_old_tls_is_refused(authority: Authority) -> None:
    for context in (tls.listening(*authority.issue("localhost")), tls.connecting(authority.file), tls.connecting()):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert tls.connecting(authority.file).check_hostname


def test_a_key_open_to_others_and_one_that_is_none(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.issue("localhost")
    other = tmp_path / "other.key"
    other.write_text("no key")
    other.chmod(0o600)
    with pytest.raises(ConfigError, match="the certificate"):
        tls.listening(cert, other)
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="open to other users"):
        tls.listening(cert, key)
    with pytest.raises(ConfigError, match="authorities"):
        tls.connecting(tmp_path / "absent.pem")
