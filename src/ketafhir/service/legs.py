"""Whether senders know: which acknowledgments have left, written to the store behind the traffic.

An acknowledgment counts as delivered when it was written to a connection that was open. That TCP lost it
after all is not to be seen from here; its sender will ask again, and is answered from the store.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from itertools import islice

from ketafhir.errors import StoreError
from ketafhir.service.arrivals import Answered
from ketafhir.store.away import Away
from ketafhir.store.protocol import Leg, Store

_TOGETHER = 256  # of one commit
_log = logging.getLogger("ketafhir.service")


class Legs:
    """What became of acknowledgments: noted in the event loop (`note`), written in a thread (`flush`)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flushing = threading.Lock()
        self._away = Away(_log, "which messages are answered is stored")
        self._noted: deque[tuple[int, Leg, bool]] = deque()

    def note(self, answered: Answered, delivered: bool) -> None:
        """The acknowledgments of one message have left, or their sender was gone."""
        if answered.message_id:
            self._noted.extend((answered.message_id, leg, delivered) for leg in answered.legs)

    def flush(self) -> None:
        """Write what was noted, with one commit for many. A store that fails now gets the rest later."""
        with self._flushing:  # one that was given up in mid-write, when the service ends, still runs in its thread
            while self._noted:
                some = list(islice(self._noted, _TOGETHER))
                try:
                    with self._store.batch():
                        for message_id, leg, delivered in some:
                            write = self._store.ack_delivered if delivered else self._store.ack_undelivered
                            write(message_id, leg)
                except StoreError as error:
                    self._away.failed("that message %d is answered is not stored: %s", some[0][0], error)
                    return
                self._away.answered()
                for _ in some:
                    self._noted.popleft()
