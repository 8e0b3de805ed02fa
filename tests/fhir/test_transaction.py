"""Writing transactions: one identity once, each entry safe to send again."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir.errors import Refused
from ketafhir.fhir import check
from ketafhir.fhir.ids import urn, uuid5
from ketafhir.fhir.transaction import Entries, conditional_full_url, identifier_query

ID = uuid5("one")


def observation(**more: object) -> dict[str, object]:
    return {"resourceType": "Observation", "id": ID, "status": "final", "code": {"text": "x"}, **more}


def patient() -> dict[str, object]:
    return {"resourceType": "Patient", "identifier": [{"system": "urn:id:H", "value": "4711"}]}


def test_what_is_ours_is_put_under_its_id() -> None:
    entries = Entries()
    assert entries.put(observation()) == urn(ID)
    assert entries.transaction()["entry"] == [
        {
            "fullUrl": urn(ID),
            "resource": observation(),
            "request": {"method": "PUT", "url": f"Observation/{ID}"},
        }
    ]


def test_a_known_version_is_matched() -> None:
    entries = Entries()
    entries.put(observation(), version="3")
    assert entries.transaction()["entry"][0]["request"]["ifMatch"] == 'W/"3"'


def test_an_id_that_is_no_uuid_still_gives_a_uuid_as_full_url() -> None:
    assert Entries().put({"resourceType": "Patient", "id": "abc"}) == urn(uuid5("Patient/abc"))


def test_what_others_own_is_addressed_by_identifier_and_has_no_id() -> None:
    entries = Entries()
    full_url = entries.put_conditional({**patient(), "id": "x"}, "urn:id:H", "4711")
    (entry,) = entries.transaction()["entry"]
    assert entry["request"] == {"method": "PUT", "url": "Patient?identifier=urn%3Aid%3AH%7C4711"}
    assert entry["resource"] == patient()
    assert entry["fullUrl"] == full_url == conditional_full_url("Patient", "urn:id:H", "4711")


def test_what_may_be_there_is_created_only_if_not() -> None:
    entries = Entries()
    entries.post_if_none_exist(patient(), "urn:id:H", "4711")
    (entry,) = entries.transaction()["entry"]
    assert entry["request"] == {
        "method": "POST",
        "url": "Patient",
        "ifNoneExist": "identifier=urn%3Aid%3AH%7C4711",
    }


def test_the_same_twice_is_written_once() -> None:
    entries = Entries()
    assert entries.post_if_none_exist(patient(), "urn:id:H", "1") == entries.post_if_none_exist(
        patient(), "urn:id:H", "1"
    )
    assert len(entries) == 1


def test_one_identity_with_two_contents_is_refused() -> None:
    entries = Entries()
    entries.put(observation())
    with pytest.raises(Refused) as refusal:
        entries.put(observation(status="amended"))
    assert refusal.value.issues[0].code == "identity-twice"
    with pytest.raises(Refused):
        entries.put(observation(), version="2")


def test_one_patient_is_never_addressed_both_ways() -> None:
    entries = Entries()
    entries.put_conditional(patient(), "urn:id:H", "1")
    with pytest.raises(Refused):
        entries.post_if_none_exist(patient(), "urn:id:H", "1")


def test_entries_keep_their_order() -> None:
    entries = Entries()
    urls = [
        entries.put_conditional(patient(), "urn:id:H", "1"),
        entries.put(observation()),
        entries.post_if_none_exist({"resourceType": "Practitioner"}, "urn:id:H", "2"),
    ]
    written = entries.transaction()
    assert [entry["fullUrl"] for entry in written["entry"]] == urls
    assert check.shape(written) == []


def test_a_transaction_of_nothing_has_no_empty_array() -> None:
    assert Entries().transaction() == {"resourceType": "Bundle", "type": "transaction"}


@given(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_query_is_read_back_by_any_server(system: str, value: str) -> None:
    query = identifier_query(system, value)
    assert query.isascii()
    assert set("&+#\" '<>|,$\\").isdisjoint(query)
    (token,) = parse_qs(query, strict_parsing=True)["identifier"]
    assert unescaped_parts(token) == [system, value]


def unescaped_parts(token: str) -> list[str]:
    """A search token cut at its bar, as a server does it (FHIR R4, search.html#escaping)."""
    parts, signs = [""], iter(token)
    for sign in signs:
        if sign == "|":
            parts.append("")
        else:
            parts[-1] += next(signs) if sign == "\\" else sign
    return parts
