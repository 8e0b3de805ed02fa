"""HL7v2 messages over TCP by the Minimal Lower Layer Protocol: bytes in, bytes out, no meaning."""
