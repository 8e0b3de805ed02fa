-- How often a message was sent again: a replay that is asked for twice by mistake is done once.
CREATE INDEX audit_replay ON audit (message_id) WHERE action = 'replay';
