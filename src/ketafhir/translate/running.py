"""One run of a translation: input of any kind, and as many messages as it has, to one output.

The command line and the service run the same; nothing is gathered in memory but FHIR input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ketafhir.errors import Issue, Refused

if TYPE_CHECKING:
    from ketafhir.translate.outputs import Findings, Rejects, Report
    from ketafhir.translate.session import Session
    from ketafhir.translate.settings import Settings


class Asked(NamedTuple):
    """What is to be made of the input: `to` is fhir, hl7v2 or therapy; `message` and `version` go with hl7v2."""

    to: str
    message: str | None = None
    version: str | None = None
    strict: bool = False


def as_they_are(messages: Iterator[bytes]) -> Iterator[bytes]:
    """No progress to be shown."""
    return messages


class Run(NamedTuple):
    """What is asked, and where everything goes. `name` is what the input is called in findings."""

    asked: Asked
    settings: Settings
    issues: Findings
    out: BinaryIO
    name: str
    report: Report | None = None
    rejects: Rejects | None = None
    progress: Callable[[Iterator[bytes]], Iterator[bytes]] = as_they_are


def translate(run: Run, source: Iterator[bytes]) -> bool:
    """Read the first bytes to tell what the input is, and translate it. Gives whether anything was refused."""
    first = b""
    for chunk in source:
        first += chunk
        if first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00"):
            break
    start = first.lstrip(b"\xef\xbb\xbf \t\r\n\x0b\x00")[:1]
    try:
        if start in (b"{", b"["):
            return _from_fhir(run, first + b"".join(source))
        if start in (b"M", b"F", b"B") or first[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return _from_hl7v2(run, _chain(first, source))
    except Refused as refusal:
        run.issues.extend(refusal.issues)
        return True
    text = "the input is empty" if not start else "the input is neither HL7v2 (MSH...) nor JSON"
    hint = "send HL7v2 messages or a FHIR resource"
    if start == b"<":
        text, hint = "the input is XML, which is not read", "send FHIR as JSON, HL7v2 with delimiters (|^~\\&)"
    run.issues.extend([Issue("error", "input-unknown", text, where=run.name, hint=hint, hl7="100")])
    return True


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _from_fhir(run: Run, data: bytes) -> bool:
    from ketafhir.fhir import json, ndjson
    from ketafhir.translate import bundle_losses, losses, outgoing
    from ketafhir.translate.writing import sender_urn

    asked, settings = run.asked, run.settings
    value = ndjson.loads(data)
    taking = outgoing.take(value, settings)
    if asked.to == "hl7v2":
        made = outgoing.compose(outgoing.outbound(taking), settings, asked.message, asked.version)
        out = "".join(made).encode()
        if asked.strict:
            _check_strict(out, taking.c.issues)
        run.out.write(out)
    elif asked.to == "therapy":
        _write_records(run, taking.records)
    else:
        from ketafhir.translate.session import render_records

        source = sender_urn(*outgoing.outbound(taking).senders.get("", ("", "")))
        run.out.write(json.dumps(render_records(taking.records, settings, taking.c, source)) + b"\n")
    run.issues.extend(taking.c.issues)
    if run.report is not None:
        run.report.add(losses.summary(bundle_losses.of_bundle(taking, settings.tables)))
    return False


def _from_hl7v2(run: Run, source: Iterator[bytes]) -> bool:
    from ketafhir.fhir import json
    from ketafhir.hl7v2.batch import counted
    from ketafhir.hl7v2.stream import split_batches
    from ketafhir.translate import losses
    from ketafhir.translate.incoming import parse
    from ketafhir.translate.session import Session

    asked, issues = run.asked, run.issues
    session = Session(run.settings)
    refused = False
    count = 0
    any_taken = False
    miscounts: list[Issue] = []
    for count, data in enumerate(run.progress(counted(split_batches(source), miscounts)), 1):
        if count > 1:
            issues.make_room()
        try:
            message = parse(data)
            found = _strict(message) if asked.strict else []
            step = session.take(message)
        except Refused as refusal:
            refused = True
            issues.extend(_numbered(refusal.issues, count))
            if run.rejects is not None:
                run.rejects.add(data, count, refusal.issues)
            continue
        any_taken = True
        if run.report is not None:
            run.report.add({"message": count, **losses.summary(losses.of_message(message, step.reading))})
        issues.extend(_numbered([*found, *step.issues], count))
        if asked.to == "fhir":
            run.out.write(json.dumps(step.bundle) + b"\n")
    if not count:
        raise Refused(
            Issue("error", "input-unknown", "there is no HL7v2 message in the input", where=run.name, hl7="100")
        )
    issues.extend(miscounts)
    if count == 1:
        issues.held[:] = [_unnumbered(issue) for issue in issues.held]
    if any_taken and asked.to == "therapy":
        from ketafhir.translate import last_state

        for piece in last_state.as_json(session):
            run.out.write(piece)
    elif any_taken and asked.to == "hl7v2":
        refused = _write_messages(run, session) or refused
    return refused


def _write_messages(run: Run, session: Session) -> bool:
    """The last state of each person as HL7v2. What is refused of one keeps nothing of another back."""
    from ketafhir.translate import last_state, messages, outgoing

    wanted, settings = run.asked.message, run.settings
    outgoing.check_wanted(wanted)
    version = outgoing.version_of(settings, run.asked.version)
    gives, written, refused = 0, False, False
    for records, senders in last_state.persons(session):
        run.issues.make_room()
        c = settings.context()
        try:
            out = messages.Outbound(records, c, senders)
            made = outgoing.as_version(messages.of_person(out, settings, wanted), version, c)
            text = "".join(made).encode()
            if run.asked.strict:
                _check_strict(text, c.issues)
        except Refused as refusal:
            run.issues.extend(refusal.issues)
            refused = True
            continue
        gives += sum(one.intent == "give" for one in records.orders.values())
        written = written or bool(made)
        run.out.write(text)
        run.issues.extend(c.issues)
    c = settings.context()
    if wanted != "RGV^O15":
        outgoing.leave_gives(c, gives)
    run.issues.extend(c.issues)
    if not written and not refused:
        raise outgoing.nothing_to_write(wanted, "the input")
    return refused


def _numbered(issues: list[Issue], count: int) -> list[Issue]:
    """Issues of one message among several name the message."""
    from ketafhir.plain import replace

    return [replace(issue, where=f"message {count}: {issue.where}".rstrip(": ")) for issue in issues]


def _unnumbered(issue: Issue) -> Issue:
    from ketafhir.plain import replace

    return replace(issue, where=issue.where.removeprefix("message 1: ").removeprefix("message 1"))


def _strict(message: Any) -> list[Issue]:
    """What hl7apy finds, with the structures it cannot check. Raises Refused where there is an error among it."""
    from ketafhir.hl7v2.groups import walk
    from ketafhir.hl7v2.strict import check

    found = check(message, walk(message))
    if any(issue.severity == "error" for issue in found):
        raise Refused(*found)
    return found


def _check_strict(out: bytes, issues: list[Issue]) -> None:
    """The same for what is written. Raises Refused, with the findings there were before."""
    from ketafhir.hl7v2.stream import split_messages
    from ketafhir.translate.incoming import parse

    for data in split_messages(out):
        try:
            issues.extend(_strict(parse(data)))
        except Refused as refusal:
            raise Refused(*issues, *refusal.issues) from None


def _write_records(run: Run, records: Any) -> None:
    from ketafhir.fhir import json
    from ketafhir.therapy.asjson import dump

    run.out.write(json.dumps(dump(records), indent=True) + b"\n")
