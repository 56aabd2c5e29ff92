"""MGH, GIPL and VTK: the same voxels in the same places as nibabel and SimpleITK, behind the same refusals."""

from __future__ import annotations

import gzip
import locale
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK
from nibabel.freesurfer import MGHImage

from medseg.errors import DataError
from medseg.geometry.grid import Geometry
from medseg.images.itk.kind import ItkFiles, StackedItkFiles
from medseg.images.itk.write import itk_ending, write_volume
from medseg.images.nifti.read import read_nifti

FILES = ItkFiles()
SHAPE = (3, 4, 5)
VOXELS = np.arange(60, dtype=np.int16).reshape(SHAPE)
AFFINE = np.array([[-0.7, 0.1, 0, 20], [0.2, 0, 1.5, -8], [0, -1.1, 0.3, 40], [0, 0, 0, 1.0]])


@pytest.fixture(autouse=True)
def same_locale() -> Iterator[None]:
    """SimpleITK, as it is asked here beside, leaves the process with another where it read VTK."""
    before = locale.setlocale(locale.LC_ALL)
    yield
    locale.setlocale(locale.LC_ALL, before)


def by_nibabel(path: Path) -> Any:
    """From bytes: of files that it opens itself it leaves some open."""
    raw = path.read_bytes()
    return MGHImage.from_bytes(gzip.decompress(raw) if path.suffix == ".mgz" else raw)


@pytest.mark.parametrize("ending", [".mgh", ".mgz"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
def test_mgh_is_what_nibabel_reads(tmp_path: Path, ending: str, dtype: type) -> None:
    path = tmp_path / f"brain{ending}"
    affine = np.diag([-1.2, 0.8, 2.0, 1.0]) @ np.array(
        [[0.6, -0.8, 0, 3], [0.8, 0.6, 0, 2], [0, 0, 1, 9], [0, 0, 0, 1.0]]
    )
    affine = AFFINE if dtype is np.float32 else affine
    MGHImage(VOXELS.astype(dtype), affine).to_filename(path)
    oracle = by_nibabel(path)

    stored = FILES.read_image(path)

    assert np.array_equal(stored.data, np.asanyarray(oracle.dataobj))
    assert stored.data.dtype == dtype
    assert np.allclose(stored.geometry.affine, oracle.affine, atol=1e-6)
    assert FILES.geometry(path).same_grid(stored.geometry)
    leaning = ["not at right angles" in note for note in stored.notes]
    assert leaning == ([True] if stored.geometry.lean > 0.1 else [])


def test_frames_of_mgh_are_channels(tmp_path: Path) -> None:
    path = tmp_path / "two.mgz"
    MGHImage(np.stack([VOXELS, 2 * VOXELS], axis=-1), AFFINE).to_filename(path)
    second, first = StackedItkFiles(("a", "b")).read(path, ["b", "a"])
    assert np.array_equal(first.data, VOXELS)
    assert np.array_equal(second.data, 2 * VOXELS)
    with pytest.raises(DataError, match="expected a volume"):
        FILES.read_image(path)


def test_mgh_without_a_place_says_what_is_assumed(tmp_path: Path) -> None:
    path = tmp_path / "brain.mgh"
    MGHImage(VOXELS, AFFINE).to_filename(path)
    raw = bytearray(path.read_bytes())
    raw[28:30] = b"\0\0"
    path.write_bytes(raw)
    stored = FILES.read_image(path)
    assert "goodRASFlag" in stored.notes[0]
    assert np.allclose(stored.geometry.affine, by_nibabel(path).affine)


@pytest.mark.parametrize("ending", [".gipl", ".vtk"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_older_formats_are_what_simpleitk_reads(tmp_path: Path, ending: str, dtype: type) -> None:
    made = SimpleITK.GetImageFromArray(np.ascontiguousarray(VOXELS.astype(dtype).T))
    made.SetSpacing((0.7, 1.1, 2.3))
    made.SetOrigin((-12.5, 33.25, 7.0))
    path = tmp_path / f"scan{ending}"
    SimpleITK.WriteImage(made, str(path))
    SimpleITK.WriteImage(made, str(tmp_path / "scan.nii.gz"))

    stored = FILES.read_image(path)

    assert np.array_equal(stored.data, VOXELS)
    assert stored.geometry.same_grid(read_nifti(tmp_path / "scan.nii.gz").geometry)
    assert any("no directions" in note for note in stored.notes)


@pytest.mark.parametrize("name", ["scan.gipl", "scan.vtk", "brain.mgz", "brain.mgh"])
def test_label_maps_of_them_are_written_as_nifti(tmp_path: Path, name: str) -> None:
    assert itk_ending(Path(name)) == ".nii.gz"
    MGHImage(VOXELS, AFFINE).to_filename(tmp_path / "brain.mgh")
    grid = FILES.geometry(tmp_path / "brain.mgh")
    write_volume(VOXELS, grid, tmp_path / "out.nii.gz")
    assert np.allclose(nibabel.load(tmp_path / "out.nii.gz").affine, AFFINE, atol=1e-5)


def written(folder: Path, ending: str) -> Path:
    path = folder / f"scan{ending}"
    if ending.startswith(".mg"):
        MGHImage(VOXELS, AFFINE).to_filename(path)
    else:
        SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS.T), str(path))
    return path


@pytest.mark.parametrize("ending", [".gipl", ".vtk", ".mgh", ".mgz"])
def test_what_is_cut_short_or_nonsense_is_refused(tmp_path: Path, ending: str) -> None:
    path = written(tmp_path, ending)
    whole = path.read_bytes()
    for content in (whole[:30], whole[: len(whole) // 2], b"nonsense", b"\1" * 400):
        path.write_bytes(content)
        with pytest.raises(DataError):
            FILES.read_image(path)


@pytest.mark.parametrize("ending", [".gipl", ".vtk", ".mgh", ".mgz"])
def test_damage_is_read_or_refused(tmp_path: Path, ending: str) -> None:
    path, draw = written(tmp_path, ending), np.random.default_rng(1)
    whole, refused = path.read_bytes(), 0
    for _ in range(60):
        raw = bytearray(whole)
        for place in draw.integers(0, min(len(raw), 300), size=3):
            raw[place] = draw.integers(256)
        path.write_bytes(raw)
        for read in (FILES.read_image, FILES.geometry):
            try:
                found = read(path)
            except DataError:
                refused += 1
            else:
                assert np.isfinite((found if isinstance(found, Geometry) else found.geometry).affine).all()
    assert refused  # of what is packed, whatever is damaged


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        (b"BINARY", b"ASCII", "as text"),
        (b"STRUCTURED_POINTS", b"POLYDATA", "expected a volume"),
        (b"POINT_DATA 60", b"POINT_DATA 61", "two ways"),
        (b"short 1", b"short 3", "several values"),
    ],
)
def test_vtk_of_something_else_is_refused_for_its_reason(
    tmp_path: Path, before: bytes, after: bytes, reason: str
) -> None:
    path = written(tmp_path, ".vtk")
    raw = path.read_bytes()
    assert before in raw
    path.write_bytes(raw.replace(before, after))
    with pytest.raises(DataError, match=reason):
        FILES.read_image(path)


def test_reading_leaves_the_locale_of_the_process_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "scan.vtk"
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(VOXELS.T), str(path))
    locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    before = locale.setlocale(locale.LC_ALL)
    FILES.read_image(path)
    assert locale.setlocale(locale.LC_ALL) == before
