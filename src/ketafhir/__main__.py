"""`python -m ketafhir`: the same as the command `ketafhir`."""

from __future__ import annotations

import sys

from ketafhir.cli import main

sys.exit(main())
