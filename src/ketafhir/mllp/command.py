"""`ketafhir send FILE mllp://host:port`: sends the messages of a file and prints each acknowledgment."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from ketafhir.errors import ConfigError, Refused, reason_of
from ketafhir.mllp.address import Address, parse_address

if TYPE_CHECKING:
    import ssl

Split = Callable[[bytes], Iterable[bytes]]
"""Cuts a file into its messages."""

_GOOD = ("AA", "CA")
_SEND = "name a file of messages that begin with MSH"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `run` reads."""
    parser.add_argument("file", metavar="FILE", help="HL7v2 messages, one after another; - is standard input")
    parser.add_argument("address", metavar="ADDRESS", help="the receiver, as mllp://host:port, or mllps:// for TLS")
    parser.add_argument(
        "--tls-ca", metavar="FILE", help="the authorities that sign receivers, in place of the system's"
    )
    parser.add_argument("--tls-cert", metavar="FILE", help="our certificate, for a receiver that asks for one")
    parser.add_argument("--tls-key", metavar="FILE", help="its private key")
    parser.add_argument(
        "--confirm", action="store_true", help="send give instructions (RGV) too: each may program a pump, once more"
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for each acknowledgment (default: %(default)g)",
    )


def run(args: argparse.Namespace, split: Split) -> int:
    """Send and print. 0: every acknowledgment is AA or CA; 1: one is not, or is missing; 2: wrong usage.

    A message that asks for no acknowledgment (MSH-15 and MSH-16 NE) counts as sent once it has left. Where
    one that asks for it gets none, the rest is not sent: its order would be lost.
    """
    try:
        address = parse_address(args.address)
        tls = _tls(args) if address.encrypted else None
        data = _read(args.file)
    except (ConfigError, OSError) as error:
        return _complain(reason_of(error), 2)
    try:
        messages = [terminated_by_cr(message) for message in split(data)]
    except Refused as error:
        return _complain(str(error), 1)
    if not messages:
        return _complain(f"{args.file} holds no HL7v2 message: {_SEND}", 1)
    for number, message in enumerate(messages, start=1):
        if not message.startswith(b"MSH"):
            return _complain(f"part {number} of {args.file} is not an HL7v2 message; nothing was sent: {_SEND}", 1)
    gives = [number for number, message in enumerate(messages, start=1) if _is_give(message)]
    if gives and not args.confirm:
        numbers = ", ".join(map(str, gives))
        return _complain(
            f"message {numbers} of {args.file} can program a pump (RGV), and may have done so before; nothing was sent. "
            "--confirm sends it",
            1,
        )
    return _send(messages, address, args.timeout, tls)


def _is_give(message: bytes) -> bool:
    """Whether MSH-9 says RGV, whatever the separators are."""
    header = re.split(rb"[\r\n]", message, maxsplit=1)[0].split(message[3:4])
    return len(header) > 8 and header[8].lstrip().upper().startswith(b"RGV")


def terminated_by_cr(message: bytes) -> bytes:
    """The message with CR after each segment, as MLLP carries it, by what ends its MSH.

    LF: every line end is one of segments. CR: CR and CRLF are, a bare LF is data. CRLF: as CR, but an LF
    before what can only be the next segment is one too, as in a file that was edited.
    """
    cr, lf = message.find(b"\r"), message.find(b"\n")
    if lf >= 0 and not 0 <= cr < lf:
        message = message.replace(b"\r\n", b"\r").replace(b"\n", b"\r")
    elif lf >= 0:
        message = message.replace(b"\r\n", b"\r")
        if lf == cr + 1:
            next_segment = rb"\n+(?=[A-Z][A-Z0-9]{2}" + re.escape(message[3:4]) + rb")"
            message = re.sub(next_segment, b"\r", message)
    return message.rstrip(b"\r\n") + b"\r"


def _send(messages: list[bytes], address: Address, timeout: float, tls: ssl.SSLContext | None) -> int:
    from ketafhir.mllp.acknowledgment import code, readable
    from ketafhir.mllp.send import send_all

    status = 0
    connect_timeout = min(timeout, 10.0)
    outcomes = send_all(
        messages, address.host, address.port, connect_timeout=connect_timeout, reply_timeout=timeout, tls=tls
    )
    for number, sent in enumerate(outcomes, start=1):
        for reply in sent.replies:
            sys.stdout.write(readable(reply) + "\n")
            if code(reply) not in _GOOD:
                status = 1
        sys.stdout.flush()
        if sent.error and sent.replies:
            _complain(f"message {number} was accepted, but its application has not answered: {sent.error}", 0)
        elif sent.error:
            left = len(messages) - number
            rest = f"; {left} more not sent" if left else ""
            outcomes.close()
            return _complain(f"message {number} of {len(messages)}: {sent.error}{rest}", 1)
    return status


def _tls(args: argparse.Namespace) -> ssl.SSLContext:
    from pathlib import Path

    from ketafhir.mllp.tls import connecting

    ca, cert, key = (Path(one) if one else None for one in (args.tls_ca, args.tls_cert, args.tls_key))
    return connecting(ca, cert, key)


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    with open(file, "rb") as stream:
        return stream.read()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return seconds


def _complain(text: str, status: int) -> int:
    sys.stderr.write(f"ketafhir send: {text}\n")
    return status
