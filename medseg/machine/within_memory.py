"""Letting torch compute what somebody else declared, without taking more memory than there is."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import floor, prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from medseg.machine.memory import available_memory

#: Tensors that may be made; the largest networks of the field have about ten thousand.
MOST_TENSORS = 20_000

# What these give is as large as their first tensor. Asked without data, torch would import its compiler to answer,
# which takes seconds.
_ALIKE = frozenset({
    "batch_norm", "celu", "dropout", "dropout1d", "dropout2d", "dropout3d", "elu", "gelu", "group_norm",
    "hardsigmoid", "hardswish", "hardtanh", "instance_norm", "layer_norm", "leaky_relu", "log_softmax", "mish",
    "prelu", "relu", "relu6", "selu", "sigmoid", "silu", "softmax", "softplus", "tanh",
})  # fmt: skip
_OF_ALIKE = frozenset({"add", "div", "mul", "sub"})  # and these, where all have one shape

# What can make much more than it gets: of what transforms do, the rest need not be asked.
_GROWING = frozenset({
    "affine_grid", "arange", "broadcast_to", "empty", "expand", "full", "grid_sample", "interpolate", "linspace",
    "meshgrid", "new_empty", "new_full", "new_ones", "new_zeros", "ones", "ones_like", "pad", "rand", "randn",
    "repeat", "repeat_interleave", "stack", "tile", "zeros", "zeros_like",
})  # fmt: skip

_STEP = 1 << 26  # bytes after which is asked how much memory is free


class TooLargeError(RuntimeError):
    """What was to be built does not fit into memory."""


@contextmanager
def within_memory(*, kept: bool = False, growing: bool = False) -> Iterator[None]:
    """Within it, torch makes no tensor on the CPU that does not fit into memory, nor more than `MOST_TENSORS`.

    What a tensor will take, the same function without data gives before (on the device `meta`), so that nothing is
    computed twice and random numbers are as they would be. What a function makes only to drop it is not seen.

    Args:
        kept: All that is made stays, as the parameters of a network: half the memory that is free is the most then,
            since what trains or predicts needs the other.

        growing: Only functions that can make much more than they get are counted, as of transforms: the rest makes
            no more than the volume that is there.

    Raises:
        TooLargeError: Something does not fit.
    """
    with _Weighed(available_memory() // 2 if kept else None, _GROWING if growing else None):
        yield


def is_unmade(network: torch.nn.Module) -> bool:
    """Whether weights of a network are only made once it is given something: what that makes stays."""
    return any(map(is_lazy, network.parameters()))


class _Weighed(TorchFunctionMode):
    # A mode of the dispatcher would see more, and imports the compiler of torch, which takes seconds.

    def __init__(self, most: int | None, counted: Container[str] | None) -> None:
        super().__init__()
        self._counted = counted  # names of functions; all where there are none
        self._most = most  # bytes in all
        self._made = self._bytes = 0
        self._unseen = 0  # bytes that were made since it was asked how much is free

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        del types
        given = dict(kwargs or {})
        name = getattr(func, "__name__", "_")
        in_place = name.endswith("_")  # `add_` makes nothing new, nor does `__get__`
        if not in_place and (self._counted is None or name in self._counted):
            self._count(_nbytes(func, args, given))
        found = func(*args, **given)
        # some ways to pad are NumPy's alone
        return found.view(_HandedOn) if name == "numpy" and isinstance(found, np.ndarray) else found

    def _count(self, nbytes: int) -> None:
        self._made += nbytes > 0
        if self._made > MOST_TENSORS:
            raise TooLargeError(f"it is made of more than {MOST_TENSORS} tensors")
        self._bytes += nbytes
        if self._most is not None and self._bytes > self._most:
            raise TooLargeError(
                f"it does not fit into memory: it asks for more than {self._most / 2**30:.3g} GiB, half of "
                "what is free"
            )
        self._unseen += nbytes
        if self._unseen < _STEP:
            return
        _refuse_unfit(self._unseen)
        self._unseen = 0


class _HandedOn(np.ndarray[Any, Any]):
    """An array that torch hands to NumPy, which pads it to no more than fits into memory."""

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if func is np.pad:
            _refuse_unfit(_padded_nbytes(*args, **kwargs))
        return super().__array_function__(func, types, args, kwargs)


def _padded_nbytes(array: NDArray[Any], pad_width: Any, *_: Any, **__: Any) -> int:
    pairs = np.broadcast_to(np.asarray(pad_width), (array.ndim, 2)).tolist()
    return array.itemsize * prod(
        size + before + after for size, (before, after) in zip(array.shape, pairs, strict=True)
    )


def _refuse_unfit(nbytes: int) -> None:
    free = available_memory()
    if nbytes > free:
        raise TooLargeError(
            f"it does not fit into memory: it asks for {nbytes / 2**30:.3g} GiB at once, and "
            f"{free / 2**30:.3g} GiB are free"
        )


def _nbytes(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Bytes that a function makes; 0 where only its data tell, or where what it gives is a view of what it got."""
    held = list(_tensors((*args, *kwargs.values())))
    name, shapes = getattr(func, "__name__", ""), {each.shape for each in held}
    if held and (name in _ALIKE or (name in _OF_ALIKE and len(shapes) == 1)):
        return held[0].nbytes
    if name == "cat":
        return sum(each.nbytes for each in held)
    try:
        if name in _SPELT_OUT:
            return held[0].element_size() * prod(_SPELT_OUT[name](*args, **kwargs))
        bare, more = [_bare(each) for each in args], {key: _bare(each) for key, each in kwargs.items()}
        left = next(_tensors((*bare, *more.values())), None)
        where = {} if left is not None else {"device": torch.device("meta")}
        made = func(*bare, **{**more, **where})
    except Exception:  # noqa: BLE001 - no function that makes tensors, or it fails in earnest as well
        return 0
    return sum(
        each.numel() * each.element_size()
        for each in _tensors((made,))
        if each.is_meta and not each._is_view()  # noqa: SLF001 - torch has no other
    )


def _tensors(given: Iterable[Any]) -> Iterator[torch.Tensor]:
    """Those among arguments, and within lists and the like; several times as fast as torch's own trees."""
    for each in given:
        if isinstance(each, torch.Tensor):
            yield each
        elif isinstance(each, list | tuple):
            yield from _tensors(each)
        elif isinstance(each, dict):
            yield from _tensors(each.values())


def _interpolated(
    input: torch.Tensor,  # noqa: A002 - as torch calls it
    size: Any = None,
    scale_factor: Any = None,
    *_: Any,
    **__: Any,
) -> list[int]:
    axes = input.ndim - 2
    each = size if size is not None else scale_factor
    sides = list(each) if isinstance(each, list | tuple | torch.Size) else [each] * axes
    if size is None:
        sides = [floor(side * factor) for side, factor in zip(input.shape[2:], sides, strict=True)]
    return [*input.shape[:2], *(int(side) for side in sides)]


def _sampled(input: torch.Tensor, grid: torch.Tensor, *_: Any, **__: Any) -> list[int]:  # noqa: A002 - as before
    return [*input.shape[:2], *grid.shape[1:-1]]


def _linear(input: torch.Tensor, weight: torch.Tensor, *_: Any, **__: Any) -> list[int]:  # noqa: A002 - as before
    return [*input.shape[:-1], *weight.shape[:-1]]


#: Shapes of what torch spells out in Python where it is asked without data: what resamples takes a tenth of a second,
#: and the first linear layer two, for what is imported.
_SPELT_OUT: Mapping[str, Callable[..., list[int]]] = {
    "interpolate": _interpolated,
    "grid_sample": _sampled,
    "linear": _linear,
}


def _bare(given: Any) -> Any:
    """An argument without its data; of sizes, which may be tensors of one whole number each, the numbers."""
    if isinstance(given, torch.Tensor):
        return _without_data(given)
    if not isinstance(given, list | tuple | dict):
        return given
    return tree_map_only(torch.Tensor, _size_or_bare, given)


def _size_or_bare(tensor: torch.Tensor) -> Any:
    whole = tensor.ndim == 0 and not tensor.is_floating_point() and not tensor.is_complex()
    return tensor.item() if whole else _without_data(tensor)


def _without_data(tensor: torch.Tensor) -> torch.Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device="meta")
