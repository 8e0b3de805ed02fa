"""The service over HTTP: translate, take messages, show and work the queue, tell health and metrics (docs/rest.md)."""
