"""What a resource looks like apart from its values: one of each shape is enough to ask a validator about."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
Shape = tuple[str, frozenset[str], frozenset[tuple[str, str]], tuple[str, ...]]


def shape(resource: Json) -> Shape:
    """Type, paths of elements, codes, and the profiles claimed."""
    paths: set[str] = set()
    codes: set[tuple[str, str]] = set()
    _walk(resource, "", paths, codes)
    claimed = tuple(resource.get("meta", {}).get("profile", ()))
    return resource["resourceType"], frozenset(paths), frozenset(codes), claimed


def _walk(value: Any, path: str, paths: set[str], codes: set[tuple[str, str]]) -> None:
    if isinstance(value, dict):
        if "system" in value and "code" in value:
            codes.add((value["system"], value["code"]))
        for key, one in value.items():
            _walk(one, f"{path}.{key}", paths, codes)
    elif isinstance(value, list):
        for one in value:
            _walk(one, path, paths, codes)
    else:
        paths.add(path)
