"""`ketafhir explain`: a message side by side with what became of it, and of a file of many, what the feed needs."""
