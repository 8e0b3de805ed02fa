"""Asking whether a FHIR server answers at a URL."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from http.client import HTTPException
from typing import Literal

Answer = Literal["open", "protected", "other", "none"]


def ask(url: str, timeout: float = 5.0) -> Answer:
    """How `GET url/metadata` is answered: by a CapabilityStatement, by a 401, by something else, or not at
    all.

    No token is sent and no certificate is checked: nothing is learnt but that somebody answers.
    """
    try:
        with _open(f"{url}/metadata", timeout) as answer:
            body = json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return "protected" if error.code == 401 else "other"
    except ValueError:
        return "other"
    except (OSError, HTTPException):
        return "none"
    found = isinstance(body, dict) and body.get("resourceType") == "CapabilityStatement"
    return "open" if found else "other"


def _open(url: str, timeout: float):  # type: ignore[no-untyped-def]  # urllib's response has no public type
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers = [urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)]
    request = urllib.request.Request(url, headers={"Accept": "application/fhir+json"})  # noqa: S310  # http(s) by construction
    return urllib.request.build_opener(*handlers).open(request, timeout=timeout)
