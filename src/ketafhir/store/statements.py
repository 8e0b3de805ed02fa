"""Every SQL statement of the store, for SQLite and PostgreSQL alike: parameters are `?`, and row locks are taken out
where the database has none. Tests pin the query plan of those that run often."""

from __future__ import annotations

# --- inbox ---

# The earlier messages of one sender under one MSH-10; whether one of them has the same bytes decides.
SAME_CONTROL_ID = """
SELECT id, sha256, ack, answer FROM message
WHERE sender = ? AND control_id = ? AND control_id <> '' ORDER BY id
"""

COUNT_RESEND = "UPDATE message SET resends = resends + 1 WHERE id = ?"

INSERT_MESSAGE = """
INSERT INTO message (listener, peer, sender, control_id, message_type, media_type, received_at, raw, sha256,
                     outcome, issues, ack, ack_state, answer, answer_state, reused)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id
"""

UNFINISHED = """
SELECT id, raw, listener, peer, sender, control_id, message_type, media_type, received_at FROM message
WHERE outcome = 'received' ORDER BY id LIMIT ?
"""

MESSAGE_OUTCOME = "SELECT outcome, erased_at FROM message WHERE id = ? FOR UPDATE"
SET_OUTCOME = "UPDATE message SET outcome = ? WHERE id = ?"
SET_RESULT = "UPDATE message SET outcome = ?, issues = ?, answer = ?, answer_state = ? WHERE id = ?"

INSERT_DELIVERY = """
INSERT INTO delivery (message_id, destination, payload, state, not_before, created_at)
VALUES (?, ?, ?, 'queued', 0, ?) RETURNING id
"""
INSERT_PARTITION = "INSERT INTO delivery_partition (part_key, destination, delivery_id) VALUES (?, ?, ?)"

# Both change nothing when the record is not at the version it was read at.
INSERT_RECORD = "INSERT INTO record (part_key, version, body) VALUES (?, 1, ?) ON CONFLICT DO NOTHING"
UPDATE_RECORD = "UPDATE record SET version = version + 1, body = ? WHERE part_key = ? AND version = ?"
# Only for a merge of patients, which is rare: no index serves it in every collation.
RECORDS_OF = "SELECT part_key FROM record WHERE substr(part_key, 1, ?) = ? ORDER BY part_key"
RECORD = "SELECT body, version FROM record WHERE part_key = ?"

INSERT_ALIAS = "INSERT INTO alias (kind, text, part_key) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
PARTITIONS_OF_ALIAS = "SELECT part_key FROM alias WHERE kind = ? AND text = ? ORDER BY part_key"

ACK_STATE = "SELECT ack_state FROM message WHERE id = ? FOR UPDATE"
SET_ACK_STATE = "UPDATE message SET ack_state = ? WHERE id = ?"
ANSWER_STATE = "SELECT answer_state FROM message WHERE id = ? FOR UPDATE"
SET_ANSWER_STATE = "UPDATE message SET answer_state = ? WHERE id = ?"

# --- outbox ---

# The oldest that is due and stands first in each partition it holds. One that waits or is parked blocks the
# younger ones of its partition, being itself an earlier open delivery. OFFSET keeps PostgreSQL from joining whole tables.
CLAIM_NEXT = """
UPDATE delivery SET state = 'claimed', worker = ?, lease_until = ?, token = token + 1, sent_at = NULL
WHERE id = (
  SELECT d.id FROM delivery d
  WHERE d.destination = ? AND d.state IN ('queued', 'parked') AND d.not_before <= ?
    AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.destination = ?)
    AND NOT EXISTS (
      SELECT 1 FROM delivery_partition mine
      JOIN delivery_partition earlier ON earlier.part_key = mine.part_key
        AND earlier.destination = d.destination AND earlier.open = 1 AND earlier.delivery_id < d.id
      WHERE mine.delivery_id = d.id LIMIT 1 OFFSET 0)
  ORDER BY d.id LIMIT 1 FOR UPDATE OF d SKIP LOCKED)
RETURNING id, message_id, token, destination, payload, attempts, rejections
"""
HELD = "SELECT state, sent_at, worker FROM delivery WHERE id = ? AND token = ? FOR UPDATE"
MARK_INFLIGHT = """
UPDATE delivery SET state = 'inflight', sent_at = COALESCE(sent_at, ?), lease_until = ?
WHERE id = ? AND token = ? AND state IN ('claimed', 'inflight')
"""
FREE = "UPDATE delivery SET state = 'queued', lease_until = NULL WHERE id = ?"

EXPIRED = """
SELECT id, state, sent_at, worker FROM delivery
WHERE state IN ('claimed', 'inflight') AND lease_until < ? ORDER BY lease_until FOR UPDATE SKIP LOCKED
"""
HELD_BY = """
SELECT id, state, sent_at, worker FROM delivery
WHERE state IN ('claimed', 'inflight') AND lease_until > 0 AND worker = ? ORDER BY lease_until FOR UPDATE
"""
# The token moves on, so that a claimer that comes back too late cannot write.
REQUEUE_AMBIGUOUS = """
UPDATE delivery SET state = 'queued', reason = ?, attempts = attempts + 1, token = token + 1,
                    lease_until = NULL, not_before = 0
WHERE id = ?
"""
REQUEUE_UNSENT = "UPDATE delivery SET state = 'queued', token = token + 1, lease_until = NULL WHERE id = ?"

SETTLE = """
UPDATE delivery SET state = ?, reason = ?, not_before = ?, attempts = attempts + ?,
                    rejections = rejections + ?, lease_until = NULL, settled_at = ?
WHERE id = ?
"""
CLOSE_PARTITIONS = "UPDATE delivery_partition SET open = 0 WHERE delivery_id = ?"
INSERT_ATTEMPT = """
INSERT INTO attempt (delivery_id, worker, started_at, ended_at, kind, status, detail)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""

LEARN_VERSION = """
INSERT INTO resource_version (destination, reference, etag) VALUES (?, ?, ?)
ON CONFLICT (destination, reference) DO UPDATE SET etag = excluded.etag
"""
FORGET_VERSION = "DELETE FROM resource_version WHERE destination = ? AND reference = ?"
# Fewer references are filled up to so many: one text, which is prepared once.
VERSIONS_AT_ONCE = 16
VERSIONS = """
SELECT reference, etag FROM resource_version
WHERE destination = ? AND reference IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

# --- the operator ---

PAUSE = """
INSERT INTO paused (destination, reason, since) VALUES (?, ?, ?)
ON CONFLICT (destination) DO UPDATE SET reason = excluded.reason
"""
RESUME = "DELETE FROM paused WHERE destination = ?"
PAUSED = "SELECT destination, reason, since FROM paused ORDER BY destination"

DELIVERY_STATES = "SELECT id, state, destination FROM delivery WHERE message_id = ? ORDER BY id FOR UPDATE"
# A later delivery of one of its partitions that has been written, and one that may be at this moment.
OVERTAKEN_BY = """
SELECT MIN(later.message_id), MIN(CASE WHEN later.state <> 'done' THEN later.message_id END) FROM delivery_partition mine
JOIN delivery_partition theirs ON theirs.part_key = mine.part_key AND theirs.destination = mine.destination
  AND theirs.delivery_id > mine.delivery_id
JOIN delivery later ON later.id = theirs.delivery_id AND later.state IN ('done', 'claimed', 'inflight')
WHERE mine.delivery_id = ?
"""
REQUEUE = """
UPDATE delivery SET state = 'queued', not_before = 0, rejections = 0, settled_at = NULL, token = token + 1
WHERE id = ?
"""
OPEN_PARTITIONS = "UPDATE delivery_partition SET open = 1 WHERE delivery_id = ?"
PARK = """
UPDATE delivery SET state = 'parked', reason = ?, not_before = NULL, token = token + 1 WHERE id = ?
"""
SUPERSEDE = """
UPDATE delivery SET state = 'dead', reason = ?, not_before = NULL, settled_at = ?, token = token + 1 WHERE id = ?
"""
REPLAYS = "SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = ?"
ENDED_DELIVERIES = """
SELECT d.id, m.control_id, m.message_type, d.destination, d.state, d.reason,
       (SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = d.message_id)
FROM delivery d JOIN message m ON m.id = d.message_id
WHERE d.message_id = ? AND (CAST(? AS TEXT) IS NULL OR d.destination = ?) ORDER BY d.id FOR UPDATE OF d
"""
LATER = """
SELECT DISTINCT later.id, later.message_id, later.state FROM delivery_partition mine
JOIN delivery_partition theirs ON theirs.part_key = mine.part_key AND theirs.destination = mine.destination
  AND theirs.delivery_id > mine.delivery_id
JOIN delivery later ON later.id = theirs.delivery_id AND later.state IN ('done', 'claimed', 'inflight')
WHERE mine.delivery_id = ? ORDER BY later.id
"""
# The messages of a span of time are those that were stored between the first and the last of it.
FIRST_SINCE = "SELECT id FROM message WHERE received_at >= ? ORDER BY received_at, id LIMIT 1"
LAST_UNTIL = "SELECT id FROM message WHERE received_at < ? ORDER BY received_at DESC, id DESC LIMIT 1"
NEWEST = "SELECT MAX(id) FROM message"
NEXT_DESTINATION = "SELECT MIN(destination) FROM delivery WHERE destination > ?"
_CHOSEN = """
SELECT d.message_id, d.id, m.message_type, d.destination, d.state,
       (SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = d.message_id)
FROM delivery d JOIN message m ON m.id = d.message_id
WHERE d.destination = ? AND d.state = ? AND d.reason <> ? AND d.message_id BETWEEN ? AND ?
"""
CHOSEN_OLDEST = f"{_CHOSEN} AND (d.message_id, d.id) > (?, ?) ORDER BY d.message_id, d.id LIMIT ?"
CHOSEN_NEWEST = f"{_CHOSEN} AND (d.message_id, d.id) < (?, ?) ORDER BY d.message_id DESC, d.id DESC LIMIT ?"
CHOSEN_MESSAGES = """
SELECT m.id, 0, m.message_type, '', m.outcome,
       (SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = m.id)
FROM message m
WHERE m.outcome = ? AND m.id BETWEEN ? AND ? AND m.id > ? ORDER BY m.id LIMIT ?
"""

# The same beside what goes with it: the messages up to a number.
OVERTAKEN_BEYOND = """
SELECT MIN(CASE WHEN later.state = 'done' AND later.message_id > ? THEN later.message_id END),
       MIN(CASE WHEN later.state <> 'done' THEN later.message_id END) FROM delivery_partition mine
JOIN delivery_partition theirs ON theirs.part_key = mine.part_key AND theirs.destination = mine.destination
  AND theirs.delivery_id > mine.delivery_id
JOIN delivery later ON later.id = theirs.delivery_id AND later.state IN ('done', 'claimed', 'inflight')
WHERE mine.delivery_id = ?
"""
STATES_AT = "SELECT id, state FROM delivery WHERE message_id = ? AND destination = ? ORDER BY id FOR UPDATE"

# What has ended before a time: nothing of it is open, and nothing ended later. `trouble` is kept longer than the rest.
_TROUBLE = """(m.outcome IN ('refused', 'failed')
  OR EXISTS (SELECT 1 FROM delivery d WHERE d.message_id = m.id AND d.state = 'dead'))"""
_ENDED = """
SELECT m.id, LENGTH(m.raw) + (SELECT COALESCE(SUM(LENGTH(d.payload)), 0) FROM delivery d WHERE d.message_id = m.id)
FROM message m WHERE m.received_at < ? AND m.outcome <> 'received'
  AND NOT EXISTS (SELECT 1 FROM delivery d
                  WHERE d.message_id = m.id AND (d.settled_at IS NULL OR d.settled_at >= ?))
"""
ENDED_WELL = f"{_ENDED} AND NOT {_TROUBLE} ORDER BY m.received_at, m.id LIMIT ? FOR UPDATE OF m SKIP LOCKED"
ENDED_IN_TROUBLE = f"{_ENDED} AND {_TROUBLE} ORDER BY m.received_at, m.id LIMIT ? FOR UPDATE OF m SKIP LOCKED"
# Of the content of what has ended well; the partial index has those alone that still have any.
UNERASED = f"""{_ENDED} AND m.erased_at IS NULL AND NOT {_TROUBLE}
ORDER BY m.received_at, m.id LIMIT ? FOR UPDATE OF m SKIP LOCKED"""
ISSUES = "SELECT issues FROM message WHERE id = ?"
ERASE_MESSAGE = "UPDATE message SET raw = ?, issues = ?, erased_at = ? WHERE id = ?"
ERASE_PAYLOADS = "UPDATE delivery SET payload = ? WHERE message_id = ?"
OF_PATIENT = """
SELECT d.message_id, MAX(CASE WHEN every.settled_at IS NULL OR m.outcome = 'received' THEN 1 ELSE 0 END)
FROM delivery_partition p JOIN delivery d ON d.id = p.delivery_id JOIN message m ON m.id = d.message_id
JOIN delivery every ON every.message_id = d.message_id
WHERE p.part_key = ? GROUP BY d.message_id ORDER BY d.message_id
"""
PURGE = (
    "DELETE FROM attempt WHERE delivery_id IN (SELECT id FROM delivery WHERE message_id = ?)",
    "DELETE FROM delivery_partition WHERE delivery_id IN (SELECT id FROM delivery WHERE message_id = ?)",
    "DELETE FROM delivery WHERE message_id = ?",
    "DELETE FROM message WHERE id = ?",
)
# The length of a BLOB stands before it: neither database reads the bytes for this.
BYTES = """
SELECT (SELECT COALESCE(SUM(LENGTH(raw)), 0) FROM message) + (SELECT COALESCE(SUM(LENGTH(payload)), 0) FROM delivery)
"""

PARKED_IN = """
SELECT d.id FROM delivery d
WHERE d.id IN (SELECT delivery_id FROM delivery_partition WHERE part_key = ? AND open = 1) AND d.state = 'parked'
ORDER BY d.id FOR UPDATE
"""

_SUMMARY = """
SELECT m.id, COALESCE(d.id, 0), m.control_id, m.message_type, m.sender, COALESCE(d.destination, ''),
       COALESCE(d.state, m.outcome), COALESCE(d.reason, ''), COALESCE(d.attempts, 0),
       m.received_at, d.not_before,
       CASE WHEN d.state = 'queued' THEN (
         SELECT MAX(first.message_id) FROM delivery first WHERE first.id = (
           SELECT MAX(earlier.delivery_id) FROM delivery_partition mine
           JOIN delivery_partition earlier ON earlier.part_key = mine.part_key
             AND earlier.destination = mine.destination AND earlier.open = 1 AND earlier.delivery_id < d.id
           WHERE mine.delivery_id = d.id)) END
"""
# A row value compares in order: behind this message, or in it and behind this delivery.
LIST = f"""{_SUMMARY} FROM message m LEFT JOIN delivery d ON d.message_id = m.id
WHERE m.id >= ? AND (m.id, COALESCE(d.id, 0)) > (?, ?) AND (CAST(? AS TEXT) IS NULL OR d.destination = ?)
ORDER BY m.id, d.id LIMIT ?
"""
LIST_DELIVERIES = f"""{_SUMMARY} FROM delivery d JOIN message m ON m.id = d.message_id
WHERE d.state = ? AND d.message_id >= ? AND (d.message_id, d.id) > (?, ?)
  AND (CAST(? AS TEXT) IS NULL OR d.destination = ?)
ORDER BY d.message_id, d.id LIMIT ?
"""
# No delivery has the number 0. OFFSET as in CLAIM_NEXT: PostgreSQL read all deliveries to find messages without one.
_ANY_DELIVERY = "SELECT 1 FROM delivery any_of WHERE any_of.message_id = m.id LIMIT 1 OFFSET 0"
LIST_OUTCOMES = f"""{_SUMMARY} FROM message m LEFT JOIN delivery d ON d.id = 0
WHERE m.outcome = ? AND m.id > ? AND CAST(? AS TEXT) IS NULL AND NOT EXISTS ({_ANY_DELIVERY})
ORDER BY m.id LIMIT ?
"""

MESSAGE = """
SELECT id, listener, peer, sender, control_id, message_type, media_type, received_at, raw, outcome, issues,
       ack, ack_state, answer, answer_state, reused, resends, erased_at,
       (SELECT COUNT(*) FROM audit a WHERE a.action = 'replay' AND a.message_id = message.id)
FROM message WHERE id = ?
"""
DELIVERIES = """
SELECT id, destination, payload, state, reason, attempts, rejections, not_before, created_at, settled_at
FROM delivery WHERE message_id = ? ORDER BY id
"""
PARTITIONS = "SELECT part_key FROM delivery_partition WHERE delivery_id = ? ORDER BY part_key"
ATTEMPTS = """
SELECT worker, started_at, ended_at, kind, status, detail FROM attempt WHERE delivery_id = ? ORDER BY id
"""

WRITTEN = """
SELECT d.id, d.message_id, d.payload FROM delivery d JOIN message m ON m.id = d.message_id
WHERE d.destination = ? AND d.state = 'done' AND d.id > ? AND m.erased_at IS NULL ORDER BY d.id LIMIT ?
"""
KEPT = """
SELECT id, listener, message_type, received_at, raw, outcome, issues FROM message
WHERE id > ? AND received_at >= ? AND erased_at IS NULL ORDER BY id LIMIT ?
"""
COUNT_OUTCOMES = "SELECT outcome, COUNT(*) FROM message GROUP BY outcome"
COUNT_STATES = """
SELECT state, COUNT(*) FROM delivery WHERE CAST(? AS TEXT) IS NULL OR destination = ? GROUP BY state
"""
# Of one destination, as often as it is asked for: by parts of indexes that hold what is not done.
COUNT_STATE = "SELECT COUNT(*) FROM delivery WHERE destination = ? AND state = ?"
COUNT_UNTRANSLATED = "SELECT COUNT(*) FROM message WHERE outcome = 'received'"
OLDEST_WAITING = """
SELECT MIN(created_at), MIN(id) FROM delivery WHERE id IN (
  (SELECT id FROM delivery WHERE destination = ? AND state IN ('queued', 'parked') ORDER BY id LIMIT 1),
  (SELECT id FROM delivery WHERE destination = ? AND state = 'claimed' ORDER BY message_id LIMIT 1),
  (SELECT id FROM delivery WHERE destination = ? AND state = 'inflight' ORDER BY message_id LIMIT 1))
"""
LAST_KIND = "SELECT kind FROM attempt WHERE delivery_id = ? ORDER BY id DESC LIMIT 1"
OLDEST_OPEN = """
SELECT MIN(created_at) FROM delivery
WHERE state IN ('queued', 'claimed', 'inflight', 'parked') AND (CAST(? AS TEXT) IS NULL OR destination = ?)
"""

# --- audit ---

LAST_AUDIT = "SELECT digest FROM audit ORDER BY id DESC LIMIT 1"
INSERT_AUDIT = "INSERT INTO audit (at, who, action, message_id, destination, digest) VALUES (?, ?, ?, ?, ?, ?)"
AUDIT = """
SELECT id, at, who, action, message_id, destination, digest FROM audit WHERE id > ? ORDER BY id LIMIT ?"""
