"""Reading Bundles of any type and resolving what their References point to."""

from __future__ import annotations

from typing import Any

import pytest

from ketafhir.errors import Refused
from ketafhir.fhir.bundle import Index, resources
from ketafhir.fhir.transaction import identifier_query

PATIENT = {"resourceType": "Patient", "id": "p", "identifier": [{"system": "urn:id:H", "value": "1|2"}]}


def bundle(*entries: dict[str, Any], kind: str = "collection") -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def observation(reference: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Observation", "id": "o", "subject": reference, **more}


@pytest.mark.parametrize(
    "kind", ["transaction", "batch", "collection", "searchset", "document", "message", "transaction-response"]
)
def test_every_type_of_bundle_is_read_in_order(kind: str) -> None:
    first, second = {"resourceType": "A"}, {"resourceType": "B"}
    entries = [
        {"fullUrl": "urn:uuid:1", "resource": first},
        {"response": {"status": "201"}},
        {"resource": second},
    ]
    assert resources(bundle(*entries, kind=kind)) == [("urn:uuid:1", first), ("", second)]


def test_a_single_resource_is_read() -> None:
    assert resources(PATIENT) == [("", PATIENT)]


def test_an_empty_bundle_has_nothing() -> None:
    assert resources({"resourceType": "Bundle", "type": "searchset"}) == []


def test_the_answers_of_a_batch_are_opened() -> None:
    inner = bundle({"fullUrl": "http://s/Patient/p", "resource": PATIENT}, kind="searchset")
    assert resources(bundle({"resource": inner}, kind="batch-response")) == [("http://s/Patient/p", PATIENT)]


def test_remarks_about_the_search_are_left_out() -> None:
    remark = {"resource": {"resourceType": "OperationOutcome"}, "search": {"mode": "outcome"}}
    assert resources(bundle({"resource": PATIENT}, remark, kind="searchset")) == [("", PATIENT)]


def test_of_a_history_only_the_newest_version_counts() -> None:
    url = "http://s/Patient/p"
    newest, older = {**PATIENT, "active": True}, {**PATIENT, "active": False}
    read = resources(bundle({"fullUrl": url, "resource": newest}, {"fullUrl": url, "resource": older}, kind="history"))
    assert read == [(url, newest)]
    deleted = {"fullUrl": url, "request": {"method": "DELETE", "url": "Patient/p"}}
    assert resources(bundle(deleted, {"fullUrl": url, "resource": older}, kind="history")) == []


@pytest.mark.parametrize(
    ("value", "where"),
    [
        ([], ""),
        (None, ""),
        ("Patient", ""),
        ({"id": "1"}, ""),
        ({"resourceType": 5}, ""),
        (bundle({"resource": {"id": "1"}}), "Bundle.entry[0].resource"),
        (bundle({"resource": PATIENT}, {"resource": None}), "Bundle.entry[1].resource"),
        ({"resourceType": "Bundle", "entry": {}}, "Bundle.entry"),
        ({"resourceType": "Bundle", "entry": ["x"]}, "Bundle.entry[0]"),
        (bundle({"fullUrl": 5, "resource": PATIENT}), "Bundle.entry[0].fullUrl"),
        (bundle({"resource": bundle({"resource": []})}), "Bundle.entry[0].resource.entry[0].resource"),
    ],
)
def test_what_is_not_fhir_is_refused_by_its_path(value: Any, where: str) -> None:
    with pytest.raises(Refused) as refusal:
        resources(value)
    (issue,) = refusal.value.issues
    assert (issue.code, issue.where) == ("fhir-not-a-resource", where)


def test_one_full_url_twice_is_refused() -> None:
    entry = {"fullUrl": "urn:uuid:1", "resource": PATIENT}
    with pytest.raises(Refused) as refusal:
        resources(bundle(entry, {"resource": PATIENT}, entry))
    (issue,) = refusal.value.issues
    assert (issue.code, issue.where, issue.value) == (
        "fhir-full-url-twice",
        "Bundle.entry[2].fullUrl",
        "urn:uuid:1",
    )
    assert "Bundle.entry[0]" in issue.text


@pytest.mark.parametrize(
    ("full_url", "reference"),
    [
        ("urn:uuid:1", "urn:uuid:1"),
        ("urn:uuid:1", "Patient/p"),
        ("http://s/fhir/Patient/p", "Patient/p"),
        ("http://s/fhir/Patient/p", "Patient/p/_history/3"),
        ("http://s/fhir/Patient/p", "http://s/fhir/Patient/p"),
        ("http://s/fhir/Patient/p", "http://s/fhir/Patient/p/_history/3"),
        ("urn:uuid:1", "http://s/fhir/Patient/p"),
        ("", "Patient/p"),
        ("urn:uuid:1", "Patient?identifier=urn:id:H|1|2"),
        ("urn:uuid:1", "Patient?identifier=urn%3Aid%3AH%7C1%7C2"),
        ("urn:uuid:1", "Patient?" + identifier_query("urn:id:H", "1|2")),
    ],
)
def test_a_reference_is_resolved(full_url: str, reference: str) -> None:
    source = observation({"reference": reference})
    index = Index(bundle({"fullUrl": full_url, "resource": PATIENT}, {"resource": source}))
    assert index.resolve(source["subject"], source) is PATIENT


@pytest.mark.parametrize(
    "reference",
    [
        {"identifier": {"system": "urn:id:H", "value": "1"}},
        {"display": "Wren"},
        {"reference": ""},
        {"reference": 5},
        {"reference": "Patient/other"},
        {"reference": "Practitioner/p"},
        {"reference": "urn:uuid:2"},
        {"reference": "http://elsewhere/fhir/Patient/p"},
        {"reference": "Patient?identifier=urn:id:H|3"},
        {"reference": "Patient?name=Wren"},
        {"reference": "#p"},
        None,
    ],
)
def test_what_is_not_here_is_none(reference: Any) -> None:
    source = observation(reference)
    index = Index(bundle({"fullUrl": "http://s/fhir/Patient/p", "resource": PATIENT}, {"resource": source}))
    assert index.resolve(reference, source) is None


def test_a_relative_reference_stays_on_its_own_server() -> None:
    here, there = dict(PATIENT), dict(PATIENT)
    source = observation({"reference": "Patient/p"})
    index = Index(
        bundle(
            {"fullUrl": "http://there/fhir/Patient/p", "resource": there},
            {"fullUrl": "http://here/fhir/Patient/p", "resource": here},
            {"fullUrl": "http://here/fhir/Observation/o", "resource": source},
        )
    )
    assert index.resolve(source["subject"], source) is here


def test_two_that_fit_are_refused_and_not_guessed() -> None:
    source = observation({"reference": "Patient/p"})
    both = [{"fullUrl": f"urn:uuid:{number}", "resource": dict(PATIENT)} for number in (1, 2)]
    index = Index(bundle(*both, {"resource": source}))
    with pytest.raises(Refused) as refusal:
        index.resolve(source["subject"], source)
    assert refusal.value.issues[0].code == "fhir-reference-ambiguous"


def test_contained_resources_belong_to_their_container() -> None:
    drug = {"resourceType": "Medication", "id": "m"}
    source = observation({"reference": "#m"}, contained=[drug])
    other = observation({"reference": "#m"})
    index = Index(bundle({"resource": source}, {"resource": other}))
    assert index.resolve("#m", source) is drug
    assert index.resolve("#m", other) is None
    assert index.resolve("#", source) is source


def test_what_an_index_knows() -> None:
    source = observation({"reference": "Patient/p"})
    index = Index(bundle({"fullUrl": "urn:uuid:1", "resource": PATIENT}, {"resource": source}))
    assert index.of_type("Patient") == [PATIENT]
    assert index.full_url(PATIENT) == "urn:uuid:1"
    assert index.full_url(source) == ""
    assert index.full_url({}) == ""
