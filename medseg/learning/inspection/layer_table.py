"""A network layer by layer: shapes, parameters, memory, and where branches are joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from medseg.errors import ModelError
from medseg.learning.inspection.trial_pass import After, Before, blank_image, evaluating, watched

#: Functions that join what they are given.
_JOINING = frozenset(
    {
        "cat",
        "concat",
        "concatenate",
        "stack",
        "hstack",
        "vstack",
        "dstack",
        "add",
        "add_",
        "__add__",
        "__iadd__",
    }
)


@dataclass(frozen=True)
class Layer:
    """One use of one layer.

    Attributes:
        name: Dotted name in the network; that of its first place where a layer stands in several.
        kind: Name of its class.
        shape: Of its output, without the batch: (C, H, W) of feature maps; None where it was not called, or
            gives no tensor.
        parameters: Its own numbers, not yet counted by a row above.
        trainable: Those of them that training may change.
        activation_bytes: Of its output, for one image; 0 where that lies in memory counted before.
        joins: Places in the table, from 0, of the layers whose outputs are concatenated or added on the way
            to this one; empty where its input is one layer's.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    activation_bytes: int
    joins: tuple[int, ...] = ()


@dataclass(frozen=True)
class NetworkDescription:
    """A network as a table.

    Attributes:
        layers: In the order in which they compute. A layer that is used twice stands twice, its parameters
            in the first row; what holds parameters and is no layer has a row too, so that the rows add up.
        parameters: All numbers that weights consist of.
        trainable: Those that training may change.
        input_shape: (C, H, W) of the image that was sent through.
        output_shape: Of the output, without the batch; None if it is no tensor.
        weights_bytes: Of parameters and buffers, as they are.
        activation_bytes: Of the outputs of all layers, for one image: more than prediction holds at a time,
            and without the work buffers of training.
        joins: Places in the table of the layers whose outputs are joined in the network's output.
    """

    layers: tuple[Layer, ...]
    parameters: int
    trainable: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...] | None
    weights_bytes: int
    activation_bytes: int
    joins: tuple[int, ...] = ()


def describe(network: torch.nn.Module, shape: Sequence[int]) -> NetworkDescription:
    """Send one blank image through the network, in evaluation mode, and note what each layer gives.

    Joins are found where tensors are concatenated, stacked or added by functions of torch; those inside a
    function that autograd was taught by hand, or inside a compiled one, are not.

    Args:
        network: On any device; modes, weights, buffers and random generators are left as they are.
        shape: (C, H, W) of the image.

    Raises:
        ModelError: The network does not take such an image.
    """
    parameters, buffers = list(network.parameters()), list(network.buffers())
    image = blank_image(network, tuple(shape))
    notes = _Notes()
    try:
        with evaluating(network), watched(network, notes.watchers), notes.flow, torch.no_grad():
            given = network(image)
    except Exception as error:  # networks raise anything at a shape they do not take
        raise ModelError(f"the network does not take an image {tuple(shape)}: {error!s:.300}") from error
    notes.never_called(network)
    return NetworkDescription(
        tuple(notes.rows),
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
        tuple(shape),
        _shape(given),
        sum(t.numel() * t.element_size() for t in (*parameters, *buffers)),
        sum(row.activation_bytes for row in notes.rows),
        tuple(sorted(notes.flow.joins(_tensors(given)))),
    )


class _Flow(TorchFunctionMode):
    """Follows tensors: from which rows each comes, and whether rows were joined in it."""

    def __init__(self) -> None:
        super().__init__()
        self.origins: Any = WeakTensorKeyDictionary()
        self.joined: Any = WeakTensorKeyDictionary()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call the function, and note what its results are made of."""
        given = list(_tensors((args, kwargs or {})))
        known = [self.origins[tensor] for tensor in given if tensor in self.origins]
        before = self.joins(given)
        result = func(*args, **(kwargs or {}))
        if known:
            joining = len(known) > 1 and getattr(func, "__name__", "") in _JOINING
            for tensor in _tensors(result):
                self.origins[tensor] = frozenset().union(*known)
                self._mark(tensor, self.origins[tensor] if joining else before)
        return result

    def produced(self, row: int, tensor: torch.Tensor) -> None:
        """Say that a tensor is the output of a row."""
        self.origins[tensor] = frozenset({row})
        self._mark(tensor, frozenset())

    def joins(self, tensors: Iterable[torch.Tensor]) -> frozenset[int]:
        """The rows that were joined in any of these tensors since a layer gave them."""
        return frozenset().union(*(self.joined.get(tensor, frozenset()) for tensor in tensors))

    def _mark(self, tensor: torch.Tensor, rows: frozenset[int]) -> None:
        if rows:
            self.joined[tensor] = rows
        else:
            self.joined.pop(tensor, None)


class _Notes:
    """Writes the rows while the image passes."""

    def __init__(self) -> None:
        self.rows: list[Layer] = []
        self.flow = _Flow()
        self.counted: set[int] = set()
        self.open: list[tuple[int, list[tuple[torch.Tensor, int]]]] = []
        self.containers: dict[int, int] = {}

    def watchers(self, name: str, module: torch.nn.Module) -> tuple[Before | None, After | None]:
        """What notes a leaf, or a container with parameters of its own."""
        if not any(module.children()):
            return self.entered(name), self.left
        own = any(True for _ in module.parameters(recurse=False))
        return (self.opened(name), self.closed) if own else (None, None)

    def entered(self, name: str) -> Before:
        """A hook for a leaf before it computes."""

        def note(module: torch.nn.Module, args: Any, kwargs: Any) -> None:
            given = list(_tensors((args, kwargs)))
            joins = self.flow.joins(given)
            sources = [self.flow.origins[tensor] for tensor in given if tensor in self.flow.origins]
            if len(set(sources)) > 1:  # the layer itself joins what it is given
                joins = joins.union(*sources)
            self.open.append((len(self.rows), [(tensor, _version(tensor)) for tensor in given]))
            self.rows.append(self._row(name, module, tuple(sorted(joins))))

        return note

    def left(self, _: torch.nn.Module, __: Any, ___: Any, output: Any) -> Any:
        """A hook for a leaf after it computed."""
        row, given = self.open.pop()
        before = {tensor.untyped_storage().data_ptr() for tensor, _ in given}
        found = list(_tensors(output))
        new = {tensor.untyped_storage().data_ptr(): _bytes(tensor) for tensor in found}
        size = sum(count for place, count in new.items() if place not in before)
        self.rows[row] = replace(self.rows[row], shape=_shape(output), activation_bytes=size)
        for tensor, version in given:
            if _version(tensor) != version:  # changed in place: it holds this layer's output now
                self.flow.produced(row, tensor)
        if isinstance(output, torch.Tensor):
            # What a layer hands through stays its input's as well: both may be joined later.
            output = output.detach() if any(output is tensor for tensor, _ in given) else output
            found = [output]
        for tensor in found:
            self.flow.produced(row, tensor)
        return output

    def opened(self, name: str) -> Before:
        """A hook for a container with parameters of its own, before its parts compute."""

        def note(module: torch.nn.Module, _: Any, __: Any) -> None:
            if id(module) not in self.containers:
                self.containers[id(module)] = len(self.rows)
                self.rows.append(self._row(name, module, ()))

        return note

    def closed(self, module: torch.nn.Module, _: Any, __: Any, output: Any) -> None:
        """A hook for a container after its parts computed."""
        row = self.containers[id(module)]
        self.rows[row] = replace(self.rows[row], shape=_shape(output))

    def never_called(self, network: torch.nn.Module) -> None:
        """Rows for what holds parameters and did not compute by itself."""
        for name, module in network.named_modules():
            if any(id(p) not in self.counted for p in module.parameters(recurse=False)):
                self.rows.append(self._row(name, module, ()))

    def _row(self, name: str, module: torch.nn.Module, joins: tuple[int, ...]) -> Layer:
        own = [p for p in dict.fromkeys(module.parameters(recurse=False)) if id(p) not in self.counted]
        self.counted |= {id(p) for p in own}
        numbers = sum(p.numel() for p in own)
        trainable = sum(p.numel() for p in own if p.requires_grad)
        return Layer(name, type(module).__name__, None, numbers, trainable, 0, joins)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _tensors(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _shape(output: Any) -> tuple[int, ...] | None:
    """Of the first tensor, without the batch."""
    first = next(_tensors(output), None)
    return None if first is None or not first.ndim else tuple(first.shape[1:])


def _version(tensor: torch.Tensor) -> int:
    """How often it was changed in place; torch has no public name for it."""
    return int(tensor._version)  # noqa: SLF001


def _bytes(tensor: torch.Tensor) -> int:
    return int(tensor.numel() * tensor.element_size())
