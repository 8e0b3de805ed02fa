-- Message and delivery apart: one message may go to several places, or to none and still be kept.
-- Times are seconds since the epoch, UTC. States are checked in code (states.py), so that one more needs no new table.

CREATE TABLE message (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  listener TEXT NOT NULL,
  peer TEXT NOT NULL,
  sender TEXT NOT NULL,
  control_id TEXT NOT NULL,
  message_type TEXT NOT NULL,
  media_type TEXT NOT NULL,
  received_at REAL NOT NULL,
  raw BLOB NOT NULL,
  sha256 BLOB NOT NULL,
  outcome TEXT NOT NULL,
  issues BLOB NOT NULL,
  ack BLOB,
  ack_state TEXT NOT NULL,
  answer BLOB,
  answer_state TEXT NOT NULL,
  reused INTEGER NOT NULL DEFAULT 0,
  resends INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_identity ON message (sender, control_id) WHERE control_id <> '';
CREATE INDEX message_outcome ON message (outcome, id);

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  message_id INTEGER NOT NULL REFERENCES message (id),
  destination TEXT NOT NULL,
  payload BLOB NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  rejections INTEGER NOT NULL DEFAULT 0,
  not_before REAL,
  worker TEXT NOT NULL DEFAULT '',
  lease_until REAL,
  token INTEGER NOT NULL DEFAULT 0,
  sent_at REAL,
  created_at REAL NOT NULL,
  settled_at REAL
);
CREATE INDEX delivery_message ON delivery (message_id);
CREATE INDEX delivery_state ON delivery (destination, state, message_id);
-- What can be claimed, oldest first; settled rows cost the claim nothing however many there are.
CREATE INDEX delivery_waiting ON delivery (destination, id) WHERE state IN ('queued', 'parked');
CREATE INDEX delivery_leased ON delivery (lease_until) WHERE state IN ('claimed', 'inflight');

-- The partitions a delivery holds while it is open. A merge holds two, and so is a barrier in both.
CREATE TABLE delivery_partition (
  part_key TEXT NOT NULL,
  destination TEXT NOT NULL,
  delivery_id INTEGER NOT NULL REFERENCES delivery (id),
  open INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (part_key, destination, delivery_id)
) WITHOUT ROWID;
CREATE INDEX delivery_partition_open ON delivery_partition (part_key, destination, delivery_id) WHERE open = 1;
CREATE INDEX delivery_partition_delivery ON delivery_partition (delivery_id);

CREATE TABLE attempt (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  delivery_id INTEGER NOT NULL REFERENCES delivery (id),
  worker TEXT NOT NULL,
  started_at REAL NOT NULL,
  ended_at REAL NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX attempt_delivery ON attempt (delivery_id, id);
CREATE TRIGGER attempt_is_append_only BEFORE UPDATE ON attempt
BEGIN
  SELECT RAISE(ABORT, 'attempts are never changed');
END;

-- The accepted therapy record of each partition; version counts its changes.
CREATE TABLE record (
  part_key TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  body BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE alias (
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  part_key TEXT NOT NULL,
  PRIMARY KEY (kind, text, part_key)
) WITHOUT ROWID;

-- The ETag that a destination last gave for a resource.
CREATE TABLE resource_version (
  destination TEXT NOT NULL,
  reference TEXT NOT NULL,
  etag TEXT NOT NULL,
  PRIMARY KEY (destination, reference)
) WITHOUT ROWID;
