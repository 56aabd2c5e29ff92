"""One DICOM file as a picture: decoded, put into modality units, windowed, as channels."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.images.dicom.attributes import is_given, says_made_up
from medseg.images.dicom.header import Header, opened, opened_frames
from medseg.images.dicom.luts import WHITE, modality, shown
from medseg.images.dicom.pixels import is_palette, palette_colours, stored_values
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.window import Window
from medseg.images.limits import refuse_beyond
from medseg.images.pictures.read import ChannelRule, Picture, luma
from medseg.images.pictures.stored import refuse_many
from medseg.images.refusal import RefusedError

COLOURS_AS_STORED = "its colours are shown as stored: a window is for greys"


def read(path: Path, channels: ChannelRule, window: Window) -> Picture:
    """Read a file by the rules of `medseg.images.dicom.reader`.

    Raises:
        DataError: It cannot be used.
    """
    with quiet() as caught:
        head = opened(path, pixels=True)
        found = _picture(head, channels, window)
    return replace(found, notes=(*head.notes, *caught, *found.notes))


def read_frames(path: Path, channels: ChannelRule, window: Window) -> list[Picture]:
    """Read every frame of a file as a picture, as if it lay in a file of its own, in their order.

    Raises:
        DataError: One cannot be used, or they do not fit into memory.
    """
    with quiet() as caught:
        head = _placeless(opened_frames(path, pixels=True))
        shape = (head.frames, head.height, head.width)
        refuse_beyond(shape, math.prod(shape) * (3 if channels == "rgb" else 1) * 8, math.inf)
        found = [_picture(head.of_frame(number), channels, window) for number in range(head.frames)]
    return [replace(each, notes=(*head.notes, *caught, *each.notes)) for each in found]


def frames_size(path: Path) -> tuple[int, int, int]:
    """Number of frames, height and width, from the header alone."""
    with quiet():
        head = _placeless(opened_frames(path, pixels=False))
    return head.frames, head.height, head.width


def _placeless(head: Header) -> Header:
    """Refuse frames that say where they lie: as pictures their distances in mm would be lost. And very many."""
    refuse_many(head.frames, "DICOM file", "frames")
    if head.frames > 1 and is_given(head.frame_value("PlanePositionSequence", "ImagePositionPatient")):
        raise RefusedError(
            "its frames say where they lie in space, so that they make a volume, and no pictures",
            "Read it as a DICOM series ('layout' with 'series' in the manifest), or leave the case out.",
        )
    return head


def _picture(head: Header, channels: ChannelRule, window: Window) -> Picture:
    planes: NDArray[Any]
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
    return Picture(pixels, notes, made_up=says_made_up(head.data))


def _colours(planes: NDArray[Any], bits: int, window: Window) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Colours (H, W, 3) of so many bits: of 8 as they are, others as the window says."""
    notes = (COLOURS_AS_STORED,) if isinstance(window, tuple) else ()
    if bits == 8:
        return planes.astype(np.uint8, copy=False), notes
    if window == "none":
        return planes if planes.dtype in (np.uint8, np.uint16) else planes.astype(np.float32), notes
    return (planes * (WHITE / (2.0**bits - 1))).astype(np.float32), notes
