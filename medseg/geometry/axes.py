"""Cutting a volume into slices, and which way up a slice is shown.

A volume is RAS+ (I, J, K): I runs to the patient's right, J to anterior, K to superior. A slice is (H, W),
row 0 at the top, and is shown as radiologists look at it:

| axis     | slices run            | rows run              | columns run              |
| axial    | inferior to superior  | anterior to posterior | patient's right to left  |
| coronal  | posterior to anterior | superior to inferior  | patient's right to left  |
| sagittal | left to right         | superior to inferior  | anterior to posterior    |

So the patient's right is on the left of an axial or coronal picture (the radiological convention), and the
nose points to the left in a sagittal one. Nothing is resampled: cutting flips and permutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

AxisName = Literal["axial", "coronal", "sagittal"]
"""The names of the three axes, as definitions write them."""

_Number = TypeVar("_Number", int, float)


@dataclass(frozen=True)
class Axis:
    """One way to cut a RAS+ volume; rows and columns both run against their RAS axis.

    Attributes:
        name: `axial`, `coronal` or `sagittal`.
        along: Which of I, J, K (0, 1, 2) the slices are counted along.
        rows: Which of them the rows are counted along, backwards.
        columns: Which of them the columns are counted along, backwards.
    """

    name: AxisName
    along: int
    rows: int
    columns: int

    def cut(self, volume: NDArray[Any]) -> NDArray[Any]:
        """Cut (..., I, J, K) into slices (S, ..., H, W); a view of the same voxels."""
        lead = volume.ndim - 3
        order = (lead + self.along, *range(lead), lead + self.rows, lead + self.columns)
        return volume.transpose(order)[..., ::-1, ::-1]

    def stack(self, slices: NDArray[Any]) -> NDArray[Any]:
        """Stack slices (S, ..., H, W) to a volume (..., I, J, K): the inverse of `cut`; a view."""
        lead = slices.ndim - 3
        order = (lead + self.along, *range(lead), lead + self.rows, lead + self.columns)
        return slices[..., ::-1, ::-1].transpose(np.argsort(order))

    def volume_size(self, size: tuple[int, int], slices: int) -> tuple[int, int, int]:
        """The (I, J, K) shape of a volume that cuts into `slices` slices of `size` (H, W)."""
        shape = {self.along: slices, self.rows: size[0], self.columns: size[1]}
        return (shape[0], shape[1], shape[2])

    def seen(self, values: tuple[_Number, _Number, _Number]) -> tuple[_Number, _Number, _Number]:
        """Sort what belongs to (I, J, K), such as voxel sizes in mm, to (slice, row, column)."""
        return (values[self.along], values[self.rows], values[self.columns])


AXES: Mapping[AxisName, Axis] = {
    "axial": Axis("axial", along=2, rows=1, columns=0),
    "coronal": Axis("coronal", along=1, rows=2, columns=0),
    "sagittal": Axis("sagittal", along=0, rows=2, columns=1),
}
"""Every axis by its name."""
