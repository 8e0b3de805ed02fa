"""Whether senders know: which acknowledgments have left, written to the store behind the traffic.

An acknowledgment counts as delivered when it was written to a connection that was open. That TCP lost it
after all is not to be seen from here; its sender will ask again, and is answered from the store.
"""

from __future__ import annotations

import logging
from collections import deque

from ketafhir.errors import StoreError
from ketafhir.service.arrivals import Answered
from ketafhir.store.protocol import Leg, Store

_log = logging.getLogger("ketafhir.service")


class Legs:
    """What became of acknowledgments: noted in the event loop (`note`), written in a thread (`flush`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._noted: deque[tuple[int, Leg, bool]] = deque()

    def note(self, answered: Answered, delivered: bool) -> None:
        """The acknowledgments of one message have left, or their sender was gone."""
        if answered.message_id:
            self._noted.extend((answered.message_id, leg, delivered) for leg in answered.legs)

    def flush(self) -> None:
        """Write what was noted. A store that fails now gets the rest later."""
        while self._noted:
            message_id, leg, delivered = self._noted[0]
            write = self._store.ack_delivered if delivered else self._store.ack_undelivered
            try:
                write(message_id, leg)
            except StoreError as error:
                _log.error("that message %d is answered is not stored: %s", message_id, error)
                return
            self._noted.popleft()
