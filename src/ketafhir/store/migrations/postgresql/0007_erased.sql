-- As migrations/sqlite/0009.
ALTER TABLE message ADD COLUMN erased_at DOUBLE PRECISION;
CREATE INDEX message_content ON message (received_at, id) WHERE erased_at IS NULL;
