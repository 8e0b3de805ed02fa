"""Reading and writing FHIR JSON without touching a digit."""

from __future__ import annotations

import copy
import json as stdlib
import math
import pickle
import subprocess
import sys
import textwrap
from decimal import Decimal

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.fhir import json, writer

NUMBERS = [
    "0", "5", "-3", "-0", "72.50", "0.00", "-0.0", "1e5", "1E5", "1.0E+2", "0.0000001", "1e-7", "0.10e1",
    "100", "123456789012345678", "9223372036854775807", "123456789012345678901234567890",
    "0.1234567890123456789",
]  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_is_written_as_it_was_read(number: str) -> None:
    text = f'{{"value":{number}}}'.encode()
    assert json.dumps(json.loads(text)) == text


@given(st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_any_number_is_written_as_it_was_read(number: str) -> None:
    text = f"[{number}]".encode()
    value = json.loads(text)
    assert json.dumps(value) == text
    assert value[0] == Decimal(number)


def test_numbers_are_ints_and_decimals() -> None:
    value = json.loads("[118, 72.50, 1e5, 0.0000001]")
    assert [type(one) for one in value] == [int, Decimal, json.Verbatim, json.Verbatim]
    assert all(isinstance(one, Decimal) for one in value[1:])
    assert value[2] + value[1] == Decimal("100072.50")


def test_a_decimal_of_a_sum_is_written_without_exponent() -> None:
    assert json.dumps([Decimal("1E+3"), Decimal("1E-9"), Decimal("36.000")]) == b"[1000,0.000000001,36.000]"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_a_copy_keeps_the_text(copied) -> None:  # type: ignore[no-untyped-def]
    value = json.loads('{"value":1E5}')
    assert json.dumps(copied(value)) == b'{"value":1E5}'


@pytest.mark.parametrize("number", [Decimal("NaN"), Decimal("-Infinity")])
def test_what_is_no_number_is_not_written(number: Decimal) -> None:
    with pytest.raises(TypeError):
        json.dumps({"value": number})


def test_an_object_of_another_type_is_not_written() -> None:
    with pytest.raises(TypeError):
        json.dumps({"value": {1, 2}})


def test_keys_keep_their_order_and_texts_their_letters() -> None:
    text = '{"b":"é\\n☕","a":[true,null,{}]}'.encode()
    assert json.dumps(json.loads(text)) == text


def test_indented() -> None:
    value = json.loads('{"a":[1.10]}')
    assert json.dumps(value, indent=True) == b'{\n  "a": [\n    1.10\n  ]\n}'


@pytest.mark.parametrize("data", [b'\xef\xbb\xbf{"a":1}', '\ufeff{"a":1}', '{"a":1}'])
def test_a_byte_order_mark_is_dropped(data: bytes | str) -> None:
    assert json.loads(data) == {"a": 1}


@pytest.mark.parametrize(
    ("data", "code", "where"),
    [
        (b'{"a":\n  }', "json-syntax", "line 2 column 3"),
        (b"", "json-syntax", "line 1 column 1"),
        (b'{"a":1', "json-syntax", "line 1 column 7"),
        (b'{"a":1} x', "json-syntax", "line 1 column 9"),
        (b'{"a":01}', "json-syntax", "line 1 column 7"),
        (b'{"a":"b\xe9"}', "json-charset", "byte 7"),
        ('{"a":"b\ud800"}', "json-charset", "character 7"),
        (b'{"a":"\\ud83d"}', "json-charset", ""),
        (b'{"a":NaN}', "json-number", ""),
        (b'{"a":-Infinity}', "json-number", ""),
        (b'{"a":1e999999999}', "json-number", ""),
        (b'{"a":1e99999999999999999999}', "json-number", ""),
        (b'{"a":' + b"1" * 5000 + b"}", "json-number", ""),
        (b'{"a":0.' + b"1" * 5000 + b"}", "json-number", ""),
        (b"[" * 20_000 + b"]" * 20_000, "json-depth", ""),
        (b'{"a":' * 20_000 + b"1" + b"}" * 20_000, "json-depth", ""),
        (b"[" * 20_000, "json-depth", ""),
        (b'{"a":[' * 101 + b"]}" * 101, "json-depth", ""),
    ],
)
def test_what_is_refused(data: bytes | str, code: str, where: str) -> None:
    with pytest.raises(Refused) as refusal:
        json.loads(data)
    (issue,) = refusal.value.issues
    assert (issue.severity, issue.code, issue.where) == ("error", code, where)
    assert len(issue.line()) < 300


def test_a_pair_of_surrogates_is_one_letter() -> None:
    assert json.loads(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_a_member_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="Quantity") as refusal:
        json.loads('{"entry":{"resourceType":"Quantity","value":1,"unit":"mg","value":2}}')
    (issue,) = refusal.value.issues
    assert (issue.code, issue.value) == ("json-duplicate-key", "value")


def test_depth_is_counted_without_brackets_in_texts() -> None:
    deep = "[" * 199 + '{"a":"' + "[{" * 300 + '\\"]"}' + "]" * 199
    assert json.loads(deep)
    shallow = '{"div":"' + "[" * 300 + '"}'
    assert json.loads(shallow) == {"div": "[" * 300}
    with pytest.raises(Refused):
        json.loads("[" + deep + "]")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_what_is_written_is_what_is_read(value: object) -> None:
    written = json.dumps(value)
    assert json.loads(written) == value
    assert stdlib.loads(written) == value


def test_no_float_is_ever_made() -> None:
    def walk(value: object) -> None:
        assert not isinstance(value, float)
        if isinstance(value, dict):
            value = list(value.values())
        if isinstance(value, list):
            for one in value:
                walk(one)

    value = json.loads('{"a":[1.5,{"b":1e3}],"c":3.141592653589793}')
    walk(value)
    assert math.isclose(value["c"], math.pi)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.text()
    | st.integers(-(2**63), 2**64 - 1)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.from_regex(r"[0-9]{1,3}[eE][0-9]", fullmatch=True).map(json.Verbatim),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_both_writers_write_the_same(value: object) -> None:
    assert writer.text_of(value).encode() == orjson.dumps(value, default=json.fragments())


def test_both_writers_escape_the_same() -> None:
    text = "".join(map(chr, [*range(0x300), 0x2028, 0x2029, 0xFFFD, 0x1F600]))
    assert writer.text_of({text: text}).encode() == orjson.dumps({text: text})


@pytest.mark.parametrize(
    "value", [object(), {1: "key"}, Decimal("NaN"), 2**64, -(2**63) - 1, "\ud800", b"bytes", {"set"}]
)
def test_both_writers_refuse_the_same(value: object) -> None:
    with pytest.raises(TypeError):
        json.dumps([value])
    with pytest.raises((TypeError, UnicodeEncodeError)):
        writer.text_of([value]).encode()


def test_a_short_run_does_not_load_orjson() -> None:
    code = """
        import sys
        from ketafhir.fhir import json
        from decimal import Decimal
        value = {"a": Decimal("72.50"), "b": ["\\u00e9", None, True]}
        first = json.dumps(value)
        second = json.dumps(value)
        assert "orjson" not in sys.modules and "json" not in sys.modules
        try:
            json.dumps(["\\ud800"])
        except TypeError:
            pass
        third = json.dumps(value)
        assert "orjson" in sys.modules
        assert first == second == third == '{"a":72.50,"b":["\\u00e9",null,true]}'.encode()
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)


def test_what_is_written_already_is_a_part_like_any_other() -> None:
    part = {"value": Decimal("72.50"), "text": 'a "b"'}
    whole = {"entry": [writer.Written(writer.text_of, dict, part), part]}
    plain = {"entry": [part, part]}
    assert json.dumps(whole) == writer.text_of(whole).encode() == json.dumps(plain)
    assert json.dumps(whole, indent=True) == json.dumps(plain, indent=True)
    assert json.copied(whole) == plain
