"""Messages that go on to another receiver as they came."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from service_peers import Peer, adt, config, er7, fhir_sink, header, heart_rate, running

from ketafhir.config import ReceiverSettings
from ketafhir.store import queue

pytestmark = pytest.mark.timeout(60)


def test_what_is_taken_goes_on_byte_for_byte_and_what_is_refused_does_not(tmp_path: Path) -> None:
    """The receiver is a second ketafhir."""
    kept = er7(header("M3", "SIU^S12^SIU_S12"), "PID|1||SYN-1^^^WILLOW^MR||Doe^Jo")
    with fhir_sink() as sink, running(config(tmp_path / "other.db", sink.url)) as other:
        receiver = ReceiverSettings("archive", f"mllp://127.0.0.1:{other.port}", ("ADT", "SIU^S12"))
        with running(replace(config(tmp_path / "s.db", sink.url), receivers=(receiver,))) as service:
            with service.peer() as peer:
                codes = [peer.send(one).code for one in (adt("M1"), heart_rate("M2"), kept, adt("M4", number=""))]
                assert codes == ["AA", "AA", "AA", "AE"]
            service.drain()
            deliveries = [
                (row.destination, row.state)
                for number in range(1, 5)
                for row in service.app.store.show(number).deliveries
            ]
        assert deliveries == [("fhir", "done"), ("archive", "done"), ("fhir", "done"), ("archive", "done")]
        assert [other.app.store.show(number).raw for number in (1, 2)] == [adt("M1"), kept]
        assert other.app.intake.counts["received"] == 2
        with Peer(other.port) as peer:
            assert peer.send(adt("M1")).code == "AA"


def test_rendered_again_it_goes_to_the_fhir_server_and_not_to_receivers(tmp_path: Path) -> None:
    with fhir_sink() as sink, running(config(tmp_path / "other.db", sink.url)) as other:
        receiver = ReceiverSettings("archive", f"mllp://127.0.0.1:{other.port}", ("ADT",))
        with running(replace(config(tmp_path / "s.db", sink.url), receivers=(receiver,))) as service:
            with service.peer() as peer:
                assert peer.send(adt("M1")).code == "AA"
                assert peer.send(adt("M2", name="Doe^Joanna", MSH_7="20260309083030-0500")).code == "AA"
            service.drain()
            queue.render_again(service.app.store, [1])
            until = time.monotonic() + 10
            while len(service.app.store.show(1).deliveries) < 3:
                assert time.monotonic() < until
                time.sleep(0.05)
            service.drain()
            first, archived, again = service.app.store.show(1).deliveries
            assert [(one.destination, one.state) for one in (first, archived, again)] == [
                ("fhir", "done"), ("archive", "done"), ("fhir", "done"),
            ]  # fmt: skip
            assert b"Joanna" not in first.payload
            assert b"Joanna" in again.payload, "the patient is written as he is now"


def test_as_it_was_or_with_the_mapping_of_today(tmp_path: Path) -> None:
    """After a table was mended: the same bytes again, or what the message says now."""
    overlay = tmp_path / "site" / "codesystems"
    overlay.mkdir(parents=True)
    (overlay / "administrative-gender.csv").write_text("domain,v2,fhir,prefer,comment\nmended,F,other,both,\n")
    with fhir_sink() as sink:
        settings = config(tmp_path / "s.db", sink.url)

        def sent() -> list[str]:
            return [one["entry"][0]["resource"]["gender"] for one in sink.bundles]

        with running(settings) as service, service.peer() as peer:
            assert peer.send(adt("M1")).code == "AA"
            service.drain()
        assert sent() == ["female"]
        mended = (replace(settings.listeners[0], site=str(overlay.parent)),)
        with running(replace(settings, listeners=mended)) as service:
            queue.replay(service.app.store, [1])
            service.drain()
            assert sent() == ["female", "female"]
            queue.render_again(service.app.store, [1], seen=1)
            until = time.monotonic() + 10
            while len(sink.bundles) < 3:
                assert time.monotonic() < until
                time.sleep(0.05)
            service.drain()
    assert sent() == ["female", "female", "other"]
