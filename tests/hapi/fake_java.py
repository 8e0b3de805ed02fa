"""Programs named java and mvn that only act, so that starting and building are tested in milliseconds."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

JAVA = """#!{python}
import os, signal, sys, time
from http.server import BaseHTTPRequestHandler, HTTPServer
if "-version" in sys.argv:
    sys.exit('openjdk version "{version}" 2025-04-15')
prefix = "-Dfhir.server."
given = dict(arg[len(prefix):].split("=", 1) for arg in sys.argv if arg.startswith(prefix))
mode = os.environ.get("FAKE_JAVA", "serve")
if mode == "refuse":
    print("Exception in thread main"); sys.exit("fhir-server: cannot listen here")
if mode == "hang":
    print("still thinking", flush=True); time.sleep(600)
if mode == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        protected = "FHIR_SERVER_TOKEN" in os.environ or "token.file" in given
        self.send_response(401 if protected else 200)
        self.end_headers()
        self.wfile.write(b'{{"resourceType": "CapabilityStatement"}}')
http = HTTPServer((given["host"], int(given["port"])), Handler)
with open(given["ready.file"], "w") as ready:
    ready.write(f"http://{{given['host']}}:{{http.server_port}}/fhir")
http.serve_forever()
"""

MAVEN = """#!/bin/sh
echo build >> {calls}
sleep 0.1
test -z "$FAKE_MAVEN_FAILS" || {{ echo "[ERROR] Could not resolve dependencies for project"; exit 1; }}
mkdir -p target/lib && cp pom.xml target/fhir-server.jar
"""


class Tools:
    """A PATH of its own with a Java and a Maven that only act."""

    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.calls = folder / "maven-calls"
        self.bin.mkdir()
        self.java()
        self._write("javac", "#!/bin/sh\n")
        self._write("mvn", MAVEN.format(calls=self.calls))

    def java(self, version: str = "17.0.15") -> None:
        self._write("java", JAVA.format(python=sys.executable, version=version))

    def remove(self, name: str) -> None:
        (self.bin / name).unlink()

    def builds(self) -> int:
        return len(self.calls.read_text().split()) if self.calls.exists() else 0

    def _write(self, name: str, text: str) -> None:
        file = self.bin / name
        file.write_text(text)
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
