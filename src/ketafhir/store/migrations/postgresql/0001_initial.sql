-- As migrations/sqlite/0001, in the types of PostgreSQL.
-- Message and delivery apart: one message may go to several places, or to none and still be kept.
-- Times are seconds since the epoch, UTC. States are checked in code (states.py), so that one more needs no new table.

CREATE TABLE message (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  listener TEXT NOT NULL,
  peer TEXT NOT NULL,
  sender TEXT NOT NULL,
  control_id TEXT NOT NULL,
  message_type TEXT NOT NULL,
  media_type TEXT NOT NULL,
  received_at DOUBLE PRECISION NOT NULL,
  raw BYTEA NOT NULL,
  sha256 BYTEA NOT NULL,
  outcome TEXT NOT NULL,
  issues BYTEA NOT NULL,
  ack BYTEA,
  ack_state TEXT NOT NULL,
  answer BYTEA,
  answer_state TEXT NOT NULL,
  reused INTEGER NOT NULL DEFAULT 0,
  resends INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX message_identity ON message (sender, control_id) WHERE control_id <> '';
CREATE INDEX message_outcome ON message (outcome, id);

CREATE TABLE delivery (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  message_id BIGINT NOT NULL REFERENCES message (id),
  destination TEXT NOT NULL,
  payload BYTEA NOT NULL,
  state TEXT NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  attempts INTEGER NOT NULL DEFAULT 0,
  rejections INTEGER NOT NULL DEFAULT 0,
  not_before DOUBLE PRECISION,
  worker TEXT NOT NULL DEFAULT '',
  lease_until DOUBLE PRECISION,
  token BIGINT NOT NULL DEFAULT 0,
  sent_at DOUBLE PRECISION,
  created_at DOUBLE PRECISION NOT NULL,
  settled_at DOUBLE PRECISION
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
  delivery_id BIGINT NOT NULL REFERENCES delivery (id),
  open INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (part_key, destination, delivery_id)
);
CREATE INDEX delivery_partition_open ON delivery_partition (part_key, destination, delivery_id) WHERE open = 1;
CREATE INDEX delivery_partition_delivery ON delivery_partition (delivery_id);

CREATE TABLE attempt (
  id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  delivery_id BIGINT NOT NULL REFERENCES delivery (id),
  worker TEXT NOT NULL,
  started_at DOUBLE PRECISION NOT NULL,
  ended_at DOUBLE PRECISION NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  detail TEXT NOT NULL
);
CREATE INDEX attempt_delivery ON attempt (delivery_id, id);
CREATE FUNCTION attempts_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'attempts are never changed' USING ERRCODE = 'restrict_violation'; END $$;
CREATE TRIGGER attempt_is_append_only BEFORE UPDATE ON attempt
FOR EACH ROW EXECUTE FUNCTION attempts_are_never_changed();

-- The accepted therapy record of each partition; version counts its changes.
CREATE TABLE record (
  part_key TEXT PRIMARY KEY,
  version BIGINT NOT NULL,
  body BYTEA NOT NULL
);

CREATE TABLE alias (
  kind TEXT NOT NULL,
  text TEXT NOT NULL,
  part_key TEXT NOT NULL,
  PRIMARY KEY (kind, text, part_key)
);

-- The ETag that a destination last gave for a resource.
CREATE TABLE resource_version (
  destination TEXT NOT NULL,
  reference TEXT NOT NULL,
  etag TEXT NOT NULL,
  PRIMARY KEY (destination, reference)
);
