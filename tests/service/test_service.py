"""The service on real sockets: connections, limits, delivery, restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from service_peers import Peer, adt, config, fhir_sink, heart_rate, ras, running, story

from ketafhir.config import LimitSettings, PolicySettings
from ketafhir.errors import ConfigError, Permanent, StoreError
from ketafhir.mllp.framing import wrap

pytestmark = pytest.mark.timeout(60)


def eventually(true: Callable[[], bool], what: str, seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.02)


def test_a_story_is_acknowledged_and_delivered_in_order(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        with service.peer() as peer:
            assert {peer.send(message).code for message in story("b")} == {"AA"}
        service.drain()
        assert len(sink.bundles) == len(story("b"))
        times = [one["recorded"] for one in sink.resources("Provenance")]
        assert times == sorted(times)


def test_messages_and_answers_keep_their_order_on_a_connection(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        numbers = [f"M{number}" for number in range(20)]
        peer.post(b"".join(wrap(heart_rate(number)) for number in numbers))
        assert [peer.reply().about for _ in numbers] == numbers


def test_several_senders_at_once_lose_nothing(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        peers = [service.peer() for _ in range(4)]
        for turn in range(5):
            for number, peer in enumerate(peers):
                peer.post(wrap(heart_rate(f"M{number}-{turn}", f"SYN-{number % 2}")))
        assert {peer.reply().code for peer in peers for _ in range(5)} == {"AA"}
        for peer in peers:
            peer.close()
        service.drain()
        assert len(sink.bundles) == 20


def test_what_is_too_long_is_rejected_and_the_connection_stays(tmp_path: Path) -> None:
    limits = LimitSettings(max_message_bytes=4000)
    with running(config(tmp_path / "s.sqlite", limits=limits)) as service, service.peer() as peer:
        for cells, code in (({}, "AR"), ({"MSH_15": "AL", "MSH_16": "AL"}, "CE")):
            reply = peer.send(adt("LONG-1", name="x" * 5000, **cells))
            assert (reply.code, reply.about, reply.count("ERR")) == (code, "LONG-1", 1)
        assert peer.send(adt("M2")).code == "AA"
        assert service.app.intake.counts["oversize"] == 2


def test_what_breaks_off_is_not_answered_and_the_next_is(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        peer.post(wrap(adt("M1"))[:50])
        reply = peer.send(adt("M2"))
        assert (reply.code, reply.about) == ("AA", "M2")
        assert service.app.intake.counts["truncated"] == 1


def test_noise_and_wrong_messages_do_not_stop_the_service(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service:
        for payload in (b"GET / HTTP/1.1\r\n\r\n", b"\x00" * 1000, wrap(b"MSH"), wrap(b"\xff\xfe\x00")):
            with service.peer() as peer:
                peer.post(payload)
        with service.peer() as peer:
            assert peer.send(b"[" * 20000).code == "AE"
            assert peer.send(adt("M1")).code == "AA"


def test_both_answers_of_enhanced_mode_come_on_the_same_connection(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service, service.peer() as peer:
        assert peer.send(ras("M1", MSH_15="AL", MSH_16="AL")).code == "CA"
        answer = peer.reply()
        assert (answer.code, answer.get("MSH", 9)) == ("AA", "RRA^O18^RRA_O18")


def test_the_store_knows_which_sender_was_told(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service:
        with service.peer() as peer:
            peer.send(adt("M1"))
        gone = service.peer()
        gone.post(wrap(adt("M2", number="SYN-2")))
        gone.close()
        store = service.app.store
        eventually(lambda: sum(store.counts().outcomes.values()) == 2, "the second is not stored")
        eventually(lambda: store.show(1).ack_state == "delivered", "the first is not delivered")
        eventually(lambda: store.show(2).ack_state in ("delivered", "undelivered"), "the second is open")


def test_records_and_answers_survive_a_restart(tmp_path: Path) -> None:
    with fhir_sink() as sink:
        settings = config(tmp_path / "s.sqlite", sink.url)
        with running(settings) as service, service.peer() as peer:
            first = peer.send(ras("M1"))
        with running(settings) as service, service.peer() as peer:
            assert peer.send(ras("M1")).payload == first.payload
            assert peer.send(ras("M2", number="SYN-2", order="P-1")).get("ERR", 3)[:3] == "204"
            service.drain()
        assert len(sink.bundles) == 1


def test_messages_wait_for_a_fhir_server_that_is_down(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        sink.down = True
        with service.peer() as peer:
            assert {peer.send(message).code for message in story("c")} == {"AA"}
        assert sink.bundles == []
        sink.down = False
        service.drain(30)
        assert len(sink.bundles) == len(story("c"))


def test_a_bundle_that_is_turned_down_is_told_by_drain(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        said = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "invalid"}]}
        sink.answer = lambda bundle: (422, said)  # type: ignore[method-assign]
        with service.peer() as peer:
            assert peer.send(adt("M1")).code == "AA"
        with pytest.raises(Permanent, match="parked"):
            service.drain()


def test_what_an_operator_retries_is_translated_again_and_delivered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ketafhir.service import translating

    with fhir_sink() as sink, running(config(tmp_path / "s.sqlite", sink.url)) as service:
        with service.peer() as peer, monkeypatch.context() as patch:
            patch.setattr(translating, "translated", None)
            assert peer.send(adt("M1")).code == "AA"
        assert service.app.store.show(1).outcome == "failed"
        service.app.store.retry(1)
        service.drain()
        assert len(sink.bundles) == 1


def test_a_taken_port_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with running(config(tmp_path / "s.sqlite")) as service:
        taken = config(tmp_path / "other.sqlite", port=service.port)
        with pytest.raises(ConfigError, match="another program listens there"), running(taken):
            pass
        with service.peer() as peer:
            assert peer.send(adt("M1")).code == "AA"


def test_a_store_that_others_can_read_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.touch(0o644)
    with pytest.raises(StoreError, match="chmod 600"), running(config(path)):
        pass


def test_what_has_come_is_answered_before_the_service_ends(tmp_path: Path) -> None:
    settings = config(tmp_path / "s.sqlite")
    with running(settings) as service:
        peer = Peer(service.port)
        first = peer.send(adt("M0"))
        peer.post(b"".join(wrap(heart_rate(f"M{number}")) for number in range(1, 4)))
        eventually(lambda: service.app.intake.counts["received"] > 1, "nothing has come")
    assert first.code == "AA"
    assert [peer.reply().about for _ in range(3)] == ["M1", "M2", "M3"]
    peer.close()


def test_a_public_server_gets_synthetic_patients_alone_and_slowly(tmp_path: Path) -> None:
    with fhir_sink() as sink:
        found = config(tmp_path / "messages.sqlite", sink.url, policy=PolicySettings(("P", "T")))
        found = replace(found, fhir=replace(found.fhir, public_hosts=("127.0.0.1",)))
        with running(found) as service:
            began = time.monotonic()
            with service.peer() as peer:
                for number in range(4):
                    assert peer.send(adt(f"T{number}", f"SYN-{number}", MSH_11="T")).code == "AA"
                assert peer.send(adt("P1", "REAL-1")).code == "AA"
                assert peer.send(adt("P2", "SYN-0")).code == "AA"
                assert peer.send(adt("T9", "SYN-0", MSH_11="T")).code == "AA"
            until = time.monotonic() + 20
            while service.app.store.counts().oldest is not None and time.monotonic() < until:
                time.sleep(0.05)
            took = time.monotonic() - began
            dead = [(row.control_id, row.reason) for row in service.app.store.page(state="dead")]
        told = {one["identifier"][0]["value"] for one in sink.resources("Patient")}
    assert {"P1", "P2", "T9"} <= {name for name, _ in dead} <= {"P1", "P2", "T9", "T0"}  # T0 if it was not sent by then
    assert {reason for _, reason in dead} == {"never sent: public-server"}
    assert told <= {f"SYN-{number}" for number in range(4)}
    assert took > len(sink.bundles) / 2 - 1


def test_what_has_ended_long_ago_is_deleted_by_the_service(tmp_path: Path) -> None:
    with fhir_sink() as sink:
        settings = config(tmp_path / "s.db", sink.url)
        with running(settings) as service, service.peer() as peer:
            peer.send(adt("M1"))
            service.drain()
        time.sleep(0.2)
        keep = replace(settings, store=replace(settings.store, retention_days=0.1 / 86400))
        with running(keep) as service:
            eventually(lambda: not service.app.store.page(), "it is not deleted")
