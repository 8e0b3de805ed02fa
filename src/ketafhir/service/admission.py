"""What a listener takes at all, decided by the message header alone (MSH-3, -4, -9, -11, -12).

Messages that are not taken are rejected: AR in the original mode; in enhanced mode CR for MSH-9, -11 and -12
and CE for anything else (HL7 v2 chapter 2, 2.9.3).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ketafhir.errors import Issue, Refused
from ketafhir.hl7v2.er7 import Message
from ketafhir.translate import incoming

_BY_HEADER = ("200", "201", "202", "203")  # table 0357: message type, event, processing id, version


@dataclass(slots=True, frozen=True)
class Policy:
    """`sending`: the (MSH-3.1, MSH-4.1) taken here, all where it is empty."""

    processing_ids: Collection[str] = ("P",)
    reject_unsupported: bool = False
    sending: Collection[tuple[str, str]] = ()


def supported(message: Message) -> bool:
    """Whether it is one that is translated."""
    return incoming.supported(message)


def admit(message: Message, policy: Policy) -> None:
    """Raises Refused where the message is not taken here. A type that is kept untranslated is admitted."""
    if message.processing_id not in policy.processing_ids:
        raise _rejected(
            "processing-id", "this processing id is not taken here", "MSH-11", message.processing_id,
            f"taken are {', '.join(sorted(policy.processing_ids))}", "202",
        )  # fmt: skip
    if policy.sending and message.sender not in policy.sending:
        raise _rejected(
            "sender-unknown", "this sender is not taken here", "MSH-3", "|".join(message.sender),
            "add it to `sending` of this listener", "103",
        )  # fmt: skip
    if not supported(message):
        if policy.reject_unsupported:
            raise incoming.unsupported(message)
    elif message.version not in incoming.VERSIONS:
        raise _rejected(
            "version-unknown", "not a version of HL7 v2 that is read", "MSH-12", message.msh.get(12),
            "send 2.3 to 2.8.2", "203",
        )  # fmt: skip


def by_header(refusal: Refused) -> bool:
    """Whether it was refused for MSH-9, -11 or -12."""
    return any(issue.hl7 in _BY_HEADER for issue in refusal.issues if issue.severity == "error")


def _rejected(code: str, text: str, where: str, value: str, hint: str, hl7: str) -> Refused:
    return Refused(Issue("error", code, text, where=where, value=value, hint=hint, hl7=hl7, reject=True))
