"""The durable inbox and outbox: `protocol` says what it does, `states` what can become of what."""
