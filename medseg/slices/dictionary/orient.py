"""Turning volumes without resampling: to the patient's axes, and from there to slices, rows and columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data.meta_tensor import MetaTensor
from monai.transforms.inverse import InvertibleTransform, TraceableTransform
from monai.transforms.transform import MapTransform
from monai.utils.enums import TraceKeys
from nibabel.orientations import aff2axcodes, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray

from medseg.geometry.axes import AXES, Axis, AxisName
from medseg.geometry.grid import Geometry
from medseg.images.refusal import RefusedError
from medseg.slices.transforms import affine_of

_ORDER = np.array([[0, 1], [1, 1], [2, 1]])  # of nibabel: each axis to its own place, in its own direction


class _Turned(MapTransform, InvertibleTransform):
    """Flips and swaps the spatial axes of (N, A, B, C), and tells the affine."""

    @abstractmethod
    def _turn(self, tensor: torch.Tensor) -> NDArray[np.float64]:
        """Where each axis goes and in which direction, as nibabel writes it: (3, 2)."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Turn each key."""
        done = dict(data)
        for key in self.key_iterator(done):
            tensor = done[key]
            turn = self._turn(tensor)
            moved = self._moved(tensor, turn)
            if isinstance(tensor, MetaTensor):
                shape = tuple(tensor.shape[1:])
                moved = self._traced(tensor, moved, turn, affine_of(tensor) @ inv_ornt_aff(turn, shape))
            done[key] = moved
        return done

    def inverse(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        """Turn each key back."""
        done = dict(data)
        for key in self.key_iterator(done):
            known = self.pop_transform(done[key])[TraceKeys.EXTRA_INFO]
            back = MetaTensor(
                turned(done[key].as_tensor(), ornt_transform(_ORDER, np.asarray(known["turn"])))
            )
            back.copy_meta_from(done[key])
            back.affine = known["affine"]
            done[key] = back
        return done

    def _moved(self, tensor: torch.Tensor, turn: NDArray[np.float64]) -> torch.Tensor:
        """The voxels where they belong, in the order in memory that those who come after read fast."""
        return turned(tensor, turn)

    def _traced(
        self, before: MetaTensor, after: torch.Tensor, turn: NDArray[np.float64], affine: NDArray[np.float64]
    ) -> torch.Tensor:
        if not isinstance(after, MetaTensor):
            after = MetaTensor(after)
        traced = TraceableTransform.track_transform_meta(
            before,
            affine=torch.from_numpy(inv_ornt_aff(turn, tuple(before.shape[1:]))),
            extra_info={"turn": turn, "affine": affine_of(before)},
            transform_info=self.get_transform_info(),
        )
        after.copy_meta_from(traced)
        after.affine = affine  # as medseg.geometry computes it, to the last bit
        return after


class OrientRASd(_Turned):
    """Flip and swap axes to the closest RAS+ order: I runs to the patient's right, J to anterior, K up.

    Nothing is resampled: an oblique volume stays oblique. `inverse` leads back to the order of the file.

    Args:
        keys: Of MetaTensors (C, I, J, K), such as `LoadCased` makes.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        RefusedError: There is no MetaTensor with an affine, or not of three spatial axes.
    """

    def _turn(self, tensor: torch.Tensor) -> NDArray[np.float64]:
        if not isinstance(tensor, MetaTensor):
            raise RefusedError(
                f"{type(tensor).__name__} knows no orientation, where a MetaTensor was expected",
                "Load it with LoadCased, or with LoadImaged(reader=medseg.readers.NiftiReader()).",
            )
        _of_volumes(tensor, "OrientRASd")
        return np.asarray(io_orientation(affine_of(tensor)), dtype=np.float64)

    def _moved(self, tensor: torch.Tensor, turn: NDArray[np.float64]) -> torch.Tensor:
        # In C order, whatever the file's: torch selects voxels by a mask half as fast in any other. NumPy flips,
        # swaps and copies at once, in a quarter of the time that torch takes to flip and then to copy.
        if tensor.device.type != "cpu":
            return turned(tensor, turn).contiguous()
        plain = _plain(tensor)
        view = plain.numpy()[(..., *(slice(None, None, int(way)) for way in turn[:, 1]))]
        view = view.transpose(_order(tensor.ndim, turn))
        moved = plain.new_empty(view.shape)
        _copy(view, moved.numpy())
        return moved

    def recall(self, tensor: MetaTensor, stored: Geometry) -> MetaTensor:
        """Note in a tensor that is RAS+ already that it was turned so, and from what: `inverse` then undoes it."""
        before = MetaTensor(
            tensor.as_tensor().new_empty((0, *stored.shape)), affine=torch.from_numpy(stored.affine)
        )
        turn = np.asarray(io_orientation(stored.affine), dtype=np.float64)
        found = self._traced(before, tensor, turn, stored.ras_affine)
        assert isinstance(found, MetaTensor)  # noqa: S101  it was one
        return found


class CutSlicesd(_Turned):
    """Cut RAS+ volumes (C, I, J, K) into slices (C, S, H, W), the way up that radiologists look at them.

    Directions are those of `medseg.geometry.axes`: in an axial slice row 0 is anterior, column 0 the patient's right.
    Each slice is one place of axis 1, of which MONAI's `SplitDimd(keys, dim=1, keepdim=False, list_output=True)`
    makes an item each. `inverse` stacks them again.

    Args:
        keys: Of the volumes.
        axis: `axial`, `coronal` or `sagittal`.
        any_orientation: Cut along I, J and K wherever they run, as where a transform before has turned the volume on
            purpose; otherwise a volume that is not RAS+ is refused.
        allow_missing_keys: Leave out keys that are not there.

    Raises:
        RefusedError: The volume is not RAS+, or does not have three spatial axes.
    """

    def __init__(
        self,
        keys: str | Sequence[str],
        axis: AxisName = "axial",
        any_orientation: bool = False,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if axis not in AXES:
            raise ValueError(f"axis is {axis!r}, expected one of {', '.join(AXES)}")
        self.axis: Axis = AXES[axis]
        self.any_orientation = any_orientation

    def _turn(self, tensor: torch.Tensor) -> NDArray[np.float64]:
        _of_volumes(tensor, "CutSlicesd")
        runs = "".join(aff2axcodes(affine_of(tensor))) if isinstance(tensor, MetaTensor) else "unknown"
        if runs != "RAS" and not self.any_orientation:
            raise RefusedError(
                f"the axes of the volume run to {runs}, where RAS was expected",
                "Put OrientRASd before CutSlicesd; or set any_orientation, if it was turned on purpose.",
            )
        turn = np.empty((3, 2))
        turn[self.axis.along], turn[self.axis.rows], turn[self.axis.columns] = (0, 1), (1, -1), (2, -1)
        return turn


def turned(tensor: torch.Tensor, turn: NDArray[np.float64]) -> torch.Tensor:
    """Flip and swap the last three axes; voxels keep their order in memory, but for the flips."""
    flips = [axis - 3 for axis in range(3) if turn[axis, 1] < 0]
    plain = _plain(tensor)
    return (plain.flip(flips) if flips else plain).permute(_order(tensor.ndim, turn))


def _copy(view: NDArray[Any], made: NDArray[Any]) -> None:
    """Fill (N, A, B, C) in C order, plane by plane.

    A plane is made of the axis along which voxels lie together in the one and of that in the other: it fits into a
    cache, and the whole volume does not.
    """
    together = min((1, 2, 3), key=lambda axis: abs(view.strides[axis]))
    along = 2 if together == 1 else 1
    for source, target in zip(np.moveaxis(view, along, 0), np.moveaxis(made, along, 0), strict=True):
        target[:] = source


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else torch.as_tensor(tensor)


def _order(axes: int, turn: NDArray[np.float64]) -> tuple[int, ...]:
    """Which axis comes where: those before the last three stay."""
    lead = axes - 3
    return (*range(lead), *(lead + int(axis) for axis in np.argsort(turn[:, 0])))


def _of_volumes(tensor: torch.Tensor, name: str) -> None:
    if tensor.ndim != 4:
        raise RefusedError(
            f"an array of shape {tuple(tensor.shape)}, where {name} takes volumes (C, I, J, K)",
            "Put it after LoadCased; a picture (C, H, W) of a reader needs neither.",
        )
