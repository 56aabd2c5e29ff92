"""Setting single values of a definition: `--set path=value`, and the `set` of a sample."""

from __future__ import annotations

import copy
import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import BaseModel, ValidationError

from medseg.component import is_spec
from medseg.errors import DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.schema import model_at
from medseg.yaml import parse_yaml


def override(data: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy of a definition's data with `path=value` strings applied in order.

    Args:
        data: As read from YAML.
        assignments: Such as `steps.fit.epochs=5`, `network.channels=[16, 32]` or
            `loading.augment.0.prob=0.2`; the value is YAML.

    Raises:
        DefinitionError: A text in place of a list, no `=`, a value that is not YAML, or a path that leads nowhere;
            tells the nearest.
    """
    if isinstance(assignments, str):
        raise DefinitionError(f"set is {assignments!r}, expected a list, such as [{assignments!r}].")
    changed = copy.deepcopy(dict(data))
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        path = path.strip()
        if not equals or not path:
            raise DefinitionError(f"--set {assignment}: expected path=value, such as steps.fit.epochs=5.")
        if not text.strip():
            raise DefinitionError(f"--set {assignment}: has no value; for none write {path}=null")
        _assign(changed, path, parse_yaml(text, f"--set {path}"), "--set")
    return changed


def apply_set(
    data: Mapping[str, Any], values: Mapping[str, Any], source: str = "sample.set"
) -> dict[str, Any]:
    """A copy of a definition's data with values set by dotted path.

    Raises:
        DefinitionError: A path leads nowhere; tells the nearest. `source` is what its message begins with.
    """
    changed = copy.deepcopy(dict(data))
    for path, value in values.items():
        _assign(changed, path, copy.deepcopy(value), source)
    return changed


def in_effect(definition: PipelineDefinition) -> dict[str, Any]:
    """What `sample.set` sets in a definition to which it was applied, without what was changed after it."""
    if definition.sample is None:
        return {}
    now, kept = definition.to_dict(), {}
    for path, value in definition.sample.set.items():
        with suppress(DefinitionError):  # a path that leads nowhere since then
            again = PipelineDefinition.from_dict(apply_set(now, {path: value}), "sample.set")
            if again.to_dict() == now:
                kept[path] = value
    return kept


def _assign(data: dict[str, Any], path: str, value: Any, source: str) -> None:
    parts = path.split(".")
    node: Any = data
    for depth, part in enumerate(parts[:-1]):
        rest = ".".join(parts[depth:])
        if isinstance(node, dict) and rest in node:  # sample.set has dotted keys of its own
            node[rest] = value
            return
        node = _below(node, parts[:depth], part, _Place(data, path, depth, source))
    _set(node, parts, value, _Place(data, path, len(parts) - 1, source))


class _Place:
    """Where an assignment stands: what is needed to say that it leads nowhere."""

    def __init__(self, data: dict[str, Any], path: str, depth: int, source: str) -> None:
        self.data = data
        self.path = path
        self.depth = depth
        self.source = source

    def left_out(self) -> DefinitionError:
        """The error for a setting inside an argument that its component leaves out."""
        parts = self.path.split(".")
        at, part, last = ".".join(parts[: self.depth]), parts[self.depth], parts[-1]
        return DefinitionError(
            f"{self.source} {self.path}: there is no '{part}' at {at} in which to set '{last}'. Give it "
            f"whole: {at}.{part}={{_target_: ..., {last}: ...}}."
        )

    def leads_nowhere(self, known: Sequence[str]) -> DefinitionError:
        """The error, with the nearest path."""
        parts = self.path.split(".")
        before, part = parts[: self.depth], parts[self.depth]
        near = difflib.get_close_matches(part, known, n=1, cutoff=0.6)
        every = [] if near else list(_paths(self.data, ""))
        found = (
            [".".join([*before, *near])]
            if near
            else [each for each in every if each.rpartition(".")[2] == parts[-1]][:1]
            or difflib.get_close_matches(self.path, every, n=1, cutoff=0.6)
        )
        within = ".".join(before) or "the top level"
        hint = f" Did you mean '{found[0]}'?" if found else ""
        names = f" There is: {', '.join(known)}." if known else ""
        return DefinitionError(f"{self.source} {self.path}: '{part}' is not known at {within}.{hint}{names}")


def _below(node: Any, before: Sequence[str], part: str, place: _Place) -> Any:
    """What stands at `part` of `node`; an omitted group of settings is opened, a shorthand written out."""
    key = _key(node, part)
    inner = model_at(PipelineDefinition, [*before, part])
    if key is None:
        if inner is None and is_spec(node):
            raise place.left_out()
        if inner is None or not isinstance(node, dict):
            raise place.leads_nowhere(_known(node, before))
        key, node[part] = part, None
    if inner is not None and not isinstance(node[key], dict):
        node[key] = _written_out(inner, node[key])
    return node[key]


def _set(node: Any, parts: Sequence[str], value: Any, place: _Place) -> None:
    key = _key(node, parts[-1])
    if key is not None:
        node[key] = value
        return
    known = _known(node, parts[:-1])
    model = model_at(PipelineDefinition, parts[:-1])
    is_field = model is not None and parts[-1] in model.model_fields
    # A new argument of a component: `component.check` knows whether it exists. Steps are no arguments.
    if not isinstance(node, dict) or not (is_field or is_spec(node)):
        raise place.leads_nowhere(known)
    node[parts[-1]] = value


def _key(node: Any, part: str) -> Any:
    """The key or place of `node` that a part of a path names; None if there is none."""
    number = int(part) if part.isascii() and part.isdecimal() else None
    if isinstance(node, dict):
        return part if part in node else number if number in node else None
    if isinstance(node, list) and number is not None and number < len(node):
        return number
    return None


def _known(node: Any, before: Sequence[str]) -> list[str]:
    model = model_at(PipelineDefinition, before)
    fields = list(model.model_fields) if model is not None else []
    held = [str(key) for key in node] if isinstance(node, dict) else []
    held = [str(place) for place in range(len(node))] if isinstance(node, list) else held
    return list(dict.fromkeys([*held, *fields]))


def _written_out(model: type[BaseModel], value: Any) -> dict[str, Any]:
    """A shorthand such as `keep: all` as the mapping that it stands for; nothing, as an empty one."""
    if value is None:
        return {}
    try:
        return model.model_validate(value).model_dump(mode="json", exclude_unset=True)
    except ValidationError:
        return {}  # a wrong value whose fields are now being set


def _paths(value: Any, at: str) -> Iterator[str]:
    """Every dotted path of the data, but what a sample sets."""
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in held:
        if at == "sample.set":
            return
        here = f"{at}.{key}" if at else str(key)
        yield here
        yield from _paths(each, here)
