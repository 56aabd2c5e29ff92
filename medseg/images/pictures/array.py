"""Pictures that are arrays of NumPy, `.npy`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.images.npy_header import read_header
from medseg.images.pictures.decoders import (
    ALPHA_DROPPED,
    kept_type,
    opaque,
    refuse_no_numbers,
    within_limit,
)
from medseg.images.pictures.stored import Kind, Stored
from medseg.images.pictures.watched import Watched
from medseg.images.refusal import RefusedError


class NumpyArray(Kind):
    """Arrays that NumPy saved."""

    name, starts, suffixes = "NumPy", (b"\x93NUMPY",), (".npy",)

    def size(self, handle: Watched) -> tuple[int, int]:
        """Height and width, from the header."""
        height, width = self._mapped(handle).shape[:2]
        return height, width

    def content(self, handle: Watched) -> bytes:
        """The header and the numbers."""
        handle.allow(self._mapped(handle).nbytes)
        handle.seek(0)
        return handle.read()

    def read(self, handle: Watched) -> Stored:
        """Take the numbers as they are."""
        planes = kept_type(self._mapped(handle), "array")
        planes = planes.reshape(*planes.shape[:2], -1)
        dropped = planes.shape[2] == 4 and bool((planes[..., 3] != opaque(planes.dtype)).any())
        return Stored(planes[..., :3], notes=(ALPHA_DROPPED,) if dropped else ())

    @staticmethod
    def _mapped(handle: Watched) -> NDArray[Any]:
        read_header(handle)  # which NumPy would read whole, however long it says that it is
        array = np.lib.format.open_memmap(handle.name, mode="r")
        refuse_no_numbers(array.dtype, "array")
        if (
            0 in array.shape
            or array.ndim not in {2, 3}
            or (array.ndim == 3 and array.shape[2] not in {1, 3, 4})
        ):
            raise RefusedError(
                f"the array is of shape {array.shape}, expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)",
                "Save it as such, or leave the case out.",
            )
        within_limit(*array.shape[:2])
        return array
