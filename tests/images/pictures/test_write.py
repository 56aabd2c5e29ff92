from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.errors import DataError
from medseg.images.pictures.read import read_mask, read_picture
from medseg.images.pictures.write import write_label_picture, write_probability_picture


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize(
    ("high", "kept"), [(1, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)]
)
def test_labels_come_back_in_as_few_bits_as_they_need(
    tmp_path: Path, kind: type, high: int, kept: type
) -> None:
    labels = np.random.default_rng(0).integers(0, min(high, np.iinfo(kind).max) + 1, (60, 100)).astype(kind)
    labels[7, 9] = min(high, np.iinfo(kind).max)
    path = tmp_path / "x.part"

    write_label_picture(labels, path)

    back = read_mask(path).pixels
    np.testing.assert_array_equal(back[0], labels)
    assert back.dtype == (kept if high <= np.iinfo(kind).max else np.uint8)
    with Image.open(path) as image:
        assert image.format == "PNG"
        assert image.size == (100, 60)


def test_views_and_bool_are_written_as_they_look(tmp_path: Path) -> None:
    labels = np.arange(48).reshape(6, 8)
    for view in (labels.T, labels[::-1, ::2], labels > 20):
        write_label_picture(view, tmp_path / "x.png")
        np.testing.assert_array_equal(read_mask(tmp_path / "x.png").pixels[0], view)


@pytest.mark.parametrize("label", [-1, 65536])
def test_labels_that_png_cannot_hold_are_refused(tmp_path: Path, label: int) -> None:
    with pytest.raises(DataError, match=rf"{label}.*a PNG holds 0 to 65535"):
        write_label_picture(np.array([[0, label]]), tmp_path / "x.png")
    assert not (tmp_path / "x.png").exists()


def test_what_is_no_label_map_is_refused(tmp_path: Path) -> None:
    for wrong in (np.zeros((2, 3)), np.zeros((1, 2, 3), dtype=int), np.zeros((0, 3), dtype=int)):
        with pytest.raises(ValueError, match=r"expected integers \(H, W\)"):
            write_label_picture(wrong, tmp_path / "x.png")


def test_probabilities_come_back_within_half_a_step(tmp_path: Path) -> None:
    probability = np.random.default_rng(0).random((60, 100), dtype=np.float32)
    probability[0, :3] = [0, 1, 0.5]
    path = tmp_path / "x.png"

    write_probability_picture(probability, path)

    back = read_picture(path, "grey").pixels
    assert back.dtype == np.uint16
    assert list(back[0, 0, :2]) == [0, 65535]
    assert np.abs(back[0] / 65535 - probability).max() <= 1 / 131070 + 1e-12


def test_what_is_no_probability_is_refused(tmp_path: Path) -> None:
    for wrong in (-0.1, 1.1, np.nan, np.inf):
        with pytest.raises(ValueError, match="no probabilities"):
            write_probability_picture(np.array([[0, wrong]], dtype=np.float32), tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"expected reals \(H, W\)"):
        write_probability_picture(np.zeros((1, 2, 3), dtype=np.float32), tmp_path / "x.png")


def test_equal_pixels_give_equal_bytes(tmp_path: Path) -> None:
    labels = np.random.default_rng(0).integers(0, 9, (60, 100))
    write_label_picture(labels.astype(np.int64), tmp_path / "a.png")
    write_label_picture(np.asfortranarray(labels.astype(np.uint8)), tmp_path / "b.tmp")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.tmp").read_bytes()

    for name in ("c.png", "d.tmp"):
        write_probability_picture(labels.astype(np.float32) / 8, tmp_path / name)
    assert (tmp_path / "c.png").read_bytes() == (tmp_path / "d.tmp").read_bytes()
