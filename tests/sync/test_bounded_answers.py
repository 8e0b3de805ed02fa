"""Answers of a server that would fill the memory, or are packed in a way that cannot be trusted."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
from fhir_sink import BASE, bundle

from ketafhir.sync.answers import Bounded, TooLong
from ketafhir.sync.client import FhirClient, TransactionResult
from ketafhir.sync.outcome import Disposition

ONE = "Observation/0b6f3c7e-1111-5222-8333-444455556666"
BODY = b'{"resourceType":"Bundle","entry":[{"response":{"status":"200"}}]}'
FHIR = {"Content-Type": "application/fhir+json"}


def got(answer: httpx.Response, most: int = 4096) -> bytes:
    """The body as it comes through."""

    async def scenario() -> bytes:
        async with httpx.AsyncClient(transport=Bounded(httpx.MockTransport(lambda _: answer), most)) as client:
            return (await client.get("http://fhir.test/")).content

    return asyncio.run(scenario())


def sent(answer: httpx.Response) -> TransactionResult:
    async def scenario() -> TransactionResult:
        client = FhirClient(BASE, transport=httpx.MockTransport(lambda _: answer))
        try:
            return await client.transaction(bundle(ONE))
        finally:
            await client.aclose()

    return asyncio.run(scenario())


def packed(body: bytes, coding: str) -> httpx.Response:
    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    return httpx.Response(200, headers={**FHIR, "Content-Encoding": coding}, content=pieces())


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP", "deflate", "identity"])
def test_what_is_packed_comes_as_it_was(coding: str) -> None:
    pack = {"deflate": zlib.compress, "identity": bytes}.get(coding, gzip.compress)
    assert got(packed(pack(BODY), coding)) == BODY


def test_the_limit_itself_is_allowed() -> None:
    assert got(httpx.Response(200, content=b"x" * 4096)) == b"x" * 4096
    with pytest.raises(TooLong):
        got(httpx.Response(200, content=b"x" * 4097))


def test_an_answer_without_a_body_is_one() -> None:
    assert got(httpx.Response(204, headers={"Content-Encoding": "gzip"})) == b""


def test_a_small_answer_that_unpacks_to_a_gigabyte_is_given_up_in_bounded_memory() -> None:
    packing = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([*(packing.compress(b"a" * (1 << 20)) for _ in range(1024)), packing.flush()])
    answer = httpx.Response(200, headers={**FHIR, "Content-Encoding": "gzip"}, stream=httpx.ByteStream(bomb))
    tracemalloc.start()
    try:
        outcome = sent(answer).outcome
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert outcome.disposition is Disposition.AMBIGUOUS
    assert "too long" in outcome.text
    assert most < 128 << 20


@pytest.mark.parametrize(
    "answer",
    [
        packed(gzip.compress(gzip.compress(BODY)), "gzip, gzip"),
        packed(BODY, "br"),
        packed(b"not packed", "gzip"),
        packed(gzip.compress(BODY)[:-9], "gzip"),
    ],
    ids=["twice", "not asked for", "not at all", "cut off"],
)
def test_what_cannot_be_unpacked_may_have_been_done(answer: httpx.Response) -> None:
    outcome = sent(answer).outcome
    assert outcome.disposition is Disposition.AMBIGUOUS
    assert "unpacked" in outcome.text
