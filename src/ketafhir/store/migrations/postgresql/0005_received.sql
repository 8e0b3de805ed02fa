-- As migrations/sqlite/0007.
CREATE INDEX message_received ON message (received_at, id);
