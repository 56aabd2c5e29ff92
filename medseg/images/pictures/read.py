"""Reading pictures: PNG, JPEG, TIFF, BMP and NumPy arrays, each kind of pixel by one stated rule.

What a file is, its first bytes say, not its name. Rows stay rows: pixels are (C, H, W), row 0 on top.

| stored                       | `grey`                           | `rgb`            | as a mask                  |
|------------------------------|----------------------------------|------------------|----------------------------|
| 1 bit                        | 0 or 255                         | repeated         | 0 or 255                   |
| grey, 2 to 8 bits            | as decoded, uint8                | repeated         | as decoded                 |
| grey, 16 bits                | uint16, never cut to 8 bits      | repeated         | uint16                     |
| TIFF, signed or 32, 64 bits  | int32; beyond 32 bits refused    | repeated         | int32                      |
| TIFF, real numbers           | float32, NaN kept                | repeated         | int32 if whole, or refused |
| colour, 8 bits; in TIFF any  | luma, see below                  | as stored        | one plane if all are equal |
| PNG, colour or + alpha, 16   | refused: Pillow keeps 8 bits     | refused          | refused                    |
| palette                      | luma of its colours              | its colours      | indices, see below         |
| CMYK, YCbCr, LAB             | luma of Pillow's RGB             | Pillow's RGB     | one plane if all are equal |
| alpha, transparent colours   | dropped, never blended           | dropped          | dropped; one colour refused |
| larger is darker             | as shown                         | as shown         | refused                    |
| `.npy`, 1, 3 or 4 channels   | as above; bool is 0 or 1         | as above         | as above                   |

- Luma is ITU-R BT.601 in the integers that Pillow's `L` uses, exact where red, green and blue are equal:
  (19595 R + 38470 G + 7471 B + 32768) >> 16. Source: ITU-R Recommendation BT.601-7, section 2.5.1.
- A mask in a palette of greys alone is these greys. In one of colours it is their indices; it is refused where black
  (if nothing is black, white) is shown by another index than 0. `above` compares the luma of the colours.
- A palette of TIFF is 8 bits if its entries are bytes, or all are multiples of 257, 256 or 255; else its 16 bits are
  kept.
- `.npy` is (H, W) or (H, W, channels). Of float16 or float64 it becomes float32; of other integers int32,
  if they fit.
- The rotation that EXIF (or, in TIFF, its own tag) asks for is applied, to masks as well. A TIFF that counts
  white as zero is read as it is shown, but for signed and real numbers, which have no white. Of a mask in one,
  libraries disagree: tifffile stores a bool array so, and gives it back, where Pillow gives what is shown.
- TIFF is read by tifffile, in either order of bytes, in strips or tiles, plane by plane or together, uncompressed
  or in LZW, Deflate, Zstandard, LZMA, PackBits, fax, JPEG, JPEG 2000 or WebP; other compressions and kinds of
  pixels are refused by their names.
- No more is read of a file than its pixels can need, and 32 MiB beside them; tiles of a TIFF that hold far more
  pixels than the picture, and JPEG or JPEG 2000 in them of more pixels or samples than it says, are refused.
- Several pictures in one file (animation, pages, stereo) are refused, and so are more than `MAX_PIXELS`, or very many
  chunks before the pixels of a PNG. Pages of a TIFF that are of one size and kind, up to `MOST_PICTURES`, are read as
  slices where that is asked for (`read_pictures`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from medseg.images.brighter import half_way
from medseg.images.pictures.decoders import ALPHA_DROPPED
from medseg.images.pictures.open import opened_picture, stored_picture, stored_pictures
from medseg.images.pictures.stored import Stored
from medseg.images.pictures.tiff_colours import EXTRA_DROPPED
from medseg.images.refusal import RefusedError
from medseg.images.whole import whole

SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".tif", ".tiff", ".bmp", ".npy")
"""What pictures are named, compared without regard to case."""

ChannelRule = Literal["grey", "rgb"]

LUMA = (19595, 38470, 7471)
"""Weights of red, green and blue in 1/65536."""


@dataclass(frozen=True)
class Picture:
    """One picture.

    Attributes:
        pixels: (C, H, W), row 0 on top; uint8, uint16, int32 or float32.
        notes: What a user should know of the file, such as `its alpha channel was dropped`.
        turned: The EXIF orientation that was applied; 1 changes nothing.
        made_up: Whether the file says that medseg generated it.
    """

    pixels: NDArray[Any]
    notes: tuple[str, ...] = ()
    turned: int = 1
    made_up: bool = False


def read_picture(path: Path, channels: ChannelRule) -> Picture:
    """Read one picture as 1 (`grey`) or 3 (`rgb`) channels, by the rules above.

    Raises:
        DataError: The file is missing, not readable, empty, truncated, damaged, too large, no picture, several
            pictures, or of pixels that cannot be kept as they are. The message holds no path.
    """
    return _as_channels(stored_picture(path), channels)


def read_pictures(path: Path, channels: ChannelRule) -> list[Picture]:
    """As `read_picture`, of a file that may hold several of one size: pages of a TIFF, in their order."""
    return [_as_channels(stored, channels) for stored in stored_pictures(path)]


def _as_channels(stored: Stored, channels: ChannelRule) -> Picture:
    planes = stored.planes if stored.palette is None else stored.palette[stored.planes[..., 0]]
    if channels == "grey":
        planes = planes if planes.shape[2] == 1 else luma(planes)[..., None]
    elif planes.shape[2] == 1:
        planes = np.repeat(planes, 3, axis=2)
    pixels = np.ascontiguousarray(planes.transpose(2, 0, 1))
    return Picture(pixels, stored.notes, stored.turned, stored.made_up)


def read_mask(path: Path, *, above: int | None = None) -> Picture:
    """Read one label or instance map (1, H, W) of integers, by the rules above.

    Args:
        path: The file.
        above: If given, the mask is 1 where the stored value, or the brightness of its colour in a palette, is
            larger, else 0 (uint8). JPEG makes values up, so that without it a JPEG may hold no more than two.

    Raises:
        DataError: As `read_picture`, and where the file holds colours, broken numbers, or what JPEG made up.
    """
    return _as_mask(stored_picture(path), above)


def read_masks(path: Path, *, above: int | None = None) -> list[Picture]:
    """As `read_mask`, of a file that may hold several of one size: pages of a TIFF, in their order."""
    return [_as_mask(stored, above) for stored in stored_pictures(path)]


def _as_mask(stored: Stored, above: int | None) -> Picture:
    planes = stored.planes
    _refuse_inverted(stored)
    if stored.palette is not None:
        if above is not None or np.ptp(stored.palette, axis=1).max() == 0:
            planes = luma(stored.palette[None])[0][planes]
        else:
            _refuse_painted(stored.palette, planes)
    plane = planes[..., 0]
    if any(not np.array_equal(plane, planes[..., n], equal_nan=True) for n in range(1, planes.shape[2])):
        raise RefusedError(
            "a colour mask where a label or instance map was expected: red, green and blue differ",
            "Save one number a pixel (a grey or palette PNG, a TIFF or .npy of integers), or leave the case out.",
        )
    if plane.min() == plane.max():
        _refuse_hidden(stored)
    if above is not None:
        return Picture((plane > above).astype(np.uint8)[None], stored.notes, stored.turned)
    if plane.dtype == np.float32:
        plane = _whole(plane)
    if stored.lossy and (count := np.unique(plane).size) > 2:
        raise RefusedError(
            f"a mask of {count} values in lossy JPEG, which makes values up: labels cannot be read from them",
            f"Set {half_way(plane.max())} in the manifest to count what is brighter as foreground, or save masks "
            "as PNG.",
        )
    return Picture(np.ascontiguousarray(plane)[None], stored.notes, stored.turned)


def picture_size(path: Path) -> tuple[int, int]:
    """Height and width as read, the EXIF rotation included, from the header alone.

    Raises:
        DataError: As `read_picture`, as far as the header shows it.
    """
    with opened_picture(path) as (handle, kind):
        return kind.size(handle)


def pictures_size(path: Path) -> tuple[int, int, int]:
    """How many pictures `read_pictures` gives, their height and width, from the headers alone."""
    with opened_picture(path) as (handle, kind):
        return kind.sizes(handle)


def luma(planes: NDArray[Any]) -> NDArray[Any]:
    """Brightness (H, W) of colours (H, W, 3), of the same type; see above."""
    if planes.dtype == np.uint8:  # the same, faster
        return np.array(Image.fromarray(planes).convert("L"))
    wide: Any = {"f": np.float64, "i": np.int64}.get(planes.dtype.kind, np.uint32)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values are the caller's to find
        weighted = planes.astype(wide) @ np.array(LUMA, dtype=wide)
        if planes.dtype.kind == "f":  # float64 keeps this exact where the three are equal
            return np.asarray(weighted / 65536, dtype=planes.dtype)
    return np.asarray((weighted + 32768) >> 16, dtype=planes.dtype)


def _refuse_inverted(stored: Stored) -> None:
    """Refuse a mask of which nobody can tell whether its labels are the numbers as stored, or as shown."""
    inverted = stored.inverted
    if stored.palette is not None:
        shown = stored.palette[np.unique(stored.planes)]
        # of an empty mask, or a full one, the table alone says whether larger numbers are darker
        inverted = _darkens(shown if len(shown) > 1 else _without_repeats(stored.palette))
    if inverted:
        raise RefusedError(
            "a mask in an inverting lookup table: larger numbers are shown darker, so that its labels may be the "
            "numbers as stored or as shown",
            "Save it with 0 as black (in ImageJ, after Image > Lookup Tables > Grays; in Python, by "
            "`tifffile.imwrite(path, mask, photometric='minisblack')`), and look whether the background is black "
            "then.",
        )


def _refuse_hidden(stored: Stored) -> None:
    """Refuse a mask of one colour whose shapes are in what is not read."""
    if stored.palette is not None:
        if np.ptp(stored.planes):
            raise RefusedError(
                "a mask whose palette shows all its numbers in one colour: its shapes are in these numbers, or in "
                "their transparency, alone",
                "Save it as a grey picture, 0 for the background, or leave the case out.",
            )
    elif ALPHA_DROPPED in stored.notes:
        raise RefusedError(
            "a mask of one colour, whose shapes are in its alpha channel alone",
            "Save the alpha channel as a grey picture, or leave the case out.",
        )
    elif EXTRA_DROPPED in stored.notes:
        raise RefusedError(
            "a mask of one colour, whose shapes are in a further channel alone",
            "Save that channel as a grey picture, or leave the case out.",
        )


def _refuse_painted(table: NDArray[Any], planes: NDArray[Any]) -> None:
    """Refuse a mask in colours that a program has numbered by how often or how bright they are.

    The background is what is black, or where nothing is, what is white: 0 must be such, if any number shown is.
    """
    used = np.unique(planes)
    if len(used) == 1 and len(_without_repeats(table)) == 2:  # empty, or full
        used = np.arange(2)
    numbers = np.union1d(used, 0)
    colours, most = table[numbers].astype(int), np.iinfo(table.dtype).max
    near = most // 32  # what quantisation changes
    ends = (numbers[colours.max(axis=1) <= near], numbers[colours.min(axis=1) >= most - near])
    background = next((each for each in ends if len(each)), numbers)
    if 0 not in background:
        raise RefusedError(
            "a colour mask where a label or instance map was expected: its palette gives the background, black or "
            f"white, the number {background[0]} in place of 0",
            "Save one number a pixel, 0 for the background (a grey PNG, a TIFF or .npy of integers), or leave the "
            "case out.",
        )


def _darkens(colours: NDArray[Any]) -> bool:
    """Whether colours (N, 3) are greys, each darker than the one before."""
    greys = colours.astype(int)
    return len(greys) > 1 and not np.ptp(greys, axis=1).any() and bool((np.diff(greys[:, 0]) < 0).all())


def _without_repeats(table: NDArray[Any]) -> NDArray[Any]:
    """A table of colours without those that only repeat the one before, as the unused ones at its end do."""
    return table[np.concatenate([[True], (np.diff(table.astype(int), axis=0) != 0).any(axis=1)])]


def _whole(plane: NDArray[Any]) -> NDArray[np.int32]:
    plane = whole(plane)
    if not (np.isfinite(plane).all() and (plane == np.rint(plane)).all() and np.abs(plane).max() < 2**31):
        raise RefusedError(
            "a mask of broken numbers where whole labels were expected",
            "Save it as integers, resampled by the nearest neighbour if at all, or leave the case out.",
        )
    return plane.astype(np.int32)
