"""What `ketafhir doctor` and `ketafhir check` find."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Finding(NamedTuple):
    """One thing looked at. A `note` is worth knowing and nothing is wrong; `remedy` says what to do."""

    state: Literal["ok", "note", "wrong"]
    what: str
    text: str
    remedy: str = ""

    def line(self) -> str:
        """The finding on one line."""
        return f"{self.state:5}  {self.what}: {self.text}" + (f" -> {self.remedy}" if self.remedy else "")
