"""The examples for interface engines: what they ask for is what the service has; the Camel route is compiled and run."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the extra rest is missing: make setup")
pytest.importorskip("uvicorn", reason="the extra rest is missing: make setup")

from rest_peers import HL7V2, TOKENS, served
from service_peers import Peer, adt, damaged

from ketafhir.service.rest.application import OPERATIONS

EXAMPLES = Path(__file__).parents[2] / "examples"
CAMEL = EXAMPLES / "camel"
ROUTE = (CAMEL / "src/main/java/org/ketafhir/examples/MllpToKetafhir.java").read_text("utf-8")
(TAKEN,) = [one for one in OPERATIONS if one.path == "/v1/messages"]


def test_the_mirth_channel_asks_for_what_there_is() -> None:
    channel = ElementTree.parse(EXAMPLES / "mirth" / "mllp-to-ketafhir.xml").getroot()
    sender = channel.find("destinationConnectors/connector/properties")
    assert sender is not None
    assert channel.tag == "channel"
    assert (sender.findtext("host") or "").endswith("}" + TAKEN.path)
    assert (sender.findtext("method") or "").upper() == TAKEN.method
    assert sender.findtext("contentType") in TAKEN.takes
    headers = {entry.findtext("string"): entry.findtext("list/string") for entry in sender.findall("headers/entry")}
    assert headers == {"Authorization": "Bearer ${configurationMap.get('ketafhir.token')}", "Accept": HL7V2}
    assert all(HL7V2 in TAKEN.answers[status] for status in (200, 202, 422, 503))
    charsets = {sender.findtext("charset"), channel.findtext("sourceConnector/properties/charsetEncoding")}
    assert charsets == {"ISO-8859-1"}  # every byte is a character: whatever the charset of the message, nothing changes
    assert channel.findtext("sourceConnector/properties/sourceConnectorProperties/responseVariable") == "d1"
    assert sender.findtext("destinationConnectorProperties/queueEnabled") == "false"
    assert channel.findtext("sourceConnector/properties/listenerConnectorProperties/host") == "127.0.0.1"


def test_the_camel_route_asks_for_what_there_is() -> None:
    pom = ElementTree.parse(CAMEL / "pom.xml").getroot()
    assert pom.tag.endswith("project")
    assert f'HL7V2 = "{HL7V2}"' in ROUTE
    assert f"}}}}{TAKEN.path}?" in ROUTE
    assert re.findall(r'constant\("(GET|POST)"\)', ROUTE) == [TAKEN.method]
    assert '"CamelMllpLogPhi", "false"' in ROUTE
    assert "followRedirects=false" in ROUTE
    assert "{{env:KETAFHIR_TOKEN}}" in ROUTE


@pytest.mark.all
@pytest.mark.timeout(600)
def test_the_camel_route_carries_messages_and_acknowledgments(tmp_path: Path) -> None:
    if not (shutil.which("mvn") and shutil.which("java")):
        pytest.skip("Maven is missing: make java")
    work = tmp_path / "camel"
    shutil.copytree(CAMEL, work, ignore=shutil.ignore_patterns("target"))
    maven = ["mvn", "-q", "-B", "compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath"]
    subprocess.run(maven, cwd=work, check=True, timeout=400)
    classpath = f"{work / 'target' / 'classes'}:{(work / 'classpath').read_text().strip()}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served(tmp_path) as here:
        told = {"KETAFHIR_URL": here.url, "KETAFHIR_TOKEN": TOKENS["sender"], "MLLP_LISTEN": f"127.0.0.1:{port}"}
        with (tmp_path / "log").open("w") as log:
            command = ["java", "-cp", classpath, "org.ketafhir.examples.MllpToKetafhir"]
            camel = subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log)
        try:
            _until_it_listens(port, camel)
            with Peer(port) as peer:
                first = peer.send(adt("M1", name="Müller^Jo"))
                again = peer.send(adt("M1", name="Müller^Jo"))
                refused = peer.send(damaged())
            assert (first.code, first.about) == ("AA", "M1")
            assert again.payload == first.payload
            assert refused.code == "AE"
            assert here.service.app.store.show(1).raw == adt("M1", name="Müller^Jo")
            assert here.service.app.http is not None
            here.service.call(here.service.app.http._server.close())
            with Peer(port) as peer:
                assert peer.send(adt("M2")).code == "AR"
        finally:
            camel.terminate()
            camel.wait(30)
    assert "Müller" not in (tmp_path / "log").read_text("utf-8", "replace")


def _until_it_listens(port: int, camel: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        assert camel.poll() is None, "Camel has ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise AssertionError("Camel does not listen")
