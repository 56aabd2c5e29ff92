"""Cases as NumPy archives: what is read, and what is refused before memory is taken."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medseg.errors import DataError
from medseg.geometry.grid import Geometry
from medseg.images import npz
from medseg.images.npz import NpzFiles, write_npz
from medseg.slices.dictionary.load import LoadCased

PLANES = ("flair", "t1", "t1ce", "t2")
FILES = NpzFiles(PLANES)
SHAPE = (5, 6, 7)
MOVED = np.array([[1.0, 0, 0, -90], [0, 1, 0, 126], [0, 0, 1, 72], [0, 0, 0, 1]])
FLAT = np.array(
    [[50.0, 50, 0, 0], [50, 50.00001, 0, 0], [0, 0, 9, 0], [0, 0, 0, 1]]
)  # two axes are one, almost


def drawn(dtype: Any = np.float32) -> Any:
    return (100 * np.random.default_rng(0).normal(size=(*SHAPE, 4))).astype(dtype)


def archive(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def raw(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def header(shape: tuple[int, ...], descr: str = "<f4") -> bytes:
    held = io.BytesIO()
    np.lib.format.write_array_header_1_0(held, {"descr": descr, "fortran_order": False, "shape": shape})
    return held.getvalue()


def test_channels_are_those_that_are_asked_for_in_their_order(tmp_path: Path) -> None:
    data = drawn()
    path = archive(tmp_path / "a.npz", data=data, seg=np.zeros(SHAPE, np.uint8))
    t2, flair = FILES.read(path, ["t2", "flair"])
    np.testing.assert_array_equal(t2.data, data[..., 3])
    np.testing.assert_array_equal(flair.data, data[..., 0])
    assert FILES.geometry(path).shape == flair.geometry.shape == SHAPE


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64, ">f4"])
def test_arrays_of_other_numbers_and_orders_are_read(tmp_path: Path, dtype: Any) -> None:
    data, seg = np.asfortranarray(drawn(dtype)), np.arange(210).reshape(SHAPE) % 5
    path = archive(tmp_path / "a.npz", data=data, seg=np.asfortranarray(seg))
    np.testing.assert_allclose(FILES.read(path, ["t1"])[0].data, data[..., 1], rtol=1e-6)
    np.testing.assert_array_equal(FILES.read_mask(path).data, seg)


@pytest.mark.parametrize(("image", "truth"), [(">f4", ">i2"), (">i2", ">u2"), (">f8", ">f4")])
def test_archives_of_another_byte_order_are_tensors_of_the_same_values(
    tmp_path: Path, image: str, truth: str
) -> None:
    data, seg = drawn(image), (np.arange(210).reshape(SHAPE) % 5).astype(truth)
    path = archive(tmp_path / "a.npz", data=data, seg=seg)
    row = {"image": dict.fromkeys(PLANES, path), "label": path}
    found = LoadCased(files=FILES, channels=("t1",))(row)
    np.testing.assert_allclose(found["image"][0].numpy(), data[..., 1], rtol=1e-6)
    np.testing.assert_array_equal(found["label"][0].numpy(), seg)


def test_voxels_of_any_size_have_a_place(tmp_path: Path) -> None:
    affine = np.diag([5e-4, 5e-4, 5e-4, 1])  # half a micrometre
    path = archive(tmp_path / "a.npz", data=drawn(), affine=affine)
    np.testing.assert_array_equal(FILES.read(path, ["t1"])[0].geometry.affine, affine)


def test_what_the_archive_does_not_say_of_its_grid_is_assumed_as_in_brats(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", data=drawn(), seg=np.zeros(SHAPE, np.uint8))
    (found,) = FILES.read(path, ["t1"])
    assert (found.geometry.orientation, found.geometry.spacing) == ("LPS", (1.0, 1.0, 1.0))
    assert "1 mm is assumed" in found.geometry.assumed[0]
    assert found.notes == found.geometry.assumed


def test_what_was_written_is_read_back_with_its_grid(tmp_path: Path) -> None:
    grid = Geometry(SHAPE, np.array([[0, -2.0, 0, 9], [1.5, 0, 0, -3], [0, 0, 3, 1], [0, 0, 0, 1]]))
    image = np.moveaxis(drawn(), -1, 0)
    label = (np.arange(210).reshape(SHAPE) % 5).astype(np.uint8)
    write_npz(tmp_path / "a.npz", image, label, grid)
    write_npz(tmp_path / "made-up.npz", image, label, grid, made_up=True)
    stored = FILES.read(tmp_path / "a.npz", PLANES)
    made_up = FILES.read(tmp_path / "made-up.npz", PLANES)
    np.testing.assert_array_equal([each.data for each in stored], image)
    np.testing.assert_array_equal([each.data for each in made_up], image)
    with np.load(tmp_path / "made-up.npz") as archive:
        assert set(archive.files) == {"data", "seg", "affine"}
    assert all(each.made_up for each in made_up)
    assert not any(each.made_up for each in stored)
    np.testing.assert_array_equal(FILES.read_mask(tmp_path / "a.npz").data, label)
    np.testing.assert_array_equal(stored[0].geometry.affine, grid.affine)
    assert stored[0].geometry.assumed == ()


class Boom:
    def __reduce__(self) -> Any:
        return (Path("/nowhere/at/all").unlink, ())


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    content = header((1,), "|O") + pickle.dumps([Boom()])
    path = raw(tmp_path / "a.npz", data=content)
    with pytest.raises(DataError, match="Python objects, which are never unpickled"):
        FILES.read(path, ["t1"])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_array_that_zipfile_would_unpack_whole_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: int
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", method) as file:
        file.writestr("data.npy", header((1, 1, 1, 4)) + bytes(16))
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda *_: pytest.fail("it was unpacked"))

    for read in (lambda: FILES.read(tmp_path / "a.npz", ["t1"]), lambda: FILES.geometry(tmp_path / "a.npz")):
        with pytest.raises(DataError, match=r"packed in another way than NumPy packs.*savez_compressed"):
            read()


def test_a_header_that_claims_more_than_is_there_takes_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = raw(tmp_path / "a.npz", data=header((10_000, 10_000, 10_000, 4)) + bytes(16))
    monkeypatch.setattr(np, "frombuffer", None)
    with pytest.raises(DataError, match="should take 16000000000000 bytes by its header, and takes 16"):
        FILES.read(path, ["t1"])


def test_an_archive_that_does_not_fit_into_memory_is_refused_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 40
    content = header((size, size, size, 4)) + bytes(4 * 4 * size**3)
    path = raw(tmp_path / "bomb.npz", data=content)
    assert path.stat().st_size < len(content) / 500  # as compressed as a bomb
    monkeypatch.setattr(npz, "_NO_MATTER", 1000)
    monkeypatch.setattr(npz, "available_memory", lambda: len(content))
    with pytest.raises(DataError, match="does not fit into memory"):
        FILES.read(path, ["t1"])


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"seg": np.zeros(SHAPE)}, r"holds no array 'data': it has 1 other, \['seg.npy'\] among them"),
        ({"data": drawn()[..., :3]}, r"of shape \(5, 6, 7, 3\); expected \(X, Y, Z, 4\)"),
        ({"data": drawn()[..., 0]}, r"expected \(X, Y, Z, 4\)"),
        ({"data": np.zeros((5, 6, 0, 4))}, r"expected \(X, Y, Z, 4\)"),
        ({"data": drawn().astype(complex)}, "values of type complex128"),
        ({"data": drawn(), "affine": np.zeros((4, 4))}, "affine is singular"),
        ({"data": drawn(), "affine": FLAT}, "affine is singular"),
        (
            {"data": drawn(), "affine": MOVED.T},
            r"last row of its affine is \(-90, 126, 72, 1\).*transpose it",
        ),
        ({"data": drawn(), "affine": 2 * np.eye(4)}, r"is \(0, 0, 0, 2\); expected \(0, 0, 0, 1\)"),
        (
            {"data": drawn(), "affine": np.diag([1e-10, 1, 1, 1])},
            "voxels of 1e-10 mm, which is smaller than an atom",
        ),
        ({"data": drawn(), "affine": np.diag([1e7, 1, 1, 1])}, "1e[+]07 mm, which is beyond any image"),
        ({"data": drawn(), "affine": np.eye(3)}, r"'affine' is of shape \(3, 3\)"),
    ],
)
def test_other_archives_are_refused_with_what_was_expected(
    tmp_path: Path, arrays: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DataError, match=expected):
        FILES.read(archive(tmp_path / "a.npz", **arrays), ["t1"])


def test_a_case_without_a_truth_is_refused_where_one_is_asked_for(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.npz", data=drawn())
    assert FILES.read(path, ["t1"])[0].data.shape == SHAPE
    with pytest.raises(DataError, match="holds no array 'seg'"):
        FILES.read_mask(path)


@pytest.mark.parametrize("cut", [0, 10, 200, -30])
def test_a_truncated_archive_is_refused(tmp_path: Path, cut: int) -> None:
    path = archive(tmp_path / "a.npz", data=drawn())
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match="no whole NumPy archive"):
        FILES.read(path, ["t1"])


def test_a_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, data=drawn())
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="no whole NumPy archive"):
        FILES.read(path, ["t1"])


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not there"):
        FILES.read(tmp_path / "a.npz", ["t1"])


def test_a_name_within_that_is_no_utf_8_is_damage(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", dätä=np.zeros(3))
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "b.npz").write_bytes(content.replace("ä".encode(), b"\xff\xff"))

    with pytest.raises(DataError, match="no whole NumPy archive"):
        FILES.read_mask(tmp_path / "b.npz")
