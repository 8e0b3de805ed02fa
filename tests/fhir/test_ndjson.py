"""FHIR a line: Bundles of messages one after the other, and resources as an export has them."""

from __future__ import annotations

from typing import Any

import pytest

from ketafhir.errors import Refused
from ketafhir.fhir import json, ndjson


def entry(full_url: str, method: str, **resource: Any) -> dict[str, Any]:
    return {"fullUrl": full_url, "request": {"method": method}, "resource": {"resourceType": "Basic", **resource}}


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value) + b"\n" for value in values)


def bundle(*entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def held(value: Any) -> list[str]:
    return [
        f"{number}.{at} {one['resource']['id']}"
        for number, line in enumerate(value["entry"], 1)
        if line
        for at, one in enumerate(line["resource"]["entry"])
        if one
    ]


def test_what_is_written_again_replaces_and_what_is_only_created_does_not() -> None:
    first = bundle(entry("urn:uuid:a", "PUT", id="a1"), entry("urn:uuid:p", "POST", id="p1"))
    second = bundle(entry("urn:uuid:p", "POST", id="p2"), entry("urn:uuid:b", "PUT", id="b2"))
    third = bundle(entry("urn:uuid:a", "PUT", id="a3"))
    assert held(ndjson.loads(lines(first, second, third))) == ["1.1 p1", "2.1 b2", "3.0 a3"]


def test_two_of_one_full_url_in_one_bundle_stay_to_be_refused() -> None:
    twice = bundle(entry("urn:uuid:a", "PUT", id="1"), entry("urn:uuid:a", "PUT", id="2"))
    assert held(ndjson.loads(lines(bundle(entry("urn:uuid:a", "PUT", id="0")), twice))) == ["2.0 1", "2.1 2"]


def test_one_value_is_itself_however_it_is_laid_out() -> None:
    value = bundle(entry("urn:uuid:a", "PUT", id="1"))
    assert ndjson.loads(lines(value)) == value
    assert ndjson.loads(json.dumps(value, indent=True)) == value


def test_resources_of_an_export_stand_at_their_line() -> None:
    found = ndjson.loads(b'{"resourceType":"Basic","id":"1"}\r\n\r\n{"resourceType":"Basic","id":"2"}\r\n')
    assert [one.get("resource", {}).get("id") for one in found["entry"]] == ["1", None, "2"]


def test_the_same_resource_twice_is_one_and_two_contents_are_refused() -> None:
    one = {"resourceType": "Basic", "id": "1"}
    assert ndjson.loads(lines(one, one))["entry"] == [{"resource": one}, {}]
    with pytest.raises(Refused) as refusal:
        ndjson.loads(lines(one, {**one, "language": "en"}))
    (issue,) = refusal.value.issues
    assert (issue.code, issue.where, issue.value) == ("ndjson-resource-twice", "line 2", "Basic/1")


def test_what_is_not_json_is_told_with_its_line() -> None:
    with pytest.raises(Refused) as refusal:
        ndjson.loads(b'{"resourceType":"Basic"}\n{"resourceType":\n')
    assert refusal.value.issues[0].where.startswith("line 2 column")
