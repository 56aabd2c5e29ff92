"""Pictures of which a file holds several are slices of a case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from medseg.datasets.scanning.look import look


def write_pages(path: Path, pages: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pages, photometric="minisblack")


def stacks(folder: Path, pages: int) -> Path:
    for number in range(4):
        draw = np.random.default_rng(number)
        image = draw.integers(0, 200, (pages, 24, 20), dtype=np.uint8)
        write_pages(folder / "images" / f"case_{number}.tif", image)
        write_pages(folder / "masks" / f"case_{number}.tif", (image > 120).astype(np.uint8))
    return folder


@pytest.mark.parametrize("pages", [1, 3])
def test_pages_of_tiff_are_offered_as_slices(pages: int, tmp_path: Path) -> None:
    seen = look(stacks(tmp_path, pages))

    assert seen.layout is not None
    assert not seen.problems
    assert seen.fields["pictures"].get("frames") == ("slices" if pages > 1 else None)
    assert any("several pictures" in each for each in seen.layout.reasons) is (pages > 1)
    assert {each.shape for each in seen.seen} == {(20, 24, pages)}


def test_one_file_of_several_pictures_is_enough(tmp_path: Path) -> None:
    folder = stacks(tmp_path, 1)
    write_pages(folder / "images" / "case_2.tif", np.full((2, 24, 20), 7, np.uint8))
    write_pages(folder / "masks" / "case_2.tif", np.ones((2, 24, 20), np.uint8))
    assert look(folder).fields["pictures"]["frames"] == "slices"


def test_a_file_that_cannot_be_read_does_not_matter(tmp_path: Path) -> None:
    folder = stacks(tmp_path, 2)
    (folder / "images" / "case_0.tif").write_bytes(b"II*\0")
    assert look(folder).fields["pictures"]["frames"] == "slices"
