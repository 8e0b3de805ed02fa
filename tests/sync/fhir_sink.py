"""A FHIR server in memory, as an httpx transport: PUT by id with If-Match, reads, and faults to order."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable

import httpx

BASE = "http://fhir.test/fhir"
Fault = Callable[[httpx.Request], httpx.Response | None]

STALE = "HAPI-0550: HAPI-0989: Trying to update it but this is not the current version"


def outcome(status: int, diagnostics: str, code: str = "processing", **headers: str) -> httpx.Response:
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    body = {"resourceType": "OperationOutcome", "issue": [issue]}
    return httpx.Response(status, json=body, headers=headers)


class FhirSink:
    """`faults` answer the next transactions, one each; None stands for an ordinary one."""

    def __init__(self) -> None:
        self.resources: dict[str, tuple[int, dict[str, object]]] = {}
        self.transactions: list[dict[str, object]] = []
        self.requests: list[httpx.Request] = []
        self.faults: deque[Fault | httpx.Response | Exception | None] = deque()

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def write(self, reference: str, resource: dict[str, object]) -> int:
        """As another client would; gives the version."""
        version, stored = self.resources.get(reference, (0, {}))
        if stored != resource:
            version += 1
        self.resources[reference] = (version, resource)
        return version

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "GET":
            return self._read(request.url.path.removeprefix("/fhir/"))
        fault = self.faults.popleft() if self.faults else None
        if isinstance(fault, Exception):
            raise fault
        if callable(fault):
            fault = fault(request)
        return fault if isinstance(fault, httpx.Response) else self._transaction(json.loads(request.content))

    def _read(self, reference: str) -> httpx.Response:
        if reference not in self.resources:
            return outcome(404, f"HAPI-2001: Resource {reference} is not known")
        version, resource = self.resources[reference]
        return httpx.Response(200, json=resource, headers={"ETag": f'W/"{version}"'})

    def _transaction(self, bundle: dict[str, list[dict[str, dict[str, str]]]]) -> httpx.Response:
        for entry in bundle["entry"]:
            request = entry["request"]
            version = self.resources.get(request["url"], (0, {}))[0]
            if "ifMatch" in request and request["ifMatch"] != f'W/"{version}"':
                return outcome(409, STALE)
        self.transactions.append(bundle)
        answers = []
        for entry in bundle["entry"]:
            reference = entry["request"]["url"]
            version = self.write(reference, entry["resource"])
            location = f"{reference}/_history/{version}"
            answers.append({"response": {"status": "200 OK", "location": location, "etag": str(version)}})
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "transaction-response", "entry": answers})


def bundle(*references: str, text: str = "x") -> bytes:
    """A transaction that writes each `Type/id` under its id."""
    entries = [
        {
            "fullUrl": f"urn:uuid:{reference}",
            "resource": {
                "resourceType": reference.split("/")[0],
                "id": reference.split("/")[1],
                "note": text,
            },
            "request": {"method": "PUT", "url": reference},
        }
        for reference in references
    ]
    return json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries}).encode()
