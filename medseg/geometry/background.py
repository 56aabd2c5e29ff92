"""Which voxels of an image are background."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def background_values(image: NDArray[Any]) -> NDArray[Any]:
    """Background of each channel: its most frequent value on the six faces of the volume.

    Zero in BraTS, a negative constant in normalised volumes; never assumed to be zero. Of values that are
    equally frequent the smallest is taken. Faces across an axis of length 1 (2D images) are left out; an image of
    one voxel is all background.

    Args:
        image: (C, I, J, K), raw intensities.

    Returns:
        (C,) values.
    """
    found = []
    for channel in image:
        faces = [
            np.moveaxis(channel, axis, 0)[place].ravel()  # a view: np.take would copy the volume first
            for axis in range(channel.ndim)
            if channel.shape[axis] > 1
            for place in (0, -1)
        ]
        values, counts = np.unique(np.concatenate(faces or [channel.ravel()]), return_counts=True)
        found.append(values[np.argmax(counts)])
    return np.array(found)


def is_background(image: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether a voxel has the background value in every channel.

    Args:
        image: (C, I, J, K), raw intensities.

    Returns:
        (I, J, K) mask.
    """
    outside = np.ones_like(image[0], dtype=bool)  # in the memory order of the image
    for channel, value in zip(image, background_values(image), strict=True):
        outside &= channel == value
    return outside
