"""MSH-15 and MSH-16, MSA and ERR as a sender sees them (HL7 v2 2.9; table 0155)."""

from __future__ import annotations

import pytest
from mllp_peers import ack, message

from ketafhir.mllp.acknowledgment import answers, choreography, code, readable, reasons


@pytest.mark.parametrize(
    ("accept", "application", "first", "second"),
    [
        ("", "", "certain", "none"),
        ("AL", "NE", "certain", "none"),
        ("AL", "", "certain", "none"),
        ("AL", "AL", "certain", "certain"),
        ("AL", "ER", "certain", "perhaps"),
        ("ER", "NE", "perhaps", "none"),
        ("SU", "SU", "perhaps", "perhaps"),
        ("NE", "AL", "certain", "certain"),
        ("", "AL", "certain", "certain"),
        ("NE", "SU", "perhaps", "perhaps"),
        ("NE", "NE", "none", "none"),
        ("", "NE", "none", "none"),
        ('""', '""', "certain", "none"),
        ("NE", '""', "none", "none"),
        ("al", "ne", "certain", "none"),
        ("XX", "NE", "certain", "none"),
    ],
)
def test_what_a_message_asks_for(accept: str, application: str, first: str, second: str):
    assert choreography(message("M1", accept, application)) == (first, second)


def test_a_short_msh_asks_for_the_original_mode():
    assert choreography(b"MSH|^~\\&|A|B") == ("certain", "none")


def test_a_reply_answers_by_msa_2():
    answered = answers(message("M1"))
    assert answered(ack("AA", "M1"))
    assert answered(ack("AE", "M1").replace(b"|", b"$"))
    assert answered(b"\r\n" + ack("AA", "M1"))
    assert answered(b"\xef\xbb\xbf" + ack("AA", "M1"))
    assert not answered(ack("AA", "M10"))
    assert not answered(b"MSH|^~\\&|A\rMSA\r")
    assert not answered(ack("AA", ""))
    assert not answered(ack("", "M1"))
    assert not answered(b"")
    assert not answered(b"MSH|^~\\&|A\rPID|M1\r")


def test_the_code_of_a_reply():
    assert code(ack("CE", "M1")) == "CE"
    assert code(b"HTTP/1.1 400 Bad Request\r\n\r\n") == ""


def test_a_reply_is_printed_on_one_safe_line():
    reply = ack("AE", "M1", "ERR||RXA^1^7|207^Error^HL70357|E|||unit \x1b[31mmü\t", "NTE|1")
    assert readable(reply) == r"MSA|AE|M1  ERR||RXA^1^7|207^Error^HL70357|E|||unit \x1b[31mmü\t"
    assert readable(b"MSH|\rMSA|AA|\xff\r") == r"MSA|AA|\xff"
    assert readable(b"") == ""


@pytest.mark.parametrize(
    ("segments", "told"),
    [
        ("", ""),
        ("ERR|", ""),
        ("ERR||PID^1^5^0^1|101^Required field missing^HL70357|E|||SMITH", "PID^1^5^0^1 101 E"),
        ("ERR||PID^1^5~PV1^1^3|103|W\rERR|||207^x|E", "PID^1^5 103 W; 207 E"),
        ("ERR|PID^1^5^101&Required field missing&HL70357", "PID^1^5 101"),  # before 2.5
        ("ERR||SMITH JOHN^1|Doe^John had it|because", ""),
        ("ERR||Smith^1|Jo Doe|E E", ""),
        ("\r".join(["ERR|||207|E"] * 9), "; ".join(["207 E"] * 5)),
    ],
)
def test_reasons_are_places_and_codes(segments: str, told: str):
    assert reasons(f"MSH|^~\\&|A|B\rMSA|AE|1\r{segments}\r".encode()) == told
