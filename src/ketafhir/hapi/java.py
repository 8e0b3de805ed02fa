"""Finding Java and Maven, which this project needs for its FHIR server only."""

from __future__ import annotations

import os
import re
import shutil
import subprocess

from ketafhir.errors import FhirServerError

OLDEST = 17


def find_java() -> str:
    """Path of a `java` of version 17 or newer: the one of JAVA_HOME, else the first on the PATH.

    Raises FhirServerError with the command that installs one.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=os.path.join(home, "bin")) if home else shutil.which("java")
    remedy = "apt-get install default-jdk-headless"
    if java is None:
        where = f"in JAVA_HOME={home}" if home else "on this machine"
        raise FhirServerError(f"no Java {where}: {remedy} (Java {OLDEST} or newer)")
    version = java_version(java)
    if version < OLDEST:
        raise FhirServerError(f"{java} is Java {version}, the FHIR server needs {OLDEST} or newer: {remedy}")
    return java


def java_version(java: str) -> int:
    """The feature release of the program `java`: 17 for `17.0.15`, 8 for `1.8.0_412`; 0 if unknown."""
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=False)  # noqa: S603  # found above, not given by input
    except OSError as error:
        raise FhirServerError(f"{java} cannot be run: {error}") from error
    found = re.search(r'version "(?:1\.)?(\d+)', ran.stderr + ran.stdout)
    return int(found[1]) if found else 0


def find_maven() -> str:
    """Path of `mvn`; raises FhirServerError with the command that installs it, and a compiler, where one is
    missing.
    """
    maven = shutil.which("mvn")
    if maven is None:
        raise FhirServerError("Maven is missing (it builds the FHIR server on first use): apt-get install maven")
    if shutil.which("javac", path=os.path.dirname(os.path.realpath(find_java()))) is None:
        raise FhirServerError("a Java compiler is missing: apt-get install default-jdk-headless")
    return maven
