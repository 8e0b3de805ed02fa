"""Resource ids: the same identity gives the same id, on every machine and at every run.

An id is a name-based UUID (RFC 4122 version 5) in a namespace of ours, so a resource that is written twice is
written to one place. `uuid` and `hashlib` are not imported: they cost milliseconds at start-up that a digest does not.
"""

from __future__ import annotations

from typing import Any

try:
    from _sha1 import sha1 as _own  # type: ignore[import-not-found]
except ImportError:  # a Python built without its own digests
    from hashlib import sha1 as _own

_FEW = 100  # digests of a command that translates a message or two; after these the 3 ms to load OpenSSL are worth it
_made = 0

# The version 5 UUID of "https://ketafhir.org/fhir" in the RFC 4122 URL namespace; it must never change.
_NAMESPACE = bytes.fromhex("bbb3a6140c9a59c9a51c381193bbfb09")


_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # RFC 4122: the upper two bits are 10


def _counted(data: bytes, *, usedforsecurity: bool) -> Any:
    """SHA-1 by Python itself, until so many were made that OpenSSL's, four times as fast, is loaded."""
    global _made, _sha1  # what program this is shows as it runs
    _made += 1
    if _made > _FEW:
        from hashlib import sha1

        _sha1 = sha1
    return _own(data, usedforsecurity=usedforsecurity)  # noqa: S324  # names are told apart, nothing is secured


_sha1: Any = _counted


def uuid5(name: str) -> str:
    """The id of the identity `name`, as 36 lower-case characters (a legal FHIR id, which may have 64)."""
    text = _sha1(_NAMESPACE + name.encode("utf-8"), usedforsecurity=False).hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:32]}"


def digest(content: str | bytes) -> str:
    """A SHA-1 in hexadecimal, to tell contents apart (not for security)."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    found: str = _sha1(data, usedforsecurity=False).hexdigest()
    return found


def urn(resource_id: str) -> str:
    """The `fullUrl` under which a Bundle entry is referred to inside its Bundle."""
    return "urn:uuid:" + resource_id
