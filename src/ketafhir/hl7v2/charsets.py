"""Bytes <-> text by MSH-18 (HL7 v2 chapter 2, MSH-18 and table 0211). Nothing is ever replaced silently.

An empty MSH-18 means ASCII by the standard and Latin-1 or UTF-8 in practice: the charset agreed with the peer
decides, and without one UTF-8 where the bytes are valid UTF-8.
"""

from __future__ import annotations

from ketafhir.errors import Refused, refused

BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")

# Table 0211, and the names that interface engines and their settings use for the same charsets.
_CODECS = {
    "ASCII": "ascii",
    "US-ASCII": "ascii",
    "UNICODE": "utf-8",  # "UNICODE" names no form; an MSH that could be read bytewise is UTF-8
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "UTF-16": "utf-16",
    "LATIN1": "iso8859-1",
    "LATIN-1": "iso8859-1",
    "WINDOWS-1252": "cp1252",
    "CP1252": "cp1252",
}
for _part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16):
    for _name in (f"8859/{_part}", f"ISO-8859-{_part}", f"ISO8859-{_part}"):
        _CODECS[_name] = f"iso8859-{_part}"

_TAKEN = "ASCII, 8859/1 to 8859/16 (there is no 12), UNICODE, UNICODE UTF-8, UNICODE UTF-16, WINDOWS-1252"


def codec_of(name: str, where: str = "MSH-18") -> str:
    """The Python codec of a charset name of table 0211 or of a setting. Raises `Refused` (103) for names we
    do not take."""
    codec = _CODECS.get(name.strip().upper().replace("_", "-")) if name.isascii() else None
    if codec is None:
        raise refused(
            "charset-unknown",
            "this character set is not known",
            where=where,
            value=name,
            hl7="103",
            hint=f"taken are {_TAKEN}",
        )
    return codec


def decode(data: bytes, charset: str | None = None) -> str:
    """The text of one message. `charset` is what was agreed with the peer; MSH-18 wins over it, then UTF-8.

    Raises `Refused`: MSH-18 unknown (103), or bytes that the charset does not have (102), with byte offset
    and segment.
    """
    if data[:2] in _UTF16_BOMS:
        return _decoded(data, "utf-16", "a UTF-16 byte order mark")
    if data.startswith(BOM):
        data = data[len(BOM) :]
    declared = msh_18(data)
    if declared:
        codec = codec_of(declared)
        if codec == "utf-16":
            raise refused(
                "charset-violated",
                "MSH-18 says UTF-16, but the segment was readable byte by byte",
                where="MSH-18",
                value=declared,
                hl7="102",
                hint="name the charset that was used",
            )
        return _decoded(data, codec, f"MSH-18 {declared!r}")
    if charset:
        return _decoded(data, codec_of(charset, "the charset setting"), f"the peer's charset {charset!r}")
    return _decoded(data, "utf-8", "UTF-8, which is assumed where MSH-18 is empty")


def encode(text: str, charset: str | None = None) -> bytes:
    """The bytes of one message, by its MSH-18, else by the `charset` agreed with the peer, else UTF-8.

    Raises `Refused` (102) at a character that the charset does not have, (103) for a charset that we do not
    take.
    """
    name = msh_18(text[:4096].encode("utf-8", "replace")) or charset
    codec = codec_of(name) if name else "utf-8"
    try:
        return text.encode(codec)
    except UnicodeEncodeError as error:
        raise refused(
            "charset-violated",
            f"{name or 'UTF-8'} has no character U+{ord(text[error.start]):04X}",
            where=_segment_at(text[: error.start]),
            value=text[error.start],
            hl7="102",
            hint="send in UNICODE UTF-8",
        ) from None


def msh_18(data: bytes) -> str:
    """The first repetition of MSH-18 (the default charset), read bytewise; '' when there is none."""
    start = data.find(b"MSH")
    if start < 0:
        return ""
    separator = data[start + 3 : start + 4]
    if not separator or separator in b"\r\n":
        return ""
    end = data.find(b"\r", start)
    header = data[start:end] if end >= 0 else data[start:]
    fields = header.partition(b"\n")[0].split(separator, 18)
    if len(fields) < 18:
        return ""
    repetition = fields[1][1:2]
    first = fields[17].split(repetition)[0] if repetition else fields[17]
    return first.decode("ascii", "replace").strip()


def _decoded(data: bytes, codec: str, why: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError as error:
        raise _undecodable(data, error, why) from None


def _undecodable(data: bytes, error: UnicodeDecodeError, why: str) -> Refused:
    offset = error.start
    before = data[:offset].decode("latin-1")
    return refused(
        "charset-violated",
        f"byte 0x{data[offset]:02X} at offset {offset} does not fit {why}",
        where=_segment_at(before),
        hl7="102",
        hint="send MSH-18, or set the charset of this peer",
    )


def _segment_at(before: str) -> str:
    """The segment that the text `before` ends in, as `OBX` or `OBX[3]`."""
    lines = before.replace("\n", "\r").split("\r")
    name = lines[-1][:3]
    occurrence = sum(line.startswith(name) for line in lines) if len(name) == 3 else 0
    return f"{name}[{occurrence}]" if occurrence > 1 else name
