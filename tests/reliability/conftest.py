"""The service under test is that of tests/service, the FHIR server in memory that of tests/sync."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / room) for room in ("service", "sync")]
