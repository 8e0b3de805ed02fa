"""Resource ids: the same identity gives the same id, on every machine and at every run.

An id is a name-based UUID (RFC 4122 version 5) in a namespace of ours, so a resource that is written twice is
written to one place. `uuid` and `hashlib` are not imported: they cost milliseconds at start-up that a digest does not.
"""

from __future__ import annotations

from functools import partial
from typing import Any

try:
    from _sha1 import sha1 as _own  # type: ignore[import-not-found]
except ImportError:  # a Python built without its own digests
    from hashlib import sha1

    _own = partial(sha1, usedforsecurity=False)

_FEW = 100  # digests of a command that translates a message or two; after these the 3 ms to load OpenSSL are worth it
_made = 0

# The version 5 UUID of "https://ketafhir.org/fhir" in the RFC 4122 URL namespace; it must never change.
_NAMESPACE = bytes.fromhex("bbb3a6140c9a59c9a51c381193bbfb09")


_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))  # RFC 4122: the upper two bits are 10


def _counted() -> Any:
    """SHA-1 by Python itself, until so many were made that OpenSSL's, four times as fast, is loaded."""
    global _made, _begun, _new  # what program this is shows as it runs
    _made += 1
    if _made > _FEW:
        from hashlib import sha1

        _new = partial(sha1, usedforsecurity=False)
        _begun = _new(_NAMESPACE).copy
    return _own(_NAMESPACE)


_new: Any = _own
_begun: Any = _counted
"""A SHA-1 that has seen the namespace: to copy one is faster than to begin one."""


def uuid5(name: str) -> str:
    """The id of the identity `name`, as 36 lower-case characters (a legal FHIR id, which may have 64)."""
    made = _begun()
    made.update(name.encode())
    text = made.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:32]}"


def digest(content: str | bytes) -> str:
    """A SHA-1 in hexadecimal, to tell contents apart (not for security)."""
    data = content.encode("utf-8") if isinstance(content, str) else content
    found: str = _new(data).hexdigest()
    return found


def urn(resource_id: str) -> str:
    """The `fullUrl` under which a Bundle entry is referred to inside its Bundle."""
    return "urn:uuid:" + resource_id
