"""Broken inputs are the same for the same seed, and each is read or refused with a reason."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from medseg.errors import DataError
from medseg.images.dicom.series.drawn import read_drawn
from medseg.images.formats import NIFTI, FileKind, PictureFiles
from medseg.images.itk.kind import ItkFiles
from medseg.images.npz import NpzFiles
from medseg.testing.broken import KINDS, broken, sound
from medseg.testing.broken.drawn import NAME

READERS: dict[str, FileKind] = {
    **dict.fromkeys(("nifti", "nifti packed"), NIFTI),
    **dict.fromkeys(("nifti pair", "metaimage", "metaimage apart", "nrrd", "nrrd apart"), ItkFiles()),
    "npz": NpzFiles(("scan",)),
    **dict.fromkeys(("png", "jpeg", "tiff", "bmp", "npy", "dicom"), PictureFiles("grey", ("scan",))),
}


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "place"])
def test_a_seed_gives_the_same_inputs_and_another_others(kind, tmp_path):
    given = {}
    for name, seed in (("a", 1), ("again", 1), ("b", 2)):
        (tmp_path / name).mkdir()
        inputs = list(broken(kind, seed=seed, count=6))
        for number, each in enumerate(inputs):
            each.write(tmp_path / name / f"{number}{each.ending}")
        given[name] = [(each.why, each.ending) for each in inputs], files(tmp_path / name)

    assert given["a"] == given["again"]
    assert given["a"] != given["b"]


@pytest.mark.parametrize("kind", list(READERS))
def test_a_sound_input_is_read(kind, tmp_path):
    ending, write = sound(kind)
    write(tmp_path / f"a{ending}")

    (stored,) = READERS[kind].read(tmp_path / f"a{ending}", ["scan"])
    assert stored.data.size > 1


@pytest.mark.parametrize("kind", ["dicom seg", "dicom rtstruct"])
def test_what_is_drawn_on_a_series_is_read_where_it_is_sound_and_else_read_or_refused(kind, tmp_path):
    def drawn(write):
        folder = tmp_path / "study"
        write(folder)
        *slices, label = sorted(folder.iterdir(), key=lambda path: path.name == "drawn.dcm")
        try:
            return read_drawn(label, slices, ((1, (NAME,)),))
        finally:
            shutil.rmtree(folder)

    marked = np.zeros((14, 12, 5), bool)
    marked[3:9, 2:8, 1:3] = True
    np.testing.assert_array_equal(drawn(sound(kind)[1]).data == 1, marked)

    reasons = []
    for each in broken(kind, seed=3, count=60):
        try:
            drawn(each.write)
        except DataError as error:
            reasons.append(str(error))

    assert len(reasons) > 15
    assert all(reasons)
    assert not [reason for reason in reasons if str(tmp_path) in reason or "\x1b" in reason]


@pytest.mark.parametrize("kind", list(READERS))
def test_a_broken_input_is_read_or_refused_by_its_reader(kind, tmp_path):
    """And nothing else: the whole way is tried by `benchmarks/broken_inputs.py`."""
    reasons = []
    for each in broken(kind, seed=3, count=40):
        path = tmp_path / f"{each.name}{each.ending}"
        each.write(path)
        try:
            READERS[kind].read(path, ["scan"])
        except DataError as error:
            reasons.append(str(error))
        for there in tmp_path.iterdir():
            there.unlink()

    assert len(reasons) > 8
    assert all(reasons)
    assert not [reason for reason in reasons if str(tmp_path) in reason]


def test_every_lie_comes_once_before_damage_alone_is_left():
    whys = [each.why for each in broken("png", seed=5)]

    assert len(whys[::2]) == len(set(whys[::2])) > 30
    assert [each.why for each in broken("png", seed=5, count=500)][: len(whys)] == whys


def test_a_kind_that_is_none_is_refused():
    with pytest.raises(ValueError, match="there is no kind 'nothing' of broken inputs"):
        next(broken("nothing"))


def test_places_are_what_no_reader_should_open(tmp_path):
    for each in broken("place"):
        path = tmp_path / f"{each.name}.nii"
        each.write(path)
        if "nobody may read" in each.why:  # root may, and the bytes are no image
            path.chmod(0o600)
        with pytest.raises(DataError):
            NIFTI.read(path, ["scan"])
