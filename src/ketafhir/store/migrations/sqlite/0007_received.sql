-- What came in a span of time is found without reading every message.
CREATE INDEX message_received ON message (received_at, id);
