"""Where the files lie that are not Python: mapping tables, profiles, the FHIR server's sources, the stories.

In a wheel they are inside the package, under `ketafhir/_data`; in a checkout at the repository root beside
`src/` (the stories in `examples/`). They are read where they lie and must be taken as read-only.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_PACKAGE = os.path.dirname(os.path.realpath(__file__))
_CHECKOUT = os.path.dirname(os.path.dirname(_PACKAGE))
_IN_CHECKOUT = {"stories": "examples/stories"}


def path(name: str) -> Path:
    """The folder or file `name`: `mappings`, `mappings/codesystems`, `profiles`, `docker/hapi`, `stories`.

    Raises FileNotFoundError, naming the places looked at, when it is in neither.
    """
    from pathlib import Path

    return Path(file(name))


def file(name: str) -> str:
    """As `path`, as a text: `pathlib` is not worth loading for a table or two."""
    head, _, tail = name.partition("/")
    bundled = os.path.join(_PACKAGE, "_data", name)
    checkout = os.path.join(_CHECKOUT, _IN_CHECKOUT.get(head, head), tail).removesuffix(os.sep)
    for place in (bundled, checkout):
        if os.path.exists(place):
            return place
    raise FileNotFoundError(f"{name} is neither at {bundled} nor at {checkout}: the installation is incomplete")
