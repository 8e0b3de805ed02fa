"""What the container files promise, checked without a container engine."""

from __future__ import annotations

import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import plain_yaml
import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = plain_yaml.load((ROOT / "docker" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "docker" / "ketafhir" / "Dockerfile").read_text()
HAPI_VERSION = re.search(r"<hapi.version>(.+?)<", (ROOT / "docker" / "hapi" / "pom.xml").read_text())

each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def stages() -> list[str]:
    return re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)


def test_the_services() -> None:
    assert set(SERVICES) == {"postgres", "fhir", "fhir-ready", "ketafhir"}


@each_service
def test_images_are_pinned_to_a_patch_version(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z0-9]+)*", service["image"])


def test_base_images_are_pinned_and_alike() -> None:
    assert len(stages()) == 2
    assert len(set(stages())) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", stages()[0])


def test_hapi_is_the_version_of_the_embedded_server() -> None:
    assert HAPI_VERSION is not None
    assert SERVICES["fhir"]["image"].startswith(f"hapiproject/hapi:v{HAPI_VERSION[1]}-")


def test_the_image_has_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert SERVICES["ketafhir"]["image"] == SERVICES["fhir-ready"]["image"] == f"ketafhir:{version}"


@each_service
def test_nobody_is_root(service: dict[str, Any]) -> None:
    assert service["user"].split(":")[0] not in ("root", "0")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_dockerfile_ends_as_the_user_it_made() -> None:
    users = re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE)
    assert users == ["10001:10001"]
    assert "--uid 10001" in DOCKERFILE
    assert SERVICES["ketafhir"]["user"] == users[0]


@each_service
def test_ports_are_published_on_this_machine_only(service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port)


def test_every_service_but_the_shell_less_one_checks_its_health() -> None:
    checked = {name for name, service in SERVICES.items() if service["healthcheck"].get("test")}
    assert checked == {"postgres", "fhir-ready", "ketafhir"}
    assert SERVICES["fhir"]["healthcheck"] == {"disable": True}
    assert "http://fhir:8080/fhir/metadata" in SERVICES["fhir-ready"]["healthcheck"]["test"][-1]


@each_service
def test_names_that_are_used_are_defined(service: dict[str, Any]) -> None:
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    named = {mount.split(":")[0] for mount in service.get("volumes", []) if not mount.startswith(".")}
    assert named <= set(COMPOSE["volumes"])


def test_no_password_is_written_down() -> None:
    passwords = [
        value
        for service in SERVICES.values()
        for name, value in service.get("environment", {}).items()
        if "password" in name.lower()
    ]
    assert len(passwords) == 2
    assert all(value.startswith("${FHIR_DB_PASSWORD:?") for value in passwords)


def test_the_example_configuration_fits_the_services() -> None:
    settings = tomllib.loads((ROOT / "docker" / "ketafhir" / "ketafhir.toml").read_text())
    published = [port.rsplit(":", 1)[1] for port in SERVICES["ketafhir"]["ports"]]
    assert [str(listener["port"]) for listener in settings["listener"]] == published
    assert settings["fhir"]["url"] == "http://fhir:8080/fhir"
    kept = [mount.split(":")[1] for mount in SERVICES["ketafhir"]["volumes"]]
    assert str(Path(settings["store"]["path"]).parent) in kept


def test_the_image_has_the_extras_of_the_service() -> None:
    """Without them neither [rest] nor a store on PostgreSQL could be switched on in it."""
    text = (ROOT / "docker" / "ketafhir" / "Dockerfile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert '.whl)[postgresql,rest]"' in text
    assert {"postgresql", "rest"} <= set(extras)


def test_what_the_image_copies_exists_and_is_let_through() -> None:
    ignore = (ROOT / "docker" / "ketafhir" / "Dockerfile.dockerignore").read_text().split()
    allowed = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    assert all((ROOT / name).exists() for name in allowed)
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [
        *wheel["packages"],
        *wheel["force-include"],
        "requirements/dev.txt",
        "pyproject.toml",
        "README.md",
    ]
    for name in needed:
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in allowed), name


@pytest.mark.parametrize("text", ["a:\n    b: 1", "a: 1\na: 2", "a: [1, 2", "- a\nb: 1", "a: 'x'"])
def test_other_yaml_is_not_taken_for_this(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        plain_yaml.load(text)
