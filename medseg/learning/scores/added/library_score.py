"""Metrics of MONAI and TorchMetrics as scores."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.surface_distance import extended


class LibraryScore:
    """A metric of MONAI or TorchMetrics, of each class and region against the rest.

    The metric is called as these libraries have it, with the prediction before the truth, of one name of one
    case at a time: (1, 1, ...) float32 of 0 and 1 for MONAI, uint8 for others. Metrics of MONAI that take the spacing
    of voxels get it, in mm, where it is known. A volume of one slice is given as that slice, (1, 1, H, W): as a
    volume, all of a mask would be surface.

    Where neither has the name, the case does not count. Metrics that give no finite number where one alone has
    it, as distances do, need `missed`.

    Args:
        metric: Such as `monai.metrics.SurfaceDiceMetric`; made for one channel.
        name: What the score is called.
        missed: Its value where truth or prediction alone has the name.
        larger_is_better: Whether it is a score, and not a distance or an error.
    """

    def __init__(
        self,
        metric: Callable[..., Any],
        name: str,
        missed: float | None = None,
        larger_is_better: bool = True,
    ) -> None:
        self.metric, self.name, self.missed, self.larger_is_better = metric, name, missed, larger_is_better
        of_monai = getattr(metric, "_compute_tensor", None)
        self._type = torch.uint8 if of_monai is None else torch.float32
        taken = {} if of_monai is None else inspect.signature(of_monai).parameters
        self._spaced = any(each.kind is each.VAR_KEYWORD or key == "spacing" for key, each in taken.items())

    def __call__(self, case: MaskCase, /) -> Mapping[str, float]:
        """The metric by name."""
        if not isinstance(case, MaskCase):
            raise TypeError("metrics of libraries are of masks here")
        found = {}
        for name in case.names:
            truth, predicted = case.masks(name)
            if not (truth.any() or predicted.any()):
                continue
            one_alone = not (truth.any() and predicted.any())
            if one_alone and self.missed is not None:
                found[name] = self.missed
                continue
            found[name] = self._asked(case, predicted, truth)
            if one_alone and not isfinite(found[name]):
                raise ValueError(
                    f"{type(self.metric).__name__} gives {found[name]} where truth or prediction alone has {name}; "
                    "say in `missed` what it is then"
                )
        return found

    def _asked(self, case: MaskCase, *masks: NDArray[np.bool_]) -> float:
        axes = extended(case.truth.shape)
        shape = [1, 1, *(case.truth.shape[axis] for axis in axes)]
        spacing = {"spacing": [case.spacing[axis] for axis in axes]} if self._spaced and case.spacing else {}
        pair = (torch.from_numpy(mask.astype(np.uint8)).reshape(shape).to(self._type) for mask in masks)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of masks that are empty, for which `missed` stands
            value = self.metric(*pair, **spacing)
        reset = getattr(self.metric, "reset", None)
        if reset is not None:
            reset()  # they add up what they have seen
        value = torch.as_tensor(value)
        if value.numel() != 1:
            raise ValueError(
                f"{type(self.metric).__name__} gave {value.numel()} numbers of one class; expected one"
            )
        return float(value)
