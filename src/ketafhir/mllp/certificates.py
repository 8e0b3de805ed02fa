"""Until when certificates hold, read from PEM files without any package (RFC 5280, 4.1: the Validity of a TBSCertificate)."""

from __future__ import annotations

import re
import ssl
from datetime import UTC, datetime
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_VERSION, _UTC_TIME, _GENERALIZED_TIME = 0xA0, 0x17, 0x18


def ends(file: Path) -> list[datetime]:
    """When each certificate of the file ends, in its order. Raises OSError, and ValueError where it holds none."""
    found = [_not_after(ssl.PEM_cert_to_DER_cert(one)) for one in _PEM.findall(file.read_text("ascii", "replace"))]
    if not found:
        raise ValueError("no certificates in PEM")
    return found


def _not_after(certificate: bytes) -> datetime:
    _, signed, _ = _element(certificate)
    _, rest, _ = _element(signed)
    if rest[:1] == bytes([_VERSION]):
        _, _, rest = _element(rest)
    for _ in range(3):  # serial number, algorithm, issuer
        _, _, rest = _element(rest)
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)  # notBefore
    kind, text, _ = _element(rest)
    if kind not in (_UTC_TIME, _GENERALIZED_TIME):
        raise ValueError("a certificate without an end")
    digits = text.decode("ascii", "replace")
    if kind == _UTC_TIME:  # 50 to 99 are of the century before (4.1.2.5.1)
        digits = ("19" if digits >= "5" else "20") + digits
    return datetime.strptime(digits, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The tag and content of the first element in DER, and what follows it."""
    if len(data) < 2:
        raise ValueError("a certificate that breaks off")
    size, start = data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("a certificate that breaks off")
    return data[0], data[start : start + size], data[start + size :]
