"""Where the files lie that are not Python: mapping tables, profiles, the FHIR server's sources, the stories.

In a wheel they are inside the package, under `ketafhir/_data`; in a checkout at the repository root beside
`src/` (the stories in `examples/`). They are read where they lie and must be taken as read-only.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
_IN_CHECKOUT = {"stories": "examples/stories"}


def path(name: str) -> Path:
    """The folder or file `name`: `mappings`, `mappings/codesystems`, `profiles`, `docker/hapi`, `stories`.

    Raises FileNotFoundError, naming the places looked at, when it is in neither.
    """
    head, _, tail = name.partition("/")
    bundled = _PACKAGE / "_data" / name
    checkout = _PACKAGE.parents[1] / _IN_CHECKOUT.get(head, head) / tail
    for place in (bundled, checkout):
        if place.exists():
            return place
    raise FileNotFoundError(f"{name} is neither at {bundled} nor at {checkout}: the installation is incomplete")
