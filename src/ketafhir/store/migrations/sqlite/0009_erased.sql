-- When the content of a message was deleted: its row, acknowledgments and attempts stay, so that it is known when it comes again.
ALTER TABLE message ADD COLUMN erased_at REAL;
CREATE INDEX message_content ON message (received_at, id) WHERE erased_at IS NULL;
