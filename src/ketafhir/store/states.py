"""The states of a message and of its deliveries, and every step between them that is allowed.

Three independent axes:

    outcome    what translation made of the message
    delivery   where each payload stands on its way to its destination
    owed       whether the sender has been told, for the ACK and for the application answer each

`claimed` is not `inflight`: what was only claimed was provably never sent, and goes back for nothing; what
was in flight may have been done, and is repeated only because every write is idempotent.
"""

from __future__ import annotations

# outcome
RECEIVED = "received"  # committed, not yet translated
TRANSLATED = "translated"
REFUSED = "refused"  # its content is not understood; the sender was told so
UNSUPPORTED = "unsupported"  # a message type that is kept and nothing more
FAILED = "failed"  # a fault of ours; the sender was told AA

# delivery
QUEUED = "queued"  # `not_before` in the future: waits, and holds its partition
CLAIMED = "claimed"
INFLIGHT = "inflight"
PARKED = "parked"  # holds its partition until its next attempt, or until an operator acts
DONE = "done"
DEAD = "dead"  # given up with a reason; its partition goes on

# owed
PENDING = "pending"
DELIVERED = "delivered"
UNDELIVERED = "undelivered"
NOT_OWED = "not_owed"

OUTCOMES = (RECEIVED, TRANSLATED, REFUSED, UNSUPPORTED, FAILED)
DELIVERY_STATES = (QUEUED, CLAIMED, INFLIGHT, PARKED, DONE, DEAD)
OWED_STATES = (PENDING, DELIVERED, UNDELIVERED, NOT_OWED)

OPEN = frozenset({QUEUED, CLAIMED, INFLIGHT, PARKED})  # later deliveries of the partition wait behind these

OUTCOME_STEPS = frozenset(
    {
        (RECEIVED, TRANSLATED),
        (RECEIVED, REFUSED),
        (RECEIVED, UNSUPPORTED),
        (RECEIVED, FAILED),
        # An operator asks for a new translation, with today's tables and code.
        (TRANSLATED, RECEIVED),
        (REFUSED, RECEIVED),
        (UNSUPPORTED, RECEIVED),
        (FAILED, RECEIVED),
    }
)

DELIVERY_STEPS = frozenset(
    {
        (QUEUED, CLAIMED),
        (PARKED, CLAIMED),  # its next attempt is due
        (CLAIMED, INFLIGHT),
        (INFLIGHT, INFLIGHT),  # the lease is renewed for another request of the same attempt
        (CLAIMED, QUEUED),  # given back unsent, or the lease ran out
        (CLAIMED, DEAD),  # never sendable: the payload is no Bundle
        (CLAIMED, PARKED),
        (INFLIGHT, QUEUED),
        (INFLIGHT, PARKED),
        (INFLIGHT, DONE),
        (INFLIGHT, DEAD),
    }
)

# What an operator may do: retry or release, replay as it was sent, park, and give up for a newer rendering.
OPERATOR_STEPS = frozenset({(QUEUED, QUEUED), (PARKED, QUEUED), (DEAD, QUEUED)})
REPLAY_STEPS = frozenset({(DONE, QUEUED), (DEAD, QUEUED)})
PARK_STEPS = frozenset({(QUEUED, PARKED), (PARKED, PARKED)})
SUPERSEDE_STEPS = frozenset({(QUEUED, DEAD), (PARKED, DEAD)})
SUPERSEDED = "given up: rendered again"  # the reason of such a one, which is never sent again

OWED_STEPS = frozenset(
    {
        (PENDING, DELIVERED),
        (PENDING, UNDELIVERED),
        (UNDELIVERED, DELIVERED),  # replayed when the message came again
        (DELIVERED, DELIVERED),
        (DELIVERED, UNDELIVERED),  # a replay that did not get through
        (UNDELIVERED, UNDELIVERED),
    }
)
