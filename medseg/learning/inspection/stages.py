"""The blocks of a network in the order in which they compute; the last is its head, the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from monai.networks.layers import SkipConnection
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.inspection.trace import Calls, calls

#: Containers whose parts are blocks of their own. By exact type: MONAI's dense block is a Sequential too.
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, SkipConnection)

_MAPS = 3  # dimensions, with the batch: tokens have three, feature maps four, what a classifier gives two
_FILTERS = 2  # dimensions of weights that make new features; normalisations have one


@dataclass(frozen=True)
class Stage:
    """One block of a network, with what stands before the next: its normalisation, activation, pooling.

    Attributes:
        name: Of the layer or block that it is named after, dotted.
        modules: Names of the modules that it consists of; what they contain belongs to it too.
        parameters: Names of all its parameters.
    """

    name: str
    modules: tuple[str, ...]
    parameters: tuple[str, ...]


def stages(network: nn.Module, shape: tuple[int, int, int]) -> tuple[Stage, ...]:
    """Send one blank image through the network, and list its blocks; there are two at least.

    The head is the module that the network's method `head()` gives, if it has one. Else it is what has
    parameters and computes after the last feature maps; where there is no such layer, or nothing before it, it
    is the last layer, if that makes the channels of the output. Parameters that the blank image did not meet,
    which only training uses, count to the first block.

    Args:
        network: On any device; left as it was.
        shape: (C, H, W) of an image.

    Raises:
        DefinitionError: The network does not take such an image, or it is not known which part is its head.
    """
    seen, own = calls(network, shape), _own_head(network)
    units = sorted(_units(network, seen, own), key=lambda unit: unit.place)
    start = _head_start(network, units, own, seen)
    groups = _grouped(units[:start])
    if not groups:
        raise _unknown(network, "no layer with weights computes before its head")
    found = [_stage(group, next(unit.name for unit in group if unit.filters)) for group in groups]
    found.append(_stage(units[start:], own or next(unit.name for unit in units[start:] if unit.parameters)))
    return (_with_rest(network, found), *found[1:])


def head_names(network: nn.Module, shape: tuple[int, int, int]) -> frozenset[str]:
    """Names of the parameters and buffers of the head.

    Raises:
        DefinitionError: As `stages`.
    """
    starts = tuple(f"{name}." for name in stages(network, shape)[-1].modules)
    return frozenset(name for name in network.state_dict() if name.startswith(starts))


@dataclass(frozen=True)
class _Unit:
    """A module that is not opened further: its place among the calls, its parameters, and what it gave."""

    name: str
    place: int
    parameters: tuple[str, ...]
    filters: bool
    given: tuple[int, ...]


def _own_head(network: nn.Module) -> str | None:
    """The name of what the method `head()` gives; an attribute of that name that is a layer is no method."""
    method = getattr(network, "head", None)
    if isinstance(method, nn.Module) or not callable(method):
        return None
    head = method()
    found = next((name for name, module in network.named_modules() if module is head), "")
    if not found:
        raise _unknown(network, "its method `head()` gives no part of it")
    return found


def _units(network: nn.Module, seen: Calls, head: str | None) -> Iterator[_Unit]:
    """The blocks that computed."""
    done: set[int] = set()

    def opened(name: str, module: nn.Module, outer: bool) -> Iterator[_Unit]:
        if id(module) in done:
            return
        done.add(id(module))
        below = [part for part in seen.first if part.startswith(f"{name}.")] if name else list(seen.first)
        within = name != head and (
            outer
            or type(module) in _CONTAINERS
            or (head or "").startswith(f"{name}.")
            or (name not in seen.first and bool(below))
        )
        children = list(module.named_children())
        if not within or not children:
            if name in seen.first or below:
                yield _unit(network, name, seen, below)
            return
        weighty = [child for _, child in children if any(True for _ in child.parameters())]
        for part, child in children:
            path = f"{name}.{part}" if name else part
            yield from opened(path, child, outer and weighty == [child])

    yield from opened("", network, True)


def _unit(network: nn.Module, name: str, seen: Calls, below: Sequence[str]) -> _Unit:
    parameters = {
        path: tensor
        for path, tensor in network.named_parameters()
        if path.startswith(f"{name}." if name else "")
    }
    called = [name] if name in seen.first else below
    # What has no weights may serve several blocks, as an activation does: it counts to the last of them.
    place = (
        min(seen.first[path] for path in called) if parameters else max(seen.last[path] for path in called)
    )
    last = max(called, key=lambda path: seen.last[path])
    filters = any(tensor.ndim >= _FILTERS for tensor in parameters.values())
    return _Unit(name, place, tuple(parameters), filters, seen.given[last])


def _head_start(network: nn.Module, units: Sequence[_Unit], own: str | None, seen: Calls) -> int:
    """Where in the order of the units the head begins, with its dropout."""
    weighty = [place for place, unit in enumerate(units) if unit.parameters]
    if own is not None:
        at = next((place for place, unit in enumerate(units) if unit.name == own), None)
        if at is None:
            raise _unknown(network, f"its method `head()` gives {own}, which does not compute")
        before = [i for i in range(at) if len(units[i].given) >= _MAPS or units[i].parameters]
        return max(before, default=-1) + 1
    start = max((place for place, unit in enumerate(units) if len(unit.given) >= _MAPS), default=-1) + 1
    if weighty and weighty[0] < start <= weighty[-1]:
        return start
    if not weighty:
        raise _unknown(network, "it has no layer with parameters")
    last = units[weighty[-1]]
    layers = {path.rpartition(".")[0] for path in last.parameters}
    if len(layers) == 1 and len(last.given) > 1 and last.given[1] == seen.output[1]:
        return weighty[-1]
    raise _unknown(network, f"its last block, {last.name}, is more than one layer")


def _grouped(units: Sequence[_Unit]) -> list[list[_Unit]]:
    """A block begins where filters follow filters; what has none goes with the block before it."""
    groups: list[list[_Unit]] = [[]]
    for unit in units:
        if unit.filters and any(each.filters for each in groups[-1]):
            groups.append([])
        groups[-1].append(unit)
    return groups if any(unit.filters for unit in groups[0]) else []


def _stage(units: Sequence[_Unit], name: str) -> Stage:
    parameters = tuple(path for unit in units for path in unit.parameters)
    return Stage(name, tuple(unit.name for unit in units), parameters)


def _with_rest(network: nn.Module, found: Sequence[Stage]) -> Stage:
    """The first block with the parameters of none."""
    known = {path for stage in found for path in stage.parameters}
    rest = tuple(path for path, _ in network.named_parameters() if path not in known)
    return replace(found[0], parameters=(*found[0].parameters, *rest))


def _unknown(network: nn.Module, reason: str) -> DefinitionError:
    return DefinitionError(
        f"it is not known which part of {type(network).__name__} are its features and which its head: {reason}. "
        "A network can declare it by a method `head()` that gives the module of its head."
    )
