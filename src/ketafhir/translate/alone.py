"""One message by itself: nothing was told before, and nothing will follow.

A `Session` would make the same of it, and would keep at hand whatever the next message may need. Most of what is sent are
observations, of which one message tells all there is to tell: these are rendered as they are read.
"""

from __future__ import annotations

from ketafhir.hl7v2.er7 import Message
from ketafhir.mapping.context import no_reference
from ketafhir.therapy.records import Records
from ketafhir.translate import clock, incoming, mentions, observations, provenance
from ketafhir.translate.session import Session, Step
from ketafhir.translate.settings import Settings
from ketafhir.translate.writing import Writing, sender_urn


def take(message: Message, settings: Settings) -> Step:
    """What `Session.take` gives of a first message. Raises Refused."""
    reading = incoming.read(message, settings)
    told = reading.records
    if settings.tables.z_tables or not _observes_only(told):
        return Session(settings).fold_in(reading)
    c, source = reading.c, reading.source
    c.segment = None
    writing = Writing(told, settings.tables, c, sender_urn(source.application, source.facility))
    writing.templates = reading.templates
    writing.as_text = True
    mentions.render(writing, told, reading.mention)
    observations.render(writing, told, told)
    provenance.render(writing, source, settings)
    c.issues += clock.check(told, source, settings)
    c.link = no_reference  # else context and writer would hold each other until the garbage collector comes
    return Step(writing.entries.transaction(), c.issues, told, reading)


def _observes_only(told: Records) -> bool:
    """Whether all that is told was observed, of a patient who is known to others."""
    if told.orders or told.administrations or told.wastes or told.dispenses or told.merges:
        return False
    return not any(one.owned for one in told.patients.values())
