"""HL7v2 text to records: decode, parse, walk the groups, and hand each to the module that owns it."""

from __future__ import annotations

from collections.abc import Callable

from ketafhir.errors import Issue, Refused, refused
from ketafhir.fhir.ids import digest
from ketafhir.hl7v2 import er7
from ketafhir.hl7v2.escapes import unescape
from ketafhir.hl7v2.groups import Patient as PatientGroup
from ketafhir.hl7v2.groups import Walked, walk
from ketafhir.hl7v2.respell import respelled
from ketafhir.mapping.codecs.identifiers import SENDER, whole_hd
from ketafhir.therapy.records import Source
from ketafhir.translate import mentions, patients
from ketafhir.translate.reading import Account, Reading
from ketafhir.translate.settings import Settings
from ketafhir.translate.writing import sender_urn

VERSIONS = ("2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.1", "2.8.2")
MSH, EVN = "MSH_to_Provenance", "EVN_to_Provenance"


# A module is imported with the first message it reads: a command that translates one message loads no other's.
def _orders(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import order_segments

    order_segments.read(reading, group)
    if any(not (order.rxo or order.rxe) for order in group.orders):
        from ketafhir.translate import order_status

        order_status.read(reading, group)


def _gives(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import gives

    _orders(reading, group)
    gives.read(reading, group)


def _observations(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import observations

    observations.read(reading, group)


def _order_details(reading: Reading, group: PatientGroup) -> None:
    if any(order.rxo or order.rxe for order in group.orders):
        from ketafhir.translate import order_segments

        order_segments.read(reading, group)


def _administrations(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import administrations

    _order_details(reading, group)
    administrations.read(reading, group)


def _pump_events(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import pumps

    pumps.read(reading, group)


def _alarms(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import pumps

    pumps.read_alarms(reading, group)


def _dispenses(reading: Reading, group: PatientGroup) -> None:
    from ketafhir.translate import dispenses

    _order_details(reading, group)
    dispenses.read(reading, group)


def _patient_only(reading: Reading, group: PatientGroup) -> None:
    """ADT tells the patient and the visit, which are read for every message."""


ADT = ("A01", "A02", "A03", "A04", "A05", "A06", "A07", "A08", "A11", "A12", "A13", "A28", "A31", "A40")
"""The events of patient and visit that are read and written."""
READERS: dict[tuple[str, str], Callable[[Reading, PatientGroup], None]] = {
    **dict.fromkeys((("ADT", event) for event in ADT), _patient_only),
    ("RDE", "O11"): _orders,
    ("RDE", "O25"): _orders,
    ("RDE", "O01"): _orders,
    ("OMP", "O09"): _orders,
    ("ORM", "O01"): _orders,
    ("ORR", "O02"): _orders,
    ("ORP", "O10"): _orders,
    ("RRE", "O12"): _orders,
    ("RRE", "O26"): _orders,
    ("RRE", "O02"): _orders,
    ("RGV", "O15"): _gives,
    ("RGV", "O01"): _gives,
    ("RRG", "O16"): _gives,
    ("RRG", "O02"): _gives,
    ("RAS", "O17"): _administrations,
    ("RAS", "O01"): _administrations,
    ("RDS", "O13"): _dispenses,
    ("RDS", "O01"): _dispenses,
    ("ORU", "R01"): _observations,
    ("ORU", "R42"): _pump_events,
    ("ORU", "R40"): _alarms,
}
"""The messages that are translated: message code and trigger event, and the module that reads their groups.

2.3 and 2.3.1 have the pharmacy messages under O01 only, and their answers under O02.
"""
_ANSWERS = frozenset(("ORR", "ORP", "RRE", "RRG"))
_MSH_2 = len("MSH|^~\\&")
_ORDINARY = bytes({*range(256)} - {*range(32)} | {9, 10, 13})
_OTHER_ORDERS = frozenset(("OBR", "RQD", "RQ1", "ODS", "ODT"))


def parse(data: str | bytes, charset: str | None = None) -> er7.Message:
    """One message, in the standard separators. Raises Refused."""
    raw = data if isinstance(data, bytes) else data.encode(errors="surrogatepass")
    message = er7.parse(er7.decode(data, charset) if isinstance(data, bytes) else data)
    written_otherwise = message.separators is not er7.DEFAULT
    if written_otherwise:
        message = respelled(message, er7.DEFAULT)
    escaped = raw.find(b"\\", _MSH_2) >= 0 and b"\\X" in raw  # the first is much faster, and most messages have none
    if written_otherwise or escaped or raw.translate(None, _ORDINARY):
        _check_characters(message)
    return message


def _check_characters(message: er7.Message) -> None:
    """FHIR R4 (datatypes.html#string) has no control character but tab, CR and LF; databases behind it do not take NUL."""
    from ketafhir.fhir.guard import CONTROL

    for segment in message.segments:
        for number, field in enumerate(segment.fields):
            if field.isprintable() and "\\X" not in field:
                continue
            if found := CONTROL.search(field if number < 3 and segment.name == "MSH" else unescape(field, er7.DEFAULT)):
                raise refused(
                    "control-character", "a control character in a text, which FHIR cannot hold",
                    where=message.where(segment, number), value=f"U+{ord(found[0]):04X}",
                    hint="send the text without it", hl7="102",
                )  # fmt: skip


def supported(message: er7.Message) -> bool:
    """Whether a message is translated, by its type; of the general order messages (ORM, ORR) only those of drugs are."""
    return (message.code, message.event) in READERS and not _of_other_orders(message)


def _of_other_orders(message: er7.Message) -> bool:
    """Whether an ORM or ORR is about a laboratory test, a diet, supplies ..., and about no drug."""
    if message.code not in ("ORM", "ORR"):
        return False
    names = {segment.name for segment in message.segments}
    return bool(names & _OTHER_ORDERS) and not any(name[:2] == "RX" for name in names)


def unsupported(message: er7.Message) -> Refused:
    """The refusal of a message type that no module reads."""
    if _of_other_orders(message):
        return Refused(
            Issue(
                "error", "unsupported-message", f"{message.code}^{message.event} of what is no drug is not translated",
                where="MSH-9", value=message.msh.get(9), hint="pharmacy orders have an RXO or RXE", hl7="200",
            )
        )  # fmt: skip
    known = ", ".join(sorted({f"{code}^{event}" for code, event in READERS}))
    other_event = any(code == message.code for code, _ in READERS)
    return Refused(
        Issue(
            "error", "unsupported-message", f"{message.code}^{message.event} is not translated", where="MSH-9",
            value=message.msh.get(9), hint=f"translated are {known}", hl7="201" if other_event else "200",
        )
    )  # fmt: skip


def read(message: er7.Message, settings: Settings) -> Reading:
    """The records of one message. Raises Refused: all of it or nothing."""
    if not supported(message):
        raise unsupported(message)
    reader = READERS[message.code, message.event]
    if message.version not in VERSIONS:
        raise Refused(
            Issue("error", "version-unknown", "not a version of HL7 v2 that is read", where="MSH-12",
                  value=message.msh.get(12), hint="send 2.3 to 2.8.2", hl7="203")
        )  # fmt: skip
    reading = _start(message, walk(message), settings)
    for group in reading.walked.patients:
        if group.pid is not None or message.code not in _ANSWERS:
            if message.code == "ADT":
                patients.read(reading, group, owned=True)
            else:
                mentions.read(reading, group)
        reader(reading, group)
    if not reading.walked.patients and message.code not in _ANSWERS:
        raise Refused(Issue("error", "patient-missing", "there is no PID segment", where="PID", hl7="100"))
    return reading


def _start(message: er7.Message, walked: Walked, settings: Settings) -> Reading:
    """MSH and EVN as the source of all that follows."""
    application, facility = message.sender
    c = settings.context(SENDER + (facility or application))
    summed = digest(message.text)
    source = Source(key=f"{facility}|{application}|{message.control_id}|{summed}")
    reading = Reading(message, walked, settings.tables, c, source, summed)
    values = reading.read(message.msh, MSH)
    if walked.evn is not None:
        values.update(reading.read(walked.evn, EVN))
    reading.nulls()
    source.application, source.facility = whole_hd(message.msh.get(3)), whole_hd(message.msh.get(4))
    for name, value in values.items():
        setattr(source, name, value)
    if source.sent is None:
        raise Refused(
            Issue("error", "time-missing", "MSH-7, the time of the message, is empty", where="MSH-7", hl7="101",
                  hint="send it: it orders competing versions of one record")
        )  # fmt: skip
    source.event = source.event.split("~")[0]
    reading.sender = sender_urn(source.application, source.facility)
    reading.told = (source.sent.at, summed)
    reading.records.sources[source.key] = source
    for segment in (*walked.software, *walked.others):
        if segment.name[0] == "Z":
            source.preserved += reading.keep(segment)
        else:
            reading.drop(segment, "it describes software or transport, not therapy")
    for _, note in walked.notes:
        reading.accounts.append(Account(note, None, "a note on the message as a whole has no place"))
    return reading
