-- As migrations/sqlite/0008.
CREATE INDEX audit_replay ON audit (message_id) WHERE action = 'replay';
