"""Pydantic twins of the records, generated from them: validation and JSON Schema at the edges, never in the hot path.

A twin has the fields of its dataclass, takes no others, and is what `therapy.asjson.dump` writes: a field of several types
carries `type`. Nothing here is imported by the translator.
"""

from __future__ import annotations

import types
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from ketafhir.errors import Issue, Refused
from ketafhir.therapy.asjson import hints, load
from ketafhir.therapy.records import Records


@cache
def twin(kind: type, typed: bool = False) -> type[BaseModel]:
    """The pydantic model of a record or value; `typed` adds the `type` that tells it from its neighbours in a union."""
    found: dict[str, Any] = {}
    for part in fields(kind):
        hint = _hint(hints(kind)[part.name])
        if part.default is not MISSING:
            found[part.name] = (hint, part.default)
        elif part.default_factory is not MISSING:
            found[part.name] = (hint, Field(default_factory=part.default_factory))
        else:
            found[part.name] = (hint, ...)
    if typed:
        found["type"] = (Literal[kind.__name__], ...)
    model: type[BaseModel] = create_model(
        kind.__name__,
        __config__=ConfigDict(extra="forbid"),
        __doc__=(kind.__doc__ or "").split("\n")[0],
        **found,
    )
    return model


def _hint(hint: Any) -> Any:
    """A type hint with every dataclass replaced by its twin."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(inner)
    if origin is tuple:
        return tuple[tuple(one if one is Ellipsis else _hint(one) for one in inner)]  # type: ignore[misc]  # built at run time
    if origin is dict:
        return dict[inner[0], _hint(inner[1])]  # type: ignore[misc,valid-type]  # built at run time
    return twin(hint) if is_dataclass(hint) and isinstance(hint, type) else hint


def _union(inner: tuple[Any, ...]) -> Any:
    records = [one for one in inner if is_dataclass(one) and isinstance(one, type)]
    rest = [_hint(one) for one in inner if one not in records]
    if len(records) > 1:
        several = reduce(or_, (twin(one, True) for one in records))
        rest.append(Annotated[several, Field(discriminator="type")])
    else:
        rest += [twin(one) for one in records]
    return reduce(or_, rest)


def schema() -> dict[str, Any]:
    """The JSON Schema of therapy records, as `ketafhir translate --to therapy` prints them."""
    return twin(Records).model_json_schema()


def validated(json: Any) -> Records:
    """Therapy records from JSON of elsewhere. Raises Refused, naming each field that is wrong."""
    try:
        twin(Records).model_validate(json)
    except ValidationError as error:
        raise Refused(
            *(
                Issue(
                    "error", "therapy-invalid", one["msg"], where=".".join(str(part) for part in one["loc"]), hl7="102"
                )
                for one in error.errors(include_url=False)
            )
        ) from None
    records: Records = load(Records, json)
    return records
