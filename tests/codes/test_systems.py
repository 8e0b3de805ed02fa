"""Coding-system names of HL7v2 and system URIs of FHIR, both ways."""

from __future__ import annotations

import csv

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ketafhir import data
from ketafhir.mapping import codes


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("LN", "http://loinc.org"),
        ("SCT", "http://snomed.info/sct"),
        ("RXNORM", "http://www.nlm.nih.gov/research/umls/rxnorm"),
        ("NDC", "http://hl7.org/fhir/sid/ndc"),
        ("UCUM", "http://unitsofmeasure.org"),
        ("MDC", "urn:iso:std:iso:11073:10101"),
        ("I10C", "http://hl7.org/fhir/sid/icd-10-cm"),
        ("99KETA", codes.OWN_SYSTEM),
        ("HL70162", "http://terminology.hl7.org/CodeSystem/v2-0162"),
        ("HL70078", "http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation"),
        ("HL70440", "http://terminology.hl7.org/CodeSystem/v2-0440"),
        ("99LOCAL", "urn:id:99LOCAL"),
        ("L", "urn:id:L"),
        ("OUR CODES", "urn:id:OUR%20CODES"),
        ("", ""),
        ("urn:oid:1.2.3", "urn:oid:1.2.3"),
    ],
)
def test_both_ways(name: str, uri: str) -> None:
    assert codes.system_uri(name) == uri
    assert codes.v2_name(uri) == name


@pytest.mark.parametrize(
    ("name", "preferred"), [("RXN", "RXNORM"), ("SCT2", "SCT"), ("LOINC", "LN"), ("HL70125", "HL70440")]
)
def test_another_name_of_a_system_comes_back_as_the_preferred_one(name: str, preferred: str) -> None:
    assert codes.v2_name(codes.system_uri(name)) == preferred


def test_table_0125_has_no_code_system_of_its_own() -> None:
    assert codes.system_uri("HL70125") == "http://terminology.hl7.org/CodeSystem/v2-0440"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=20))
def test_no_name_is_lost(name: str) -> None:
    back = codes.v2_name(codes.system_uri(name))
    aliases = {row["v2"] for row in rows() if row["prefer"] != "y"}
    assert back == name or name in aliases
    assert not any(sign.isspace() for sign in codes.system_uri(name)) or ":" in name


def test_every_uri_has_one_preferred_name() -> None:
    preferred = [row["uri"] for row in rows() if row["prefer"] == "y"]
    assert len(preferred) == len(set(preferred))
    assert {row["uri"] for row in rows()} == set(preferred)


def rows() -> list[dict[str, str]]:
    with (data.path("mappings") / "systems.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
