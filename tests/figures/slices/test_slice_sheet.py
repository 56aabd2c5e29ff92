from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from medseg.datasets.unannotated import UNANNOTATED
from medseg.figures.palette import colours
from medseg.figures.slices.slice_sheet import SIDE, SliceSheet, sheet_of

RNG = np.random.default_rng(3)


def parts(sheet, slices):
    """Rows of three pictures, cut where the white gaps are."""
    height, rest = divmod(len(sheet), slices)
    assert rest == 0
    width = (sheet.shape[1] - 8) // 3
    starts = [0, width + 4, 2 * (width + 4)]
    return [[sheet[r * height : (r + 1) * height, s : s + width] for s in starts] for r in range(slices)]


def test_each_row_is_the_bare_channel_the_truth_and_the_prediction_of_a_slice():
    images = RNG.normal(size=(3, 12, 8))
    truth, predicted = RNG.integers(0, 3, size=(2, 3, 12, 8))
    rows = parts(sheet_of(images, truth, predicted, 3), 3)

    for row, *labels in zip(rows, truth, predicted, strict=True):
        assert row[0].shape == (SIDE, SIDE * 8 // 12, 3)
        assert (row[0] == row[0][..., :1]).all(), "the channel is grey"
        for drawn, classes in zip(row[1:], labels, strict=True):
            scale = SIDE // 12
            centres = np.s_[scale // 2 :: scale, scale // 2 :: scale]
            bare, tinted = row[0][centres].astype(float), drawn[centres].astype(float)
            share = np.where(classes > 0, 0.45, 0.0)[..., None]
            np.testing.assert_allclose(tinted, bare * (1 - share) + colours(3)[classes] * share, atol=1)


def test_all_slices_have_one_window_so_that_a_dark_slice_stays_dark():
    images = np.stack([np.full((6, 6), value, dtype=float) for value in (1, 2, 3)])
    images[:, 0, 0] = 0
    zeros = np.zeros((3, 6, 6), dtype=int)
    greys = [int(row[0][SIDE // 2, SIDE // 2, 0]) for row in parts(sheet_of(images, zeros, zeros, 2), 3)]
    assert greys == sorted(set(greys))


@pytest.mark.parametrize(
    ("shape", "spacing", "expected"),
    [
        ((10, 20), (1.0, 1.0), (SIDE // 2, SIDE)),
        ((10, 20), (4.0, 1.0), (SIDE, SIDE // 2)),
        ((4000, 40), (1.0, 1.0), (SIDE, 24)),
        ((4, 4), (1e-6, 1e6), (24, SIDE)),
    ],
)
def test_its_size_is_bounded_whatever_the_size_of_slices_and_pixels(shape, spacing, expected):
    blank = np.zeros((1, *shape), dtype=int)
    ((first, *_),) = parts(sheet_of(blank.astype(float), blank, blank, 2, spacing), 1)
    assert first.shape[:2] == expected


def test_colours_stay_and_what_nobody_annotated_is_hatched():
    images = RNG.integers(0, 256, size=(1, 8, 8, 3))
    truth = np.full((1, 8, 8), UNANNOTATED)
    ((bare, drawn, same),) = parts(sheet_of(images, truth, np.zeros((1, 8, 8), dtype=int), 2), 1)
    scale = SIDE // 8
    np.testing.assert_array_equal(bare[scale // 2 :: scale, scale // 2 :: scale], images[0])
    np.testing.assert_array_equal(bare, same)
    assert not np.array_equal(bare, drawn)


def test_a_sheet_is_a_picture_and_what_it_shows_with_the_same_bytes_each_time(tmp_path):
    blank = np.zeros((2, 5, 5), dtype=int)
    sheet = SliceSheet(sheet_of(RNG.normal(size=(2, 5, 5)), blank, blank, 2), {"case": "é", "slices": [0, 3]})
    files = sheet.save(tmp_path / "a" / "test_worst_1.png")
    again = sheet.save(tmp_path / "b" / "test_worst_1.png")

    assert [path.name for path in files] == ["test_worst_1.png", "test_worst_1.json"]
    assert [path.read_bytes() for path in files] == [path.read_bytes() for path in again]
    with Image.open(files[0]) as opened:
        np.testing.assert_array_equal(np.asarray(opened), sheet.picture)
    assert json.loads(files[1].read_text(encoding="utf-8")) == sheet.about
