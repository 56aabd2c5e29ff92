"""A perceptual hash: short texts that differ little between copies of one picture, however it was saved.

The signs of the lowest 16x16 cosine frequencies of the picture, averaged down to 32x32 by area; without the
first, which is its mean brightness. Of the whole picture and of five views that are cut a little narrower, so
that a copy whose edges were trimmed is found by the view that was trimmed alike.

Sources: the DCT is type II, N. Ahmed, T. Natarajan and K. R. Rao, Discrete Cosine Transform, IEEE Transactions
on Computers C-23 (1974); signs of low frequencies as a hash: C. Zauner, Implementation and Benchmarking of
Perceptual Image Hash Functions (2010), section 3.2.1, where there are 64 of them. 64 are too few for
radiographs, which look alike: of 400 hands of MedNIST, 413 pairs then differ by a tenth of the bits or less, and by
these 255 bits none.

What was found at `NEAR`, of 600 pictures of MedNIST (64x64 pixels) and 281 larger ones of brains: all copies that
were saved as JPEG of quality 75 or more, halved or enlarged, made brighter or darker by a tenth, or changed by a
gamma of 0.9 to 1.1; 94 of 100 or more of those of quality 30, halved and saved as JPEG, or trimmed by 1 or 2 % at one
side or all; 82 of 100 turned by one degree; fewer than half trimmed by 3 % all around or turned by three degrees.
**Mirrored pictures, such as are turned by a right angle, and negatives are not found.** Neighbouring slices of one
patient often are. Different chest films differed by 48 bits or more, hands by 36; of 79,800 pairs of slices of
heads, 6 were taken for one picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

NEAR = 24
"""Bits of 255 by which two pictures may differ and be taken for one; different chest films differ by 48 or more."""

_SIDE = 32  # pixels that a picture is averaged down to
_KEPT = 16  # frequencies along each axis
_WORDS = _KEPT * _KEPT // 64
_TRIM = 0.015  # of a side, that the narrower views leave out

#: Ends of an axis: (left out at its beginning, left out at its end).
_WHOLE, _LATER, _EARLIER, _MIDDLE = (0.0, 0.0), (_TRIM, 0.0), (0.0, _TRIM), (_TRIM, _TRIM)
_ENDS = (_WHOLE, _LATER, _EARLIER, _MIDDLE)

#: The views, by ends of rows and of columns; the first is the whole picture.
_VIEWS = ((0, 0), (3, 3), (1, 1), (1, 2), (2, 1), (2, 2))

#: How many pairs are compared at a time: about 30 MB.
_AT_ONCE = 1 << 20


def likeness(pixels: NDArray[Any]) -> str | None:
    """Hash of a picture: 384 hexadecimal digits, 64 of each of six views.

    Args:
        pixels: (H, W), or (C, H, W), of which the mean is taken; finite.

    Returns:
        The hash; None where the picture is blank or nearly so, since what is left of it is noise: where the low
        frequencies stray by less than one step of a whole number, or of 1/1000 of the largest value.
    """
    grey = np.asarray(pixels, dtype=np.float32)
    grey = grey.mean(axis=0) if grey.ndim == 3 else grey
    height, width = grey.shape
    waves = _waves(height) @ grey @ _waves(width).T
    blocks = waves.reshape(len(_ENDS), _KEPT, len(_ENDS), _KEPT).transpose(0, 2, 1, 3)
    step = 1.0 if pixels.dtype.kind in "iub" else 0.0
    strays = float(np.linalg.norm(blocks[0, 0].ravel()[1:])) / _SIDE
    if strays < max(step, float(np.abs(grey).max()) / 1000) or strays == 0:
        return None
    views = np.stack([blocks[rows, columns] for rows, columns in _VIEWS]).reshape(len(_VIEWS), -1)
    bits = views > 0
    bits[:, 0] = False  # the mean brightness
    return np.packbits(bits, axis=1).tobytes().hex()


def near_pairs(hashes: Sequence[str], within: int = NEAR) -> NDArray[np.int64]:
    """All pairs that are alike.

    Whole pictures are compared first. A view is never further from another picture than from its own plus that
    one's distance, so that few pairs are left to compare by their views; no pair is lost by it.

    Args:
        hashes: Of N pictures.
        within: Bits that two may differ by.

    Returns:
        (M, 3): places of the two in `hashes`, the first below the second, and their distance. In order.
    """
    codes = _codes(hashes)
    whole = codes[:, 0]
    reach = np.max([_counted(codes[:, view] ^ whole) for view in range(len(_VIEWS))], axis=0, initial=0)
    found = [np.empty((0, 3), np.int64)]
    rows = max(1, _AT_ONCE // max(1, len(codes)))
    for begin in range(0, len(codes), rows):
        end = min(begin + rows, len(codes))
        apart = np.zeros((end - begin, len(codes) - begin), np.uint16)
        for word in range(_WORDS):
            apart += np.bitwise_count(whole[begin:end, None, word] ^ whole[None, begin:, word])
        allowed = within + np.maximum(reach[begin:end, None], reach[None, begin:])
        first, second = np.nonzero(np.triu(apart <= allowed, 1))
        first, second = first + begin, second + begin
        exact = _distances(codes[first], codes[second])
        near = exact <= within
        found.append(np.column_stack([first[near], second[near], exact[near]]))
    return np.concatenate(found)


def _distances(first: NDArray[np.uint64], second: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Distances of pairs (M, views, words)."""
    least = _counted(first[:, 0] ^ second[:, 0])
    for view in range(1, len(_VIEWS)):
        least = np.minimum(least, _counted(first[:, view] ^ second[:, 0]))
        least = np.minimum(least, _counted(first[:, 0] ^ second[:, view]))
    return least


def _counted(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    return np.bitwise_count(words).sum(axis=-1, dtype=np.int64)


def _codes(hashes: Sequence[str]) -> NDArray[np.uint64]:
    """(N, views, words)."""
    raw = np.frombuffer(bytes.fromhex("".join(hashes)), dtype=np.uint64)
    return raw.reshape(len(hashes), len(_VIEWS), _WORDS)


@lru_cache(maxsize=8)  # pictures of a data set are often of one size, or of a few
def _waves(pixels: int) -> NDArray[np.float32]:
    """What turns an axis into its lowest frequencies: (4 ends * 16, pixels)."""
    k, n = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None]
    cosines = np.sqrt(2 / _SIDE) * np.cos(np.pi * k * (2 * n + 1) / (2 * _SIDE))
    cosines[0] /= np.sqrt(2)
    return np.concatenate([cosines @ _averages(pixels, *ends) for ends in _ENDS]).astype(np.float32)


def _averages(pixels: int, before: float, after: float) -> NDArray[np.float64]:
    """What averages an axis down, or spreads it, to 32 equal parts, each pixel by its share: (32, pixels)."""
    edges = np.linspace(before * pixels, pixels - after * pixels, _SIDE + 1)
    place = np.arange(pixels)[None]
    shared = np.minimum(edges[1:, None], place + 1) - np.maximum(edges[:-1, None], place)
    shared = shared.clip(min=0)
    return np.asarray(shared / shared.sum(axis=1, keepdims=True))
