"""What the samples of a TIFF mean: greys, colours, palettes. Source: TIFF 6.0, sections 4 to 8, 16, 18, 20 to 23."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import PHOTOMETRIC, TiffPage

from medseg.images.pictures.decoders import ALPHA_DROPPED, kept_type, opaque
from medseg.images.pictures.stored import Stored
from medseg.images.refusal import RefusedError

WHITE_KEPT = (
    "it counts white as zero, which for its kind of numbers means nothing: they were kept as they are"
)

EXTRA_DROPPED = "its further channels, of no stated meaning, were dropped"

_ASSOCIATED = 1  # colours that were multiplied by their opacity
_LOSSY = {7, 34712, 50001}  # compressions: JPEG, JPEG 2000, WebP
_BYTE = 8  # bits
_MOST = 255


def shown(page: TiffPage, planes: NDArray[Any]) -> Stored:
    """A picture from its samples (H, W, C).

    Raises:
        RefusedError: Its numbers cannot be kept as they are.
    """
    rule = RULES[page.photometric]
    colours, notes = _without_extras(page, planes, rule.samples)
    planes, palette, more = rule.make(page, colours)
    white_is_zero = page.photometric == PHOTOMETRIC.MINISWHITE and planes.dtype.kind in "bu"
    return Stored(
        kept_type(planes, "TIFF"),
        palette,
        (*notes, *more),
        lossy=page.compression in _LOSSY,
        inverted=white_is_zero,
    )


_Made = tuple[NDArray[Any], NDArray[Any] | None, tuple[str, ...]]


@dataclass(frozen=True)
class _Rule:
    """How one kind of pixels is read.

    Attributes:
        samples: Of a pixel, without extra ones.
        make: From samples (H, W, C) to planes, a palette, and notes.
        bits: Of a sample, where not any number will do.
        most_extras: How many further samples there may be.
    """

    samples: int
    make: Callable[[TiffPage, NDArray[Any]], _Made]
    bits: frozenset[int] = field(default_factory=frozenset)
    most_extras: int = 8

    def refuse(self, page: TiffPage) -> None:
        """Refuse other numbers of samples, or of bits.

        Raises:
            RefusedError: There are.
        """
        name, held = PHOTOMETRIC(page.photometric).name, page.samplesperpixel
        if not self.samples <= held <= self.samples + self.most_extras:
            raise RefusedError(
                f"the TIFF holds {held} samples a pixel of the kind {name}, expected {self.samples}",
                "Save each channel in a file of its own, or leave the case out.",
            )
        if self.bits and page.bitspersample not in self.bits:
            raise RefusedError(
                f"the TIFF holds {name} of {page.bitspersample} bits a sample, of which medseg reads "
                f"{' or '.join(str(each) for each in sorted(self.bits))}",
                "Save it as RGB or grey.",
            )


def _greys(page: TiffPage, planes: NDArray[Any]) -> _Made:
    return _widened(planes, page), None, ()


def _turned_greys(page: TiffPage, planes: NDArray[Any]) -> _Made:
    if planes.dtype.kind not in "bu":
        return planes, None, (WHITE_KEPT,)
    most = planes.dtype.type(2**page.bitspersample - 1)
    return _widened(~planes if planes.dtype.kind == "b" else most - planes, page), None, ()


def _rgb(page: TiffPage, planes: NDArray[Any]) -> _Made:
    return _widened(planes, page), None, ()


def _widened(planes: NDArray[Any], page: TiffPage) -> NDArray[Any]:
    """Of 1, 2 or 4 bits onto 0 to 255, as in PNG; else as they are."""
    if page.bitspersample not in {1, 2, 4}:
        return planes
    return planes.astype(np.uint8) * np.uint8(255 // (2**page.bitspersample - 1))


def _palette(page: TiffPage, planes: NDArray[Any]) -> _Made:
    colours = page.colormap
    if colours is None or colours.shape != (3, 2**page.bitspersample):
        raise RefusedError("the palette of the TIFF is missing or damaged", "Save it as RGB or grey.")
    # some programs write bytes; others widen them by each of these factors; what else there is has 16 bits
    steps = (1,) if colours.max() <= _MOST else (_MOST + 2, _MOST + 1, _MOST)
    step = next((each for each in steps if not (colours % each).any()), None)
    table = np.ascontiguousarray(colours.T if step is None else (colours // step).T.astype(np.uint8))
    table = np.concatenate([table, np.zeros((max(0, 256 - len(table)), 3), table.dtype)])
    return planes.astype(np.uint8 if page.bitspersample <= _BYTE else np.uint16), table, ()


def _by_pillow(mode: str) -> Callable[[TiffPage, NDArray[Any]], _Made]:
    """Colours of 8 bits that Pillow turns into RGB."""

    def made(page: TiffPage, planes: NDArray[Any]) -> _Made:
        if page.compression == 7 and mode == "YCbCr":  # decoded as RGB
            return planes, None, ()
        size = (planes.shape[1], planes.shape[0])
        image = Image.frombytes(mode, size, np.ascontiguousarray(planes).tobytes(), "raw", mode)
        return np.asarray(image.convert("RGB")), None, ()

    return made


def _without_extras(page: TiffPage, planes: NDArray[Any], count: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The samples that are colours, as they were before they were multiplied by their opacity."""
    colours, extra = planes[..., :count], planes[..., count:]
    if not extra.shape[-1]:
        return colours, ()
    kind = (
        page.extrasamples[0] if page.extrasamples else None
    )  # some programs do not say that they write alpha
    alpha = extra[..., :1]
    most = 1.0 if alpha.dtype.kind == "f" else opaque(alpha.dtype) if alpha.dtype.kind == "u" else 1
    if kind == _ASSOCIATED:
        with np.errstate(divide="ignore", invalid="ignore"):
            whole = np.minimum(colours.astype(np.float64) * most / alpha, most)
        whole = np.where(alpha > 0, whole, 0)
        colours = (whole if colours.dtype.kind == "f" else np.floor(whole)).astype(colours.dtype)
    if not (alpha != most).any():
        return colours, ()
    return colours, (EXTRA_DROPPED if kind == 0 else ALPHA_DROPPED,)


_EIGHT = frozenset({_BYTE})

RULES: dict[int, _Rule] = {
    PHOTOMETRIC.MINISWHITE: _Rule(1, _turned_greys, most_extras=1),
    PHOTOMETRIC.MINISBLACK: _Rule(1, _greys, most_extras=1),
    PHOTOMETRIC.RGB: _Rule(3, _rgb),
    PHOTOMETRIC.PALETTE: _Rule(1, _palette, frozenset({1, 2, 4, 8, 16}), most_extras=1),
    PHOTOMETRIC.SEPARATED: _Rule(4, _by_pillow("CMYK"), _EIGHT),
    PHOTOMETRIC.YCBCR: _Rule(3, _by_pillow("YCbCr"), _EIGHT),
    PHOTOMETRIC.CIELAB: _Rule(3, _by_pillow("LAB"), _EIGHT),
}
"""Kinds of pixels that are read."""
