"""Slices of one case as pixels, one below another, and what each of them is: a page can cut them apart again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg.figures.overlay import grey, overlay, window_of
from medseg.places import written_whole

SIDE = 240
"""Pixels of the longer side of a slice: three of them fill a page, and 35 rows of three take one or two megabytes."""

_LEAST = 24  # pixels of the shorter side, whatever a header says of the size of voxels
_GAP = 4  # white pixels between two columns


@dataclass(frozen=True)
class SliceSheet:
    """Slices of one case.

    Attributes:
        picture: (S * h, W, 3) colours in 0..255, one row of height h for each of S slices: from left to right the
            channel, the truth and the prediction.
        about: What it shows, as plain data: JSON keeps it beside the picture.
    """

    picture: NDArray[np.uint8]
    about: Mapping[str, Any]

    def save(self, path: Path) -> tuple[Path, Path]:
        """Write the picture, and what it shows beside it.

        Args:
            path: Of the picture, `.png`.

        Returns:
            Both files: the same pixels give the same bytes.
        """
        with written_whole(path) as target:
            Image.fromarray(self.picture).save(target, format="PNG")
        beside = path.with_suffix(".json")
        with written_whole(beside) as target:
            target.write_text(json.dumps(self.about, ensure_ascii=False, indent=1), encoding="utf-8")
        return path, beside


def sheet_of(
    images: NDArray[Any],
    truth: NDArray[Any],
    predicted: NDArray[Any],
    n_classes: int,
    spacing: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.uint8]:
    """Draw slices one below another, all in one window of intensities, with pixels as long and as wide as they are.

    Args:
        images: (S, H, W) intensities, or (S, H, W, 3) colours in 0..255; S at least 1.
        truth: (S, H, W) class indices; `UNANNOTATED` where nobody annotated.
        predicted: (S, H, W) class indices.
        n_classes: Number of classes, class 0 included; class 0 is transparent.
        spacing: Height and width of a pixel, in mm.

    Returns:
        (S * h, 3 * w + gaps, 3) colours in 0..255, neither h nor w more than `SIDE`.

    Raises:
        ValueError: Shapes differ, or a label is no class index.
    """
    window = window_of(np.moveaxis(images, 0, 2)) if images.ndim == 3 else None
    size = _size(images.shape[1:3], spacing)
    rows = []
    for image, *labels in zip(images, truth, predicted, strict=True):
        bare = image if image.ndim == 3 else np.repeat(grey(image, window)[..., None], 3, axis=2)
        panels = [bare, *(overlay(bare, each, n_classes) for each in labels)]
        gap = np.full((size[1], _GAP, 3), 255, dtype=np.uint8)
        drawn = [
            np.asarray(Image.fromarray(each.astype(np.uint8)).resize(size, Image.Resampling.BOX))
            for each in panels
        ]
        rows.append(np.concatenate([drawn[0], *(part for each in drawn[1:] for part in (gap, each))], axis=1))
    return np.concatenate(rows)


def _size(shape: tuple[int, ...], spacing: tuple[float, float]) -> tuple[int, int]:
    """Width and height in pixels."""
    sides = np.array([shape[1] * spacing[1], shape[0] * spacing[0]], dtype=float)
    width, height = np.maximum(np.round(SIDE * sides / sides.max()), _LEAST).astype(int)
    return int(width), int(height)
