"""One run of a translation: input of any kind, and as many messages as it has, to one output.

The command line and the service run the same; nothing is gathered in memory but FHIR input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from ketafhir.errors import Issue, Refused

if TYPE_CHECKING:
    from ketafhir.hl7v2.er7 import Message
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
    run.issues.extend([Issue("error", "input-unknown", text, where=run.name, hint=hint, hl7="100")])
    return True


def _chain(first: bytes, rest: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _from_fhir(run: Run, data: bytes) -> bool:
    from ketafhir.fhir import json
    from ketafhir.translate import bundle_losses, losses, outgoing
    from ketafhir.translate.writing import sender_urn

    asked, settings = run.asked, run.settings
    value = json.loads(data)
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
    taken: Message | None = None
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
        taken = message
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
    if taken is not None and asked.to != "fhir":
        _write_last_state(run, session, taken.sender)
    return refused


def _write_last_state(run: Run, session: Session, sender: tuple[str, str]) -> None:
    """What all messages of the input amount to, as records or written back to HL7v2."""
    from ketafhir.therapy.settled import settle

    records = settle(session.history)
    if run.asked.to == "therapy":
        _write_records(run, records)
        return
    from ketafhir.translate import outgoing
    from ketafhir.translate.provenance import event_of

    out = outgoing.Outbound(records, run.settings.context(), {"": sender}, event_of(records))
    made = outgoing.compose(out, run.settings, run.asked.message, run.asked.version)
    text = "".join(made).encode()
    if run.asked.strict:
        _check_strict(text, out.c.issues)
    run.out.write(text)
    run.issues.extend(out.c.issues)


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
