"""The way through: HL7v2 over MLLP, the service, and what the real FHIR server then holds."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from service_peers import config, damaged, running, story

from fhir_peer import HapiServer
from ketafhir.config import Config

pytestmark = [pytest.mark.hapi, pytest.mark.timeout(300)]


class Clinic:
    """The stories under authorities that no other test has, so that every number in them is this test's own."""

    def __init__(self, server: HapiServer, folder: Path) -> None:
        self.server = server
        self._suffix = server.unique("-").encode()
        self.system = f"https://willow.example/mrn{self._suffix.decode()}"
        willow = f"WILLOW{self._suffix.decode()}"
        plain = config(folder / "s.sqlite", server.url)
        self.config: Config = replace(plain, authorities={willow: self.system}, default_authority=willow)

    def own(self, message: bytes) -> bytes:
        for name in (b"WILLOW", b"EHR", b"PHARM", b"MONITOR"):
            message = message.replace(b"^" + name, b"^" + name + self._suffix)
        return message

    def story(self, name: str) -> list[bytes]:
        return [self.own(message) for message in story(name)]

    def search(self, query: str) -> list[dict[str, Any]]:
        status, found = self.server.request("GET", f"{query}&_count=500")
        assert status == 200, found
        return [entry["resource"] for entry in found.get("entry", ())]

    def of_patient(self, kind: str, number: str) -> list[dict[str, Any]]:
        patient = quote(f"{self.system}|{number}", safe="")
        name = "patient" if kind == "Provenance" else "subject"
        return self.search(f"{kind}?{name}:Patient.identifier={patient}")

    def patients(self, number: str) -> list[dict[str, Any]]:
        return self.search(f"Patient?identifier={quote(f'{self.system}|{number}', safe='')}")

    def versions(self, number: str) -> dict[str, str]:
        kinds = ("MedicationAdministration", "MedicationRequest", "Observation", "Encounter", "QuestionnaireResponse")
        found = [*self.patients(number), *(one for kind in kinds for one in self.of_patient(kind, number))]
        return {f"{one['resourceType']}/{one['id']}": one["meta"]["versionId"] for one in found}


@pytest.fixture
def clinic(hapi_server: HapiServer, tmp_path: Path) -> Clinic:
    return Clinic(hapi_server, tmp_path)


def test_a_treatment_goes_through_and_a_resend_changes_nothing(clinic: Clinic) -> None:
    messages = clinic.story("a")
    with running(clinic.config) as service, service.peer() as peer:
        assert [peer.send(message).code for message in messages] == ["AA"] * 37
        service.drain(120)
        (patient,) = clinic.patients("SYN-100201")
        assert patient["name"][0]["family"] == "Halloway"
        given = clinic.of_patient("MedicationAdministration", "SYN-100201")
        parents = [one for one in given if "partOf" not in one and one["status"] == "completed"]
        assert [Decimal(str(one["dosage"]["dose"]["value"])) for one in parents] == [Decimal(36)]
        segments = [one for one in given if "partOf" in one]
        assert [one["dosage"]["rateRatio"]["numerator"]["value"] for one in segments] == [54]
        assert len(clinic.of_patient("MedicationRequest", "SYN-100201")) >= 1
        before = clinic.versions("SYN-100201")
        assert len(before) > 50
        assert [peer.send(message).code for message in messages] == ["AA"] * 37
        reply = peer.send(clinic.own(damaged()))
        assert (reply.code, reply.get("ERR", 2)) == ("AE", "RXA^1^7")
        service.drain(60)
        assert clinic.versions("SYN-100201") == before


def test_three_patients_at_once_share_what_is_not_theirs(clinic: Clinic) -> None:
    """The same practitioner is told in parallel transactions, and is one Practitioner."""
    with running(clinic.config) as service:
        peers = {name: service.peer() for name in "abc"}
        senders = [
            threading.Thread(target=lambda peer=peer, name=name: [peer.send(m) for m in clinic.story(name)])  # type: ignore[misc]
            for name, peer in peers.items()
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        for peer in peers.values():
            peer.close()
        assert service.app.intake.counts["translated"] == sum(len(story(name)) for name in "abc")
        service.drain(120)
        assert [len(clinic.patients(f"SYN-{number}")) for number in (100201, 100318, 100402)] == [1, 1, 1]
        status, found = clinic.server.request("GET", "Practitioner?_count=500")
        assert status == 200
        suffix = clinic.system.removeprefix("https://willow.example/mrn")
        own = [
            identifier["value"]
            for entry in found["entry"]
            for identifier in entry["resource"].get("identifier", ())
            if identifier["system"].endswith(suffix)
        ]
        assert own
        assert len(own) == len(set(own))


@contextmanager
def forwarding(port: int, url: str) -> Iterator[None]:
    """Connections to `port` lead to the server of `url`."""
    target = urlsplit(url)
    loop = asyncio.new_event_loop()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(target.hostname, target.port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    async def serve(until: asyncio.Event) -> None:
        async with await asyncio.start_server(connected, "127.0.0.1", port):
            await until.wait()

    ended = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(ended),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(10)
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def test_what_came_while_the_server_was_away_is_there_when_it_is_back(clinic: Clinic) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    away = replace(clinic.config, fhir=replace(clinic.config.fhir, url=f"http://127.0.0.1:{port}/fhir"))
    messages = clinic.story("c")
    with running(away) as service, service.peer() as peer:
        assert {peer.send(message).code for message in messages} == {"AA"}
        assert clinic.patients("SYN-100402") == []
        with forwarding(port, clinic.server.url):
            service.drain(120)
            service.call(service.app.stop())
    assert len(clinic.patients("SYN-100402")) == 1
