"""The shape of resources, by fhir.resources; nothing else imports that package.

Its R4B classes read R4 as well. They check names, cardinality and data types and nothing else: they take
`status: "banana"`, know no profile and no invariant. They are not the writer either, since they drop
trailing zeros. All imports are inside the functions, because they take a quarter of a second.
"""

from __future__ import annotations

from typing import Any, get_args

from ketafhir.errors import Issue, Refused

_PRIMITIVES = {"bool": "boolean", "encodedBytes": "base64Binary"}  # the rest is called as in FHIR


def shape(resource: dict[str, Any]) -> list[Issue]:
    """What does not fit the shape of the resource's type, each with its path; empty when all does."""
    from pydantic import ValidationError

    resource_type = str(resource.get("resourceType"))
    model = _model(resource_type)
    if model is None:
        return [Issue("error", "fhir-type-unknown", "not a resource type of FHIR R4", value=resource_type)]
    try:
        model.model_validate(_known(resource))
    except ValidationError as error:
        return [_issue(resource_type, one) for one in error.errors(include_url=False)]
    except (AttributeError, TypeError) as error:  # fhir.resources on an element of another type than it expects
        return [Issue("error", "fhir-shape", f"an element is not of its type ({error})", where=resource_type)]
    return []


def _known(element: Any) -> Any:
    """Without the extensions beside the value of an Extension (`_valueDateTime`): FHIR has them, fhir.resources
    does not."""
    if isinstance(element, list):
        return [_known(one) for one in element]
    if not isinstance(element, dict):
        return element
    return {key: _known(part) for key, part in element.items() if not (key.startswith("_value") and "url" in element)}


def typed(resource: dict[str, Any]) -> Any:
    """The resource as a model of fhir.resources, numbers as `decimal.Decimal`; Refused where it does not
    fit."""
    issues = shape(resource)
    if issues:
        raise Refused(*issues)
    return _model(resource["resourceType"]).model_validate(_known(resource))


def element_type(resource_type: str, path: str) -> str | None:
    """The FHIR type of an element (`MedicationAdministration`, `dosage.rateRatio`: `Ratio`), or None.

    `path` names elements as JSON does (`effectivePeriod.start`), without indexes and without the resource
    type. An element that is only a group of others is a `BackboneElement`, or an `Element` inside a data
    type.
    """
    found = resource_type
    for name in path.split("."):
        model = _model(found)
        field = _field(model, name) if model is not None else None
        if field is None:
            return None
        found = _annotated_type(field.annotation)
    model = _model(found)
    return _PRIMITIVES.get(found, found) if model is None else _complex_type(model)


def _model(name: str) -> Any:
    from fhir.resources.R4B import get_fhir_model_class

    try:
        return get_fhir_model_class(name)
    except (KeyError, ValueError):
        return None


def _field(model: Any, name: str) -> Any:
    """By its JSON name: `Encounter.class` is `class_fhir` in Python."""
    for field_name, field in model.model_fields.items():
        if (field.alias or field_name) == name:
            return field
    return None


def _annotated_type(annotation: Any) -> str:
    """From `Optional[List[Annotated[Any, Ratio]]]`, however spelt, to the name of the innermost FHIR type."""
    inner = [one for one in get_args(annotation) if one is not type(None)]
    if not inner:
        return str(annotation.__name__).removesuffix("Type")
    metadata = getattr(annotation, "__metadata__", ())
    if metadata:
        name = type(metadata[0]).__name__
        return name[0].lower() + name[1:]
    return _annotated_type(inner[0])


def _complex_type(model: Any) -> str:
    """A class that is no type of its own stands in the module of the one it belongs to (`PatientContact`)."""
    name = str(model.__name__)
    if model.__module__.rpartition(".")[2] == name.lower():
        return name
    backbone = any(base.__name__ == "BackboneElement" for base in model.__mro__)
    return "BackboneElement" if backbone else "Element"


def _issue(resource_type: str, error: Any) -> Issue:
    path = resource_type
    for part in error["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    value = error.get("input")
    shown = str(value) if isinstance(value, str | int | float) else ""
    return Issue("error", "fhir-shape", error["msg"].removeprefix("Value error, "), where=path, value=shown)
