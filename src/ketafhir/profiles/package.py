"""The FHIR NPM package (https://confluence.hl7.org/display/FHIR/NPM+Package+Specification).

Definitions, terminology, examples, and in `other/` the pages of docs/profiles.
"""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ketafhir import __version__, data
from ketafhir.fhir import json
from ketafhir.profiles import capability, pages, terminology

Json = dict[str, Any]
NAME = "ketafhir.infusion"


def contents() -> Iterator[Json]:
    """Every resource of the package: the compiled definitions, then what is made from the mapping tables."""
    compiled = [json.loads(file.read_bytes()) for file in sorted(data.path("profiles/definitions").glob("*.json"))]
    yield from compiled
    yield from terminology.resources(__version__)
    for one in capability.resources(compiled):
        yield {**one, "version": __version__}


def examples() -> Iterator[tuple[str, Json]]:
    """A resource that keeps each definition, by the id of the definition: in the package, on no server."""
    for file in sorted(data.path("profiles/examples/good").glob("*.json")):
        yield file.stem, json.loads(file.read_bytes())


def write(folder: Path) -> Path:
    """Write `ketafhir.infusion-<version>.tgz`; the same definitions give the same bytes."""
    resources = list(contents())
    files = {f"{one['resourceType']}-{one['id']}.json": one for one in resources}
    index = {"index-version": 1, "files": [_indexed(name, one) for name, one in files.items()]}
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{NAME}-{__version__}.tgz"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        shown = {f"example/{name}.json": one for name, one in examples()}
        for name, content in (("package.json", _manifest()), (".index.json", index), *files.items(), *shown.items()):
            _add(archive, f"package/{name}", json.dumps(content, indent=True) + b"\n")
        for name, text in pages.packaged():
            _add(archive, f"package/other/{name}", text.encode())
    made.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return made


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))


def _manifest() -> Json:
    return {
        "name": NAME,
        "version": __version__,
        "canonical": "https://ketafhir.org/fhir",
        "title": "Ketamine infusion records",
        "description": "Profiles, extensions, value sets, concept maps and forms of ketamine infusion records.",
        "fhirVersions": ["4.0.1"],
        "dependencies": {"hl7.fhir.r4.core": "4.0.1"},
        "type": "fhir.ig",
        "license": "Apache-2.0",
        "author": "ketafhir",
    }


def _indexed(name: str, resource: Json) -> Json:
    entry = {"filename": name}
    for key in ("resourceType", "id", "url", "version", "kind", "type"):
        if isinstance(resource.get(key), str):
            entry[key] = resource[key]
    return entry
