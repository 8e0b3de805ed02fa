"""Resource ids: the same identity gives the same id, on every machine and at every run.

An id is a name-based UUID (RFC 4122 version 5) in a namespace of ours, so a resource that is written twice is
written to one place. `uuid` is not imported: it costs milliseconds at start-up that a digest does not.
"""

from __future__ import annotations

try:
    from _sha1 import sha1  # type: ignore[import-not-found]  # hashlib would load OpenSSL for this
except ImportError:  # a Python built without its own digests
    from hashlib import sha1

# The version 5 UUID of "https://ketafhir.org/fhir" in the RFC 4122 URL namespace; it must never change.
_NAMESPACE = bytes.fromhex("bbb3a6140c9a59c9a51c381193bbfb09")


def uuid5(name: str) -> str:
    """The id of the identity `name`, as 36 lower-case characters (a legal FHIR id, which may have 64)."""
    text = sha1(_NAMESPACE + name.encode("utf-8"), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"


def digest(content: str | bytes) -> str:
    """A SHA-1 in hexadecimal, to tell contents apart (not for security)."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    found: str = sha1(data, usedforsecurity=False).hexdigest()
    return found


def urn(resource_id: str) -> str:
    """The `fullUrl` under which a Bundle entry is referred to inside its Bundle."""
    return "urn:uuid:" + resource_id
