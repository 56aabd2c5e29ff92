"""Decoding the compressed picture of a DICOM file: one decoder for each transfer syntax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from medseg.images.codestream import named_colours
from medseg.images.dicom.header import Header
from medseg.images.jpeg import END, whole

OTHER_COLOURS = "its compressed pixels name another colour space than its header, and were believed"


def decoded(head: Header, coded: bytes) -> NDArray[Any]:
    """Decode one picture: (H, W), or (H, W, 3) red, green and blue; its samples as the header says.

    Args:
        head: What the file says of it; a note is added where the codestream says otherwise.
        coded: Its codestream.

    Raises:
        EOFError: Some of it is missing.
        Exception: It is damaged; decoders raise whatever they meet.
    """
    values = stored_bits(DECODERS[head.syntax](coded, head.samples), head)
    return _rgb(values, head, coded) if head.samples > 1 else values


def stored_bits(values: NDArray[Any], head: Header) -> NDArray[Any]:
    """Samples of the bits that the header says are stored, of its sign, without what stands above them.

    Raises:
        ValueError: They have more bits than the header allocates.
    """
    if 8 * values.dtype.itemsize > head.allocated:
        raise ValueError("more bits than the header allocates")
    size, unused = head.allocated // 8, head.allocated - head.stored
    words = values.astype(f"u{size}").view(f"{'ui'[head.signed]}{size}")
    kept: NDArray[Any] = words << unused >> unused
    return kept


def _rgb(planes: NDArray[Any], head: Header, coded: bytes) -> NDArray[Any]:
    colours = head.colours
    if head.syntax in _NAMING and (named := named_colours(coded)) and not colours.startswith(named):
        head.notes.append(OTHER_COLOURS)
        colours = named
    if colours in {"YBR", "YBR_FULL", "YBR_FULL_422"}:  # OpenJPEG turns YBR_ICT and YBR_RCT itself
        return convert_color_space(planes, "YBR_FULL", "RGB")
    return planes


def _of_jpeg(coded: bytes, samples: int) -> NDArray[Any]:
    """By libjpeg-turbo; of the two colour spaces the same, so that it leaves colours as they are."""
    space = "YCBCR" if samples == 3 else None
    return whole(
        coded, lambda data: np.asarray(imagecodecs.jpeg8_decode(data, colorspace=space, outcolorspace=space))
    )


def _of_jpeg_ls(coded: bytes, samples: int) -> NDArray[Any]:
    """By CharLS, which never ends over data without an end marker."""
    found = np.asarray(imagecodecs.jpegls_decode(coded if coded.rstrip(b"\0").endswith(END) else coded + END))
    by_plane = samples > 1 and found.shape[0] == samples and found.shape[-1] != samples
    return np.moveaxis(found, 0, -1) if by_plane else found


def _of_jpeg_2000(coded: bytes, samples: int) -> NDArray[Any]:  # noqa: ARG001 - as the others
    """By OpenJPEG."""
    return np.asarray(imagecodecs.jpeg2k_decode(coded))


DECODERS: dict[UID, Callable[[bytes, int], NDArray[Any]]] = {
    **dict.fromkeys((JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1), _of_jpeg),
    **dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), _of_jpeg_ls),
    **dict.fromkeys((JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K), _of_jpeg_2000),
}
"""What decodes a codestream of so many samples a pixel."""

#: Syntaxes whose codestreams are believed if they name a colour space. Those of lossless JPEG name any.
_NAMING = {JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless}
