"""Running the MONAI transforms of a definition on a volume, and undoing the spatial ones."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from monai.data.meta_obj import get_track_meta, set_track_meta
from monai.data.meta_tensor import MetaTensor
from monai.transforms.compose import Compose
from monai.transforms.inverse import InvertibleTransform
from monai.transforms.transform import MapTransform
from monai.transforms.utils import convert_applied_interp_mode
from numpy.typing import NDArray
from scipy import ndimage

from medseg.allowed import Allowed
from medseg.component import build
from medseg.errors import DataError
from medseg.machine.within_memory import TooLargeError, within_memory

TRANSFORMS_KEY = "slices.transforms"
"""Where a definition lists the transforms of a preparation."""

_LOCK = threading.Lock()
_USERS: list[bool] = []


@contextmanager
def tracked() -> Iterator[None]:
    """Let MONAI follow the geometry inside the block, whatever the program set; safe in threads.

    MONAI's switch is one for the process: the first to enter turns it on, the last to leave puts back what
    was set before.
    """
    with _LOCK:
        _USERS.append(_USERS[0] if _USERS else get_track_meta())
        set_track_meta(True)
    try:
        yield
    finally:
        with _LOCK:
            before = _USERS.pop()
            if not _USERS:
                set_track_meta(before)


class Chain:
    """The transforms of one definition, built afresh for one volume.

    MONAI recognises its own traces by the identity of the transform, so that only the chain that was
    applied can be undone; it is kept with what came out of it.
    """

    def __init__(self, specs: Sequence[Mapping[str, Any]], *, at: str, allowed: Allowed) -> None:
        self.transforms = [
            build(spec, at=f"{at}.{i}", kind=MapTransform, allowed=allowed) for i, spec in enumerate(specs)
        ]
        for transform in self.transforms:
            # A volume without truth has no label, and predictions come back alone. `check_transforms` has
            # refused misspelt keys by then.
            transform.allow_missing_keys = True
        self._compose = Compose(self.transforms)

    def apply(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Run all transforms, never lazily, on `image` (C, I, J, K) and `label` (1, I, J, K)."""
        if not self.transforms:
            return dict(data)
        with tracked(), torch.no_grad(), within_memory(growing=True):
            return dict(self._compose(dict(data), lazy=False))

    def undo(self, volume: NDArray[Any], trace: MetaTensor, *, nearest: bool) -> NDArray[Any]:
        """Bring (N, i, j, k) on the grid of the transformed image back to the grid before.

        Args:
            volume: On the grid of `trace`.
            trace: The transformed image; its voxels are not read.
            nearest: Take the nearest voxel where the inverse resamples; else interpolate linearly.
        """
        if not self.moves:
            return volume
        return undone(self._compose, np.array(volume, dtype=np.float32), trace, nearest=nearest)

    @property
    def moves(self) -> bool:
        """Whether some of them move voxels, so that the way back resamples, or may."""
        return any(isinstance(each, InvertibleTransform) for each in self.transforms)


def undone(compose: Compose, maps: NDArray[Any], trace: MetaTensor, *, nearest: bool) -> NDArray[Any]:
    """Lead maps back the way that an image came, through transforms that were applied to it under `image`.

    Args:
        compose: The very transforms: MONAI knows its traces by them.
        maps: (N, ...) on the grid of the transformed image, of its own memory; the dtype is kept where nothing is
            resampled.
        trace: The transformed image; its voxels are not read.
        nearest: Take the nearest voxel where the inverse resamples; else interpolate linearly.
    """
    # A copy, because MONAI takes entries out while it inverts.
    operations = copy.deepcopy(trace.applied_operations)
    mode = "nearest" if nearest else "bilinear"
    with tracked(), torch.no_grad(), within_memory(growing=True):
        carried = MetaTensor(torch.from_numpy(maps), meta=dict(trace.meta))
        carried.applied_operations = convert_applied_interp_mode(operations, mode=mode, align_corners=None)
        return as_array(compose.inverse({"image": carried})["image"])


def why(error: BaseException) -> str:
    """Why a transform failed: MONAI puts what was raised behind errors of its own."""
    raised: BaseException | None = error
    while raised is not None and not isinstance(raised, TooLargeError):
        raised = raised.__cause__
    return str(raised or error.__cause__ or error) or type(error).__name__


def as_meta(array: NDArray[Any], affine: NDArray[np.float64]) -> MetaTensor:
    """A copy of an array as MetaTensor, so that no transform writes into the caller's.

    In C order, whatever the file's: torch selects voxels by a mask half as fast in any other.
    """
    with tracked():
        return MetaTensor(
            torch.from_numpy(np.array(array, order="C")), affine=torch.from_numpy(affine.copy())
        )


def as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """The voxels alone."""
    plain = tensor.as_tensor() if isinstance(tensor, MetaTensor) else tensor
    return plain.detach().cpu().numpy()


def affine_of(tensor: MetaTensor) -> NDArray[np.float64]:
    """The affine of a MetaTensor as 4x4 float64, mm."""
    return np.asarray(tensor.affine.detach().cpu().numpy(), dtype=np.float64)


def moved(mask: NDArray[np.bool_], before: NDArray[np.float64], trace: MetaTensor) -> NDArray[np.bool_]:
    """Carry a mask (I, J, K) to the grid of a transformed image: nearest voxel, False where there was none.

    The mask does not run through the transforms, where it would be normalised and interpolated; the affine
    says where the voxels went, and `check_transforms` refuses transforms that do not keep it true.
    """
    back = np.linalg.inv(before) @ affine_of(trace)
    shape = tuple(trace.shape[1:])
    if shape == mask.shape and np.allclose(back, np.eye(4), atol=1e-6):
        return mask
    carried = ndimage.affine_transform(
        mask.astype(np.uint8), back[:3, :3], back[:3, 3], output_shape=shape, order=0, mode="constant"
    )
    return carried.astype(bool)


def whole_label(tensor: torch.Tensor) -> NDArray[np.uint8]:
    """The label (1, i, j, k) as (i, j, k) uint8.

    Raises:
        DataError: A transform interpolated it or made it several channels.
    """
    label = as_array(tensor)
    if label.ndim != 4 or label.shape[0] != 1:
        raise DataError(f"slices.transforms made a label map of shape {label.shape}, expected one channel")
    if label.dtype.kind == "f":
        if not np.array_equal(label, np.rint(label)):
            raise DataError(
                "slices.transforms interpolated the label map; give the transform `keys: [image, label]` and "
                "`mode: [bilinear, nearest]`"
            )
        if label.size and not 0 <= label.min() <= label.max() <= 255:
            raise DataError("slices.transforms made label values outside 0 to 255")
    return label[0].astype(np.uint8)
