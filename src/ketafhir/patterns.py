"""Regular expressions that are compiled when they are first used: most messages need few of those that a module has."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast


def pattern(text: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """`re.compile`, put off until a method is called. One of a hundred characters takes as long as to load a module."""
    return cast("re.Pattern[AnyStr]", _Later(text, flags))


class _Later:
    def __init__(self, text: str | bytes, flags: int) -> None:
        self._told: Any = text, flags

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(*self._told), name)  # `re` keeps what was compiled
        setattr(self, name, found)
        return found
