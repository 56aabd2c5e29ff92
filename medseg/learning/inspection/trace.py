"""Which modules of a network one image passes through, and in which order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from medseg.errors import DefinitionError
from medseg.learning.inspection.trial_pass import After, Before, blank_image, evaluating, watched


@dataclass
class Calls:
    """What happened while one image passed.

    Attributes:
        first: At which place in the order of all calls each module was called first, by its name.
        last: At which place last.
        given: Shape of what each gave last, with the batch; () where that is no tensor.
        output: Shape of what the network gave.
        stem: Names of the first convolution and of those that were given the same tensor.
    """

    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    given: dict[str, tuple[int, ...]] = field(default_factory=dict)
    output: tuple[int, ...] = ()
    stem: list[str] = field(default_factory=list)
    _count: int = 0
    _image: Any = None

    def watchers(self, name: str, _: nn.Module) -> tuple[Before, After]:
        """What notes the calls of a module."""

        def entered(module: nn.Module, given: Any, _: Any) -> None:
            self._count += 1
            self.first.setdefault(name, self._count)
            self.last[name] = self._count
            if isinstance(module, _ConvNd) and not isinstance(module, _ConvTransposeNd) and given:
                self._image = given[0] if self._image is None else self._image
                if given[0] is self._image and module.groups == 1:
                    self.stem.append(name)

        def left(_: nn.Module, __: Any, ___: Any, output: Any) -> None:
            self.given[name] = _shape(output)

        return entered, left

    def done(self, output: Any) -> Calls:
        """The same without the image, once the network has given its output."""
        self.output, self._image = _shape(output), None
        return self


def calls(network: nn.Module, shape: tuple[int, int, int]) -> Calls:
    """Send one blank image (C, H, W) through the network, in evaluation mode.

    Args:
        network: On any device; modes, weights, buffers and random generators are left as they are.
        shape: Of the image.

    Raises:
        DefinitionError: The network does not take such an image.
    """
    found = Calls()
    try:
        with watched(network, found.watchers), evaluating(network), torch.no_grad():
            return found.done(network(blank_image(network, shape)))
    except Exception as error:  # networks raise anything at a shape they do not take
        raise DefinitionError(f"the network does not take an image {shape}: {error!s:.300}") from error


def _shape(output: Any) -> tuple[int, ...]:
    """Of the first tensor."""
    while isinstance(output, list | tuple) and output:
        output = output[0]
    return tuple(output.shape) if isinstance(output, torch.Tensor) else ()
