"""Answers of a server in bounded memory: a transport that unpacks them itself and stops where they are too long.

A thousand bytes may unpack to a million, and an answer need not end at all. It holds for whatever the client asks, a sign-in
and an answer that is only read to be thrown away among them.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from typing import cast

import httpx

MAX_BYTES = 32 * 1024 * 1024  # a page of a search, or the CapabilityStatement of a large server, has a few MiB
_PIECE = 1024 * 1024
_AS_IT_IS = ("", "identity")
_PACKED = ("gzip", "x-gzip", "deflate")
_OF_THE_WIRE = (b"content-encoding", b"content-length")


class TooLong(httpx.TransportError):
    """An answer of more than the bytes that are taken."""


class Bounded(httpx.AsyncBaseTransport):
    """The answers that come through `inner`, unpacked, each of at most `most` bytes.

    Raises TooLong while a longer one is read, and httpx.DecodingError for one that cannot be unpacked.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport, most: int = MAX_BYTES) -> None:
        self._inner = inner
        self._most = most

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Asks for gzip or nothing, since no other way of packing is unpacked piece by piece."""
        request.headers["Accept-Encoding"] = "gzip"
        answer = await self._inner.handle_async_request(request)
        coding = answer.headers.get("content-encoding", "").strip().lower()
        body = cast(httpx.AsyncByteStream, answer.stream)
        if coding not in (*_AS_IT_IS, *_PACKED):
            await body.aclose()
            raise httpx.DecodingError("packed in a way that was not asked for", request=request)
        headers = answer.headers.raw
        if coding in _PACKED:
            headers = [(name, value) for name, value in headers if name.lower() not in _OF_THE_WIRE]
        stream = _Stream(body, coding in _PACKED, self._most, request)
        return httpx.Response(answer.status_code, headers=headers, stream=stream, extensions=answer.extensions)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Stream(httpx.AsyncByteStream):
    def __init__(self, body: httpx.AsyncByteStream, packed: bool, most: int, request: httpx.Request) -> None:
        self._body = body
        self._packed = packed
        self._most = most
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for piece in self._unpacked() if self._packed else self._body:
            size += len(piece)
            if size > self._most:
                raise TooLong(f"more than {self._most} bytes", request=self._request)
            yield piece

    async def _unpacked(self) -> AsyncIterator[bytes]:
        """Never more than a piece at a time, whatever it was packed from."""
        unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, as its beginning says
        came = False
        try:
            async for packed in self._body:
                came = came or bool(packed)
                rest = packed
                while rest and not unpacking.eof:
                    yield unpacking.decompress(rest, _PIECE)
                    rest = unpacking.unconsumed_tail
        except zlib.error as error:
            raise httpx.DecodingError("not packed as it says", request=self._request) from error
        if came and not unpacking.eof:
            raise httpx.DecodingError("the packed answer broke off", request=self._request)

    async def aclose(self) -> None:
        await self._body.aclose()
