"""The OpenAPI 3.1 document of the operations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ketafhir.service.rest.access import ROLES
from ketafhir.service.rest.operations import FHIR_JSON, FHIR_NDJSON, JSON, Operation, Parameter

_JSON_TYPES = {bool: "boolean", int: "integer", str: "string", list: "array"}
_REASONS = {
    200: "done",
    202: "taken; its translation follows",
    400: "the request makes no sense",
    401: "no token that is known",
    403: "the role of the token does not allow it",
    404: "there is no such message",
    408: "the body did not come in time",
    409: "not as things stand",
    413: "the body is too long",
    415: "not this media type; XML is never read",
    422: "the content is refused",
    500: "a fault of the service",
    503: "not now: ask again later",
}


def document(operations: Sequence[Operation], version: str) -> dict[str, Any]:
    """OpenAPI 3.1, spec.openapis.org."""
    paths: dict[str, Any] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.method.lower()] = _operation(one)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ketafhir",
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _operation(one: Operation) -> dict[str, Any]:
    found: dict[str, Any] = {
        "operationId": re.sub(r"[^a-z0-9]+", "_", f"{one.method} {one.path}".lower()).strip("_"),
        "summary": one.summary,
        "security": [{"token": []}] if one.may else [],
        "parameters": [_parameter(parameter, one.path) for parameter in one.parameters],
        "responses": {
            str(status): {
                "description": _REASONS[status],
                "content": {media: {"schema": _schema(media)} for media in kinds},
            }
            for status, kinds in sorted(one.statuses.items())
        },
    }
    if one.may:
        found["x-roles"] = sorted(role for role, allowed in ROLES.items() if one.may in allowed)
    if one.takes:
        found["requestBody"] = {
            "required": not one.path.startswith("/v1/queue"),
            "content": {media: {"schema": _body(one, media)} for media in one.takes},
        }
    return found


def _parameter(one: Parameter, path: str) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": one.kind}
    if one.among:
        schema["enum"] = list(one.among)
    if one.kind == "integer":
        schema["minimum"] = one.least
    place = "path" if f"{{{one.name}}}" in path else "query"
    return {"name": one.name, "in": place, "required": one.required, "description": one.text, "schema": schema}


def _body(one: Operation, media: str) -> dict[str, Any]:
    if not one.members and not one.path.startswith("/v1/queue"):
        return _schema(media)
    members = {name: {"type": _JSON_TYPES[kind]} for name, kind in one.members.items()}
    return {"type": "object", "properties": members, "additionalProperties": False}


def _schema(media: str) -> dict[str, Any]:
    if media == FHIR_NDJSON or media not in (JSON, FHIR_JSON):
        return {"type": "string"}
    return {"type": "object"}
