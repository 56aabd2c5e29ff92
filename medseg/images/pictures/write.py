"""Writing pictures: label maps and probabilities as PNG.

Equal pixels give equal bytes: no time, no program's name, one fixed compression.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg.errors import DataError

FULL = 65535
"""The 16-bit value that stands for a probability of 1."""

COMPRESSION = 6


def write_label_picture(labels: NDArray[Any], path: Path) -> None:
    """Write a label or instance map as grey PNG: 8 bits up to label 255, 16 bits above.

    Args:
        labels: (H, W), integers (or bool, written as 0 and 1) from 0 to 65535, row 0 on top.
        path: Where to write; its suffix does not matter.

    Raises:
        DataError: A label is negative or above 65535, which PNG cannot hold.
        ValueError: The array is not (H, W), is empty, or holds no integers.
        OSError: The file cannot be written.
    """
    if labels.ndim != 2 or labels.size == 0 or labels.dtype.kind not in "bui":
        raise ValueError(f"labels of shape {labels.shape} and type {labels.dtype}, expected integers (H, W)")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > FULL:
        raise DataError(f"labels run from {low} to {high}; a PNG holds 0 to {FULL}. Number them anew from 1")
    _write(labels.astype(np.uint8 if high < 256 else np.uint16), path)


def write_colour_picture(colours: NDArray[np.uint8], path: Path) -> None:
    """Write colours (H, W, 3) in 0..255 as PNG, row 0 on top.

    Raises:
        OSError: The file cannot be written.
    """
    _write(colours, path)


def write_probability_picture(probability: NDArray[Any], path: Path) -> None:
    """Write probabilities as 16-bit grey PNG, 65535 standing for 1.

    Dividing by 65535 gives the probability back, no further off than half a step, 1/131070.

    Args:
        probability: (H, W), real numbers from 0 to 1, row 0 on top.
        path: Where to write; its suffix does not matter.

    Raises:
        ValueError: The array is not (H, W), is empty, or holds something that is no probability.
        OSError: The file cannot be written.
    """
    if probability.ndim != 2 or probability.size == 0 or probability.dtype.kind != "f":
        raise ValueError(
            f"an array of shape {probability.shape} and type {probability.dtype}, expected reals (H, W)"
        )
    if not ((probability >= 0) & (probability <= 1)).all():
        raise ValueError("values that are no probabilities, expected 0 to 1")
    _write(np.rint(probability.astype(np.float64) * FULL).astype(np.uint16), path)


def _write(pixels: NDArray[Any], path: Path) -> None:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path, format="PNG", compress_level=COMPRESSION)
