from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medseg.testing.labelled import disc, write_class_folders, write_labelled_table


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_the_place_of_the_disc_tells_the_class(classes: int) -> None:
    centres = np.array(
        [
            [np.argwhere(disc([n], classes, seed=(seed,)) > 125).mean(axis=0) for n in range(classes)]
            for seed in range(8)
        ]
    )
    within = centres.std(axis=0).max()
    apart = np.linalg.norm(centres.mean(axis=0)[:, None] - centres.mean(axis=0)[None], axis=2)
    assert within < 2 < apart[~np.eye(classes, dtype=bool)].min() / 2
    if classes == 2:
        assert centres[:, 0, 1].max() < 16 < centres[:, 1, 1].min()  # left, right


def test_no_class_is_noise_alone() -> None:
    assert (disc([], 2) < 125).all()
    assert (disc([0, 1], 2) > 125).sum() > 1.5 * (disc([0], 2) > 125).sum()


def test_pictures_of_a_seed_are_the_same_and_no_two_are_alike(tmp_path: Path) -> None:
    first = write_class_folders(tmp_path / "a", ("x", "é"), 2, ("Train", "Test"))
    again = write_class_folders(tmp_path / "b", ("x", "é"), 2, ("Train", "Test"))
    files = sorted(path.relative_to(first) for path in first.rglob("*.png"))
    assert [path.as_posix() for path in files if path.parts[0] == "Train" and path.parts[1] == "x"] == [
        "Train/x/0001.png",
        "Train/x/0002.png",
    ]
    bytes_of = [(first / path).read_bytes() for path in files]
    assert bytes_of == [(again / path).read_bytes() for path in files]
    assert len(set(bytes_of)) == len(files) == 8
    other = write_class_folders(tmp_path / "c", ("x", "é"), 2, seed=1)
    assert (other / "x" / "0001.png").read_bytes() not in bytes_of


def test_pictures_that_cannot_be_learned_do_not_show_their_class(tmp_path: Path) -> None:
    root = write_class_folders(tmp_path, cases=30, learnable=False)
    columns = [
        float(np.argwhere(np.asarray(Image.open(path)) > 125).mean(axis=0)[1] < 16)
        for path in sorted((root / "left").iterdir())
    ]
    assert 0.2 < np.mean(columns) < 0.8


def test_a_table_says_the_same_in_both_ways(tmp_path: Path) -> None:
    root = write_labelled_table(tmp_path, ("a", "b", "c"), 8, many=True, patients=3)
    header, *rows = [
        line.split(",") for line in (root / "labels.csv").read_text(encoding="utf-8").splitlines()
    ]
    assert header == ["image", "patient", "label", "a", "b", "c"]
    for image, _, joined, *flags in rows:
        assert joined == "|".join(name for name, flag in zip("abc", flags, strict=True) if flag == "1")
        assert (root / image).is_file()
    assert len({row[1] for row in rows}) == 3
