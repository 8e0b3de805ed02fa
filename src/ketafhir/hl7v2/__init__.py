"""ER7 bytes <-> segments and groups; escapes, charsets, acknowledgements (HL7 v2 chapters 2, 4A and 7)."""
