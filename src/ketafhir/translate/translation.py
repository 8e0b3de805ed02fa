"""What a translation gives, and the functions of the public API."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from itertools import chain
from typing import Any

from ketafhir.errors import Issue, Refused
from ketafhir.fhir import json
from ketafhir.hl7v2.er7 import Message
from ketafhir.hl7v2.stream import split_messages
from ketafhir.mapping.paths import Json
from ketafhir.therapy.records import Records
from ketafhir.translate import alone, bundle_losses, incoming, losses, outgoing
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import Settings, default


class Translation:
    """One translation: `.bundle` (numbers as Decimal) or `.text`, `.json()`, `.issues`, and lazily `.records`, `.losses`
    and `.resources()`.

    `.bundle` is a transaction Bundle (of `to_fhir`), `.text` ER7 with CR between segments (of `to_hl7v2`).
    """

    def __init__(
        self,
        *,
        bundle: Json | None = None,
        text: str = "",
        issues: list[Issue],
        records: Callable[[], Records],
        losses: Callable[[], list[losses.Loss]],
    ) -> None:
        self.text, self.issues = text, issues
        self._made = bundle
        self._records, self._losses = records, losses

    @cached_property
    def bundle(self) -> Json | None:
        """The Bundle, the caller's own: what was made here shares parts with the Bundles of other messages."""
        self._made = json.copied(self._made)
        return self._made

    def json(self) -> bytes:
        """The Bundle as UTF-8 JSON, decimals as they were read. Raises ValueError of a translation to HL7v2."""
        if self._made is None:
            raise ValueError("a translation to HL7v2 has .text and no Bundle")
        return json.dumps(self._made)

    @cached_property
    def records(self) -> Records:
        """The therapy records in between."""
        return self._records()

    @cached_property
    def losses(self) -> list[losses.Loss]:
        """What became of each populated field or element: mapped, preserved, or dropped with a reason."""
        return self._losses()

    def resources(self) -> list[Any]:
        """The resources of the Bundle as fhir.resources models (R4B), shape-checked; of `.text`, none."""
        from ketafhir.fhir.check import typed

        return [typed(entry["resource"]) for entry in (self.bundle or {}).get("entry", ())]


def to_fhir(
    message: str | bytes,
    *,
    timezone: str | None = None,
    site: str | None = None,
    authorities: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Translation:
    """One HL7v2 message as a FHIR R4 transaction Bundle.

    `timezone` is the IANA name of the sender's zone, needed where times come without offset; `site` the folder (or name) of a
    site overlay; `authorities` the FHIR system of each assigning authority by its name, and `default`, the one of patient numbers
    that name none. Raises Refused, with `.issues`, for a message that must not be guessed at, and for several messages.
    """
    settings = settings or _settings(timezone, site, authorities)
    return _translation(lambda told: alone.take(told, settings), message)


def _settings(timezone: str | None, site: str | None, authorities: Mapping[str, str] | None) -> Settings:
    return default(timezone, site, tuple(authorities.items()) if authorities else ())


def iter_fhir(
    stream: str | bytes | Iterable[str] | Iterable[bytes],
    *,
    timezone: str | None = None,
    site: str | None = None,
    authorities: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Iterator[Translation | Refused]:
    """Many messages, folded: one Translation each, in input order; a refused message gives its Refused and changes nothing."""
    session = Session(settings or _settings(timezone, site, authorities))
    for data in _messages(stream):
        try:
            yield _translation(session.take, data)
        except Refused as refusal:
            yield refusal


def _messages(stream: str | bytes | Iterable[str] | Iterable[bytes]) -> Iterator[str | bytes]:
    """The messages of a text, of bytes, or of an open file of either; text is not decoded again by its MSH-18."""
    if isinstance(stream, bytes):
        yield from split_messages(stream)
        return
    chunks = iter([stream] if isinstance(stream, str) else stream)
    first = next(chunks, b"")
    whole = chain([first], chunks)
    if isinstance(first, bytes):
        yield from split_messages(whole)  # type: ignore[arg-type]  # a stream is of one kind throughout
        return
    encoded = (str(chunk).encode("utf-8") for chunk in whole)
    for data in split_messages(encoded):
        yield data.decode("utf-8")


def _translation(take: Callable[[Message], Step], data: str | bytes) -> Translation:
    message = incoming.parse(_unwrapped(data))
    step = take(message)
    return Translation(
        bundle=step.bundle,
        issues=step.issues,
        records=lambda: step.told,
        losses=lambda: losses.of_message(message, step.reading),
    )


def _unwrapped(data: str | bytes) -> str | bytes:
    """A message without the batch envelope around it. Several messages stay together, to be refused."""
    if data[:3] not in ("FHS", "BHS", b"FHS", b"BHS"):
        return data
    found = list(_messages(data))
    if len(found) == 1:
        return found[0]
    return "".join(one if isinstance(one, str) else one.decode("latin-1") + "\r" for one in found)


def to_hl7v2(
    bundle: str | bytes | dict[str, Any],
    *,
    timezone: str | None = None,
    message: str | None = None,
    version: str | None = None,
    site: str | None = None,
    authorities: Mapping[str, str] | None = None,
    settings: Settings | None = None,
) -> Translation:
    """A FHIR Bundle (of any type) or resource as HL7v2: `.text` holds every message it makes, one after another.

    `message` picks one type (`RAS^O17`), `version` the version of HL7 v2 (2.3 to 2.8.1; default: the site's, else 2.5.1): what
    it has no place for is left out with the warning `version-loss`. Raises Refused.
    """
    settings = settings or _settings(timezone, site, authorities)
    value = json.loads(bundle) if isinstance(bundle, (str, bytes)) else bundle
    taking = outgoing.take(value, settings)
    texts = outgoing.compose(outgoing.outbound(taking), settings, message, version)
    return Translation(
        text="".join(texts),
        issues=taking.c.issues,
        records=lambda: taking.records,
        losses=lambda: bundle_losses.of_bundle(taking, settings.tables),
    )
