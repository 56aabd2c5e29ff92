"""Smooth random fields: the deformations, bias fields and irregular outlines of a generated case.

A field is a uniform cubic B-spline over a coarse grid of coefficients, which costs a few passes over the
voxels whatever its smoothness. Nothing here calls BLAS, so that the bytes do not depend on its threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]

# Mean of the squared cubic B-spline weights along one axis is 151/315 (Unser 1999, "Splines: a perfect fit
# for signal and image processing"); three axes, then the root: the deviation of a field of unit coefficients.
_DEVIATION = (151 / 315) ** 1.5


def _taps(length: int, spacing: float) -> tuple[NDArray[np.int64], Floats]:
    """First coefficient (N,) and the four weights (4, N) of each position along an axis."""
    position = np.arange(length) / spacing
    first = np.floor(position).astype(np.int64)
    t = position - first
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / 6
    return first, weights.astype(np.float32)


def blend(coefficients: Floats, shape: Sequence[int], spacing: float) -> Floats:
    """Evaluate a cubic B-spline on voxels.

    Args:
        coefficients: (A, B, C), at least `floor((n - 1) / spacing) + 4` along an axis of n voxels;
            coefficient 1 lies at voxel 0, coefficient 2 at voxel `spacing`.
        shape: (I, J, K) of the result.
        spacing: Voxels between coefficients.

    Returns:
        (I, J, K), float32.
    """
    first, weights = _taps(shape[2], spacing)
    rows = sum(coefficients[:, :, first + tap] * weights[tap] for tap in range(4))
    first, weights = _taps(shape[1], spacing)
    planes: Any = sum(rows[:, first + tap, :] * weights[tap][:, None] for tap in range(4))
    first, weights = _taps(shape[0], spacing)
    out = np.empty(tuple(shape), np.float32)
    scratch = np.empty(tuple(shape[1:]), np.float32)
    for index, start in enumerate(first):  # plane by plane, which stays in the processor's cache
        np.multiply(planes[start], weights[0, index], out=out[index])
        for tap in range(1, 4):
            np.multiply(planes[start + tap], weights[tap, index], out=scratch)
            out[index] += scratch
    return out


def enlarge(coarse: Floats, shape: Sequence[int], spacing: int) -> Floats:
    """Bring values at every `spacing`-th voxel (A, B, C) to all voxels (I, J, K), smoothing a little."""
    return blend(np.pad(coarse, ((1, 2),) * 3, mode="edge"), shape, spacing)


def smooth_field(rng: np.random.Generator, shape: Sequence[int], spacing: float) -> Floats:
    """Draw a field (I, J, K) of mean 0 and deviation about 1 that varies over about `spacing` voxels."""
    grid = [int((length - 1) / spacing) + 4 for length in shape]
    return blend(rng.standard_normal(grid, np.float32) / np.float32(_DEVIATION), shape, spacing)


def interpolate(volume: NDArray[np.complex64], points: Floats) -> NDArray[np.complex64]:
    """Read a volume between its voxels, linearly; twice as fast as SciPy's `map_coordinates` for two maps.

    Args:
        volume: (I, J, K), two maps in one: the real and the imaginary part.
        points: (3, N) coordinates in voxels; those outside count as on the border.

    Returns:
        (N,), both maps at the points.
    """
    flat, strides = volume.ravel(), (volume.shape[1] * volume.shape[2], volume.shape[2], 1)
    corner = np.zeros(points.shape[1], np.int32)
    parts = []
    for coordinate, length, stride in zip(points, volume.shape, strides, strict=True):
        below = np.clip(np.floor(coordinate), 0, length - 2)
        parts.append(np.clip(coordinate - below, 0, 1))
        corner += below.astype(np.int32) * np.int32(stride)

    def between(start: int, axis: int) -> NDArray[np.complex64]:
        """Interpolate along `axis` and those after it, from the corner moved by `start`."""
        if axis == 3:
            return flat.take(corner + np.int32(start))
        value = between(start, axis + 1)
        value += parts[axis] * (between(start + strides[axis], axis + 1) - value)
        return value

    return between(0, 0)
