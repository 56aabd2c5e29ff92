"""A perceptual hash is equal for equal pictures, near for copies, and far for others."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.fft import dctn

from medseg.datasets.checks import perceptual_hash as module
from medseg.datasets.checks.perceptual_hash import NEAR, likeness, near_pairs
from medseg.images.pictures.read import read_picture


def scene(seed: int, shape: tuple[int, int] = (96, 80)) -> np.ndarray:
    """A smooth random picture with edges, uint8."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    grey = np.full(shape, 60.0)
    for _ in range(14):
        y, x = random.random(2) * shape
        high, wide = random.uniform(0.05, 0.3, 2) * shape
        inside = ((rows - y) / high) ** 2 + ((columns - x) / wide) ** 2 < 1
        grey[inside] += random.uniform(-50, 80)
    return np.rint(grey + random.normal(0, 2, shape)).clip(0, 255).astype(np.uint8)


def hashed(pixels: np.ndarray) -> str:
    found = likeness(pixels)
    assert found is not None
    return found


def distance(first: str, second: str) -> int:
    """Bits that differ: the least of one picture whole and any view of the other, counted one by one."""
    a, b = (
        np.unpackbits(np.frombuffer(bytes.fromhex(text), np.uint8)).reshape(6, 256)
        for text in (first, second)
    )
    return min(
        int((one != other).sum())
        for ones, others in ((a[:1], b), (a, b[:1]))
        for one in ones
        for other in others
    )


def as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, "JPEG", quality=quality)
    return np.asarray(Image.open(kept))


def resized(pixels: np.ndarray, factor: float) -> np.ndarray:
    height, width = pixels.shape
    size = (round(width * factor), round(height * factor))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))


def trimmed(pixels: np.ndarray, *, first: float = 0, last: float = 0) -> np.ndarray:
    """Without shares of both sides, of one pixel at least where it is not none."""
    ends = [
        (max(1, round(first * side)) if first else 0, side - (max(1, round(last * side)) if last else 0))
        for side in pixels.shape
    ]
    return pixels[tuple(slice(*each) for each in ends)]


COPIES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "jpeg of quality 75": lambda p: as_jpeg(p, 75),
    "jpeg of quality 50": lambda p: as_jpeg(p, 50),
    "half the size": lambda p: resized(p, 0.5),
    "twice the size, as jpeg": lambda p: as_jpeg(resized(p, 2), 75),
    "darker": lambda p: np.rint(p * 0.9).astype(np.uint8),
    "brighter": lambda p: np.rint(p * 1.1).clip(0, 255).astype(np.uint8),
    "gamma 0.9": lambda p: np.rint(255 * (p / 255) ** 0.9).astype(np.uint8),
    "gamma 1.1": lambda p: np.rint(255 * (p / 255) ** 1.1).astype(np.uint8),
    "two of a hundred cut at a corner": lambda p: trimmed(p, first=0.02),
    "two of a hundred cut at the other corner": lambda p: trimmed(p, last=0.02),
    "one of a hundred cut all around": lambda p: trimmed(p, first=0.01, last=0.01),
    "cut at the left": lambda p: p[:, 1:],
}


@pytest.mark.parametrize("change", COPIES.values(), ids=COPIES.keys())
@pytest.mark.parametrize("seed", range(5))
def test_a_changed_copy_is_near(change: Callable[[np.ndarray], np.ndarray], seed: int) -> None:
    picture = scene(seed)
    assert distance(hashed(picture), hashed(change(picture))) <= NEAR


def test_different_pictures_are_far_and_so_is_what_is_mirrored_turned_or_a_negative() -> None:
    hashes = [hashed(scene(seed)) for seed in range(30)]
    assert near_pairs(hashes).shape == (0, 3)
    picture = scene(0)
    for changed in (picture[:, ::-1], picture[::-1], np.rot90(picture), 255 - picture):
        assert distance(hashes[0], hashed(changed)) > 2 * NEAR


@given(seed=st.integers(0, 99), gain=st.floats(0.5, 8), shift=st.floats(-50, 50))
@settings(max_examples=30, deadline=None)
def test_scale_and_offset_of_stored_values_do_not_matter(seed: int, gain: float, shift: float) -> None:
    picture = scene(seed)
    changed = hashed(picture.astype(np.float64) * gain + shift)
    assert distance(hashed(picture), changed) <= 2  # rounding may turn a sign that is nearly none


@given(
    one=st.integers(0, 2**31), other=st.integers(0, 2**31), high=st.integers(1, 70), wide=st.integers(1, 70)
)
@settings(max_examples=60, deadline=None)
def test_distance_is_symmetric_and_none_between_equal_pictures(
    one: int, other: int, high: int, wide: int
) -> None:
    first, second = (
        likeness(np.random.default_rng(seed).integers(0, 255, (high, wide), dtype=np.uint8))
        for seed in (one, other)
    )
    again = likeness(np.random.default_rng(one).integers(0, 255, (high, wide), dtype=np.uint8))
    assert first == again
    if first is None or second is None:
        return
    assert len(first) == len(second) == 384
    assert near_pairs([first, first], 0).tolist() == [[0, 1, 0]]
    assert near_pairs([first, second], 255).tolist() == [[0, 1, distance(first, second)]]
    assert near_pairs([second, first], 255).tolist() == [[0, 1, distance(first, second)]]


def test_the_first_view_holds_the_signs_of_the_lowest_cosine_frequencies() -> None:
    picture = scene(3, (64, 128))
    small = picture.reshape(32, 2, 32, 4).mean(axis=(1, 3), dtype=np.float64)
    expected = dctn(small, norm="ortho")[:16, :16].ravel() > 0
    expected[0] = False
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(hashed(picture)[:64]), np.uint8)).astype(bool)
    assert np.array_equal(bits, expected)


@pytest.mark.parametrize("size", [1, 2, 31, 32, 33, 64, 100, 257])
def test_a_side_is_averaged_by_area(size: int) -> None:
    """Against many equal parts of each pixel, which makes the average exact."""
    side = np.random.default_rng(size).random(size)
    fine = np.repeat(side, 32).reshape(32, -1).mean(axis=1)
    assert module._averages(size, 0.0, 0.0) @ side == pytest.approx(fine)


@pytest.mark.parametrize(
    "blank",
    [
        np.full((40, 40), 25, np.uint8),
        np.zeros((40, 40), np.float32),
        np.random.default_rng(0).integers(100, 103, (64, 64), dtype=np.uint8),
        1000 + np.random.default_rng(0).normal(0, 0.1, (64, 64)),
    ],
    ids=["one value", "zero", "noise of whole numbers", "noise of real numbers"],
)
def test_a_picture_that_is_nearly_blank_has_no_hash(blank: np.ndarray) -> None:
    assert likeness(blank) is None


def test_real_numbers_between_0_and_1_are_not_blank() -> None:
    assert distance(hashed(scene(1) / 255.0), hashed(scene(1))) <= 2


def test_of_several_channels_the_mean_counts() -> None:
    picture = scene(1)
    assert likeness(np.stack([picture] * 3)) == likeness(picture)


@pytest.mark.parametrize("at_once", [1, 64, 1 << 20])
def test_near_pairs_are_those_that_comparing_each_with_each_finds(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AT_ONCE", at_once)
    pictures = [scene(seed, (64, 64)) for seed in range(12)]
    pictures += [change(picture) for picture in pictures[:5] for change in list(COPIES.values())[3::4]]
    hashes = [hashed(picture) for picture in pictures]
    for within in (0, 8, NEAR, 60, 100):
        expected = [
            (i, j, distance(hashes[i], hashes[j]))
            for i in range(len(hashes))
            for j in range(i + 1, len(hashes))
            if distance(hashes[i], hashes[j]) <= within
        ]
        assert [tuple(row) for row in near_pairs(hashes, within).tolist()] == expected
    assert expected


def test_no_pictures_have_no_pairs() -> None:
    assert near_pairs([]).shape == (0, 3)
    assert near_pairs([hashed(scene(0))]).shape == (0, 3)


@pytest.mark.real_data
def test_real_films_of_different_people_are_far_and_copies_near(real_data: Callable[[str], Path]) -> None:
    folder = real_data("mednist")
    for kind in ("CXR", "Hand"):
        pictures = [read_picture(path, "grey").pixels[0] for path in sorted((folder / kind).iterdir())[:200]]
        hashes = [hashed(picture) for picture in pictures]
        assert len(near_pairs(hashes, NEAR + 8)) == 0, kind
        for name, change in COPIES.items():
            copies = [hashed(change(picture)) for picture in pictures[:40]]
            found = sum(distance(*each) <= NEAR for each in zip(hashes, copies, strict=False))
            assert found >= 39, (kind, name)


@pytest.mark.slow
@pytest.mark.real_data
def test_real_repetitions_in_web_images_are_found(real_data: Callable[[str], Path]) -> None:
    """`labelled` holds one image of each set of near copies; `unlabelled` repeats many of its own."""
    folder = real_data("brain_tumor")
    labelled = sorted((folder / "labelled").glob("*/*"))
    hashes = [hashed(read_picture(path, "grey").pixels[0]) for path in labelled]
    assert len(near_pairs(hashes)) <= 1
    others = sorted((folder / "unlabelled").glob("yn_*"))
    assert len(near_pairs([hashed(read_picture(path, "grey").pixels[0]) for path in others])) > 15
