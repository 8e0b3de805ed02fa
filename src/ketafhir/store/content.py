"""What of a message is about a patient, and what is known of it without that."""

from __future__ import annotations

import json
from typing import Any

_OF_AN_ISSUE = ("value", "text", "hint")  # each may quote what was sent


def without_values(issues: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Issues as `errors.Issue` in JSON, left with their code, severity, row and place."""
    return [{name: one for name, one in issue.items() if name not in _OF_AN_ISSUE} for issue in issues]


def scrubbed(issues: bytes) -> bytes:
    """The same of what the store keeps."""
    return json.dumps(without_values(json.loads(issues or b"[]"))).encode()
