"""What a definition may hold at a dotted key, as its models say, and their errors in plain words."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from medseg.errors import DefinitionError
from medseg.text import plain


def model_at(model: type[BaseModel], path: Sequence[str]) -> type[BaseModel] | None:
    """The model that describes the mapping at a path below `model`; None where another thing stands."""
    for part in path:
        field = model.model_fields.get(part)
        below = None if field is None else _model_in(field.annotation)
        if below is None:
            return None
        model = below
    return model


def nearest(given: str, known: Collection[str]) -> str:
    """The sentence ` Did you mean 'x'?`, or nothing where no name is near."""
    near = difflib.get_close_matches(given, list(known), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""


def complaint(error: ValidationError, model: type[BaseModel], data: Any, source: str) -> DefinitionError:
    """A `DefinitionError` with a line for each wrong key: the key, the value, what is expected."""
    complaints: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for each in error.errors(include_url=False):
        path = tuple(_addressed(each["loc"], data, missing=each["type"] == "missing"))
        complaints.setdefault(path, {}).setdefault(_got(each, data), []).append(_expected(each, path, model))
    lines = [
        f"  at {'.'.join(path) or 'the top level'}: {got}{_either(expected)}."
        for path, by_value in complaints.items()
        for got, expected in by_value.items()
    ]
    return DefinitionError("\n".join([f"{source} cannot be used:", *lines]))


def _got(each: Mapping[str, Any], data: Any) -> str:
    """The value, where it is short and of use."""
    value = each["input"]
    if each["type"] in {"extra_forbidden", "missing"} or value is data or len(str(value)) > 80:
        return ""
    return f"got {value!r}; "


def _expected(each: Mapping[str, Any], path: tuple[str, ...], model: type[BaseModel]) -> str:
    if each["type"] == "extra_forbidden":
        place = model_at(model, path[:-1])
        known = list(place.model_fields) if place else []
        return f"'{path[-1]}' is not known here.{nearest(path[-1], known)} Known are: {', '.join(known)}"
    return plain(str(each["msg"]))


def _either(expected: Sequence[str]) -> str:
    """What the members of a union want, in one phrase."""
    first, *others = dict.fromkeys(expected)
    return " or ".join([first, *(other.removeprefix("expected ") for other in others)])


def _addressed(loc: Sequence[str | int], data: Any, *, missing: bool) -> Iterator[str]:
    """The parts of an error's place that the data hold: pydantic mixes in the names of union members."""
    for number, part in enumerate(loc):
        is_key = isinstance(data, Mapping) and part in data
        is_place = isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)
        if is_key or is_place:
            data = data[part]
            yield str(part)
        elif missing and number == len(loc) - 1:
            yield str(part)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model of a field's type, looking through `| None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in {Union, UnionType}:
        return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
    return None
