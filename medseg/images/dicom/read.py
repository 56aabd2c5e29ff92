"""One DICOM file as a picture: decoded, put into modality units, windowed, as channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.images.dicom.attributes import says_made_up
from medseg.images.dicom.header import opened
from medseg.images.dicom.luts import WHITE, modality, shown
from medseg.images.dicom.pixels import is_palette, palette_colours, stored_values
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.window import Window
from medseg.images.pictures.read import ChannelRule, Picture, luma

COLOURS_AS_STORED = "its colours are shown as stored: a window is for greys"


def read(path: Path, channels: ChannelRule, window: Window) -> Picture:
    """Read a file by the rules of `medseg.images.dicom.reader`.

    Raises:
        DataError: It cannot be used.
    """
    planes: NDArray[Any]
    with quiet() as caught:
        head = opened(path, pixels=True)
        stored = stored_values(head)
        if is_palette(head):
            planes, notes = _colours(*palette_colours(head, stored), window)
        elif head.samples == 3:
            planes, notes = _colours(stored, head.stored, window)
        else:
            grey, notes = shown(head, modality(head, stored), window)
            planes = grey[..., None]
    if channels == "grey":
        planes = planes if planes.shape[2] == 1 else luma(planes)[..., None]
    elif planes.shape[2] == 1:
        planes = np.repeat(planes, 3, axis=2)
    pixels = np.ascontiguousarray(planes.transpose(2, 0, 1))
    return Picture(pixels, (*head.notes, *caught, *notes), made_up=says_made_up(head.data))


def _colours(planes: NDArray[Any], bits: int, window: Window) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Colours (H, W, 3) of so many bits: of 8 as they are, others as the window says."""
    notes = (COLOURS_AS_STORED,) if isinstance(window, tuple) else ()
    if bits == 8:
        return planes.astype(np.uint8, copy=False), notes
    if window == "none":
        return planes if planes.dtype in (np.uint8, np.uint16) else planes.astype(np.float32), notes
    return (planes * (WHITE / (2.0**bits - 1))).astype(np.float32), notes
