"""Slotted dataclasses whose functions are made when first needed.

`dataclasses.dataclass` compiles an `__init__`, `__eq__` and `__repr__` for each class whenever a program starts, which for
some fifty classes is a third of what the shortest command costs. A `Plain` class is declared in the same way (annotations
and defaults), has `__slots__`, and works with `fields`, `replace` and `is_dataclass`; its `__init__` is compiled with its first
instance. See docs/decisions/plain-records.md.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

__all__ = ["Plain", "copier", "field", "names", "replace"]

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import Field, field, replace
else:

    def field(*, default_factory):
        """A default that is made anew for each instance, as in `dataclasses`, which takes as long to load as all of this."""
        return _Anew(default_factory)

    def replace(instance, /, **changes):
        """A copy of an instance with other values of some fields."""
        return type(instance)(**{**{name: getattr(instance, name) for name in instance._names}, **changes})


_NONE: Any = object()
T = TypeVar("T")


def names(value: Any) -> tuple[str, ...]:
    """The names of the fields of an instance or class; none of anything that is not `Plain`."""
    kind = value if isinstance(value, type) else type(value)
    return kind._names if issubclass(kind, Plain) else ()  # type: ignore[attr-defined]  # set by the metaclass


def copier(kind: type[T], *changed: str) -> Callable[..., T]:
    """A function that copies an instance of `kind`: it takes the instance and the values of the fields `changed`, in that order.

    It does what `replace` does, five times as fast, for what is copied in every message.
    """
    lines = [f"new.{name} = {name if name in changed else f'one.{name}'}" for name in names(kind)]
    scope: dict[str, Any] = {"_new": kind.__new__, "_kind": kind}
    text = "\n ".join([f"def copy(one, {', '.join(changed)}):", "new = _new(_kind)", *lines, "return new"])
    exec(text, scope)  # noqa: S102  # made of names of fields
    return scope["copy"]  # type: ignore[no-any-return]


class _Anew:
    __slots__ = ("make",)

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make


class _Fields:
    """`__dataclass_fields__`, made when `dataclasses` first asks for it."""

    def __get__(self, instance: object, kind: type) -> dict[str, Field[Any]]:
        kind = _declaring(kind)
        found: dict[str, Field[Any]] | None = kind.__dict__.get("_made_fields")
        if found is None:
            found = {name: _field(kind, name) for name in kind._names}  # type: ignore[attr-defined]  # set by the metaclass
            kind._made_fields = found  # type: ignore[attr-defined]
        return found


def _field(kind: Any, name: str) -> Field[Any]:
    import dataclasses

    default = kind._defaults.get(name, dataclasses.MISSING)
    anew = isinstance(default, _Anew)
    made: Any = dataclasses.field(default_factory=default.make) if anew else dataclasses.field(default=default)
    made.name, made.type = name, kind.__annotations__[name]
    made._field_type = dataclasses._FIELD  # type: ignore[attr-defined]  # what dataclass() itself sets
    return made  # type: ignore[no-any-return]


def _first_init(self: Any, *args: Any, **values: Any) -> None:
    """Stands for `__init__` until the first instance, and is replaced by it."""
    kind: Any = _declaring(type(self))
    kind.__init__ = _compiled_init(kind)
    kind.__init__(self, *args, **values)


def _declaring(kind: type) -> type:
    """The class that declares the fields: a subclass with behaviour of its own has no further ones."""
    return next(one for one in kind.__mro__ if "_defaults" in one.__dict__)


def _compiled_init(kind: Any) -> Any:
    scope: dict[str, Any] = {"_NONE": _NONE}
    parameters, body = [], []
    for name in kind._names:
        default = kind._defaults.get(name, _NONE)
        if isinstance(default, _Anew):
            scope[f"_make_{name}"] = default.make
            parameters.append(f"{name}=_NONE")
            body.append(f"self.{name} = _make_{name}() if {name} is _NONE else {name}")
            continue
        if default is not _NONE:
            scope[f"_default_{name}"] = default
        parameters.append(name if default is _NONE else f"{name}=_default_{name}")
        body.append(f"self.{name} = {name}")
    lines = "\n ".join(body) or "pass"
    exec(f"def __init__(self, {', '.join(parameters)}):\n {lines}", scope)  # noqa: S102  # made of names of fields
    return scope["__init__"]


@dataclass_transform(field_specifiers=(field,))
class _Meta(type):
    """Turns annotations into slots and keeps the defaults; a subclass without fields of its own is an ordinary class."""

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> Any:
        fields = tuple(space.get("__annotations__", ())) if bases else ()
        if fields:
            space["_defaults"] = {field: space.pop(field) for field in fields if field in space}
            space["_names"] = space["__slots__"] = fields
            space["__init__"] = _first_init
            space["_values"] = attrgetter(*fields)
        elif not bases:
            space["__slots__"] = ()
        return super().__new__(cls, name, bases, space)


class Plain(metaclass=_Meta):
    """The base of all values and records: equality and repr by their fields."""

    __dataclass_fields__ = _Fields()

    def __eq__(self, other: object) -> bool:
        if self.__class__ is not other.__class__:
            return NotImplemented
        values: Any = self._values  # type: ignore[attr-defined]  # set by the metaclass
        return values(self) == values(other)  # type: ignore[no-any-return]

    __hash__ = None  # type: ignore[assignment]  # mutable, as dataclasses make it

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its values in order: shorter than by name, and made again by the compiled `__init__`."""
        return type(self), tuple(getattr(self, name) for name in names(self))

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names(self))
        return f"{type(self).__name__}({told})"
