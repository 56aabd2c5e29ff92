from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, ornt_transform

from medseg.errors import DataError
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI
from medseg.images.itk.kind import ItkFiles
from medseg.images.nifti.read import nifti_geometry, read_nifti, stored_shape
from medseg.images.nifti.write import write_nifti
from medseg.images.refusal import RefusedError

SHAPE = (4, 5, 6)
CODES = [
    "".join(letters)
    for order in itertools.permutations(("RL", "AP", "SI"))
    for letters in itertools.product(*order)
]


def oriented(codes: str, tilt: float = 0.0) -> np.ndarray:
    """An affine whose stored axes run as `codes`, of 1 x 2 x 3 mm, turned a little."""
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]]
    ornt = ornt_transform(axcodes2ornt("RAS"), axcodes2ornt(codes))
    base = turn @ np.diag([1.0, 2.0, 3.0, 1.0])
    base[:3, 3] = [-7, 11, 5]
    inner = tuple(int(n) for n in np.array(SHAPE)[np.argsort(ornt[:, 0])])
    return base @ inv_ornt_aff(ornt, inner)


def saved(path: Path, data: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize("codes", CODES)
@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_every_orientation_comes_as_nibabel_s_canonical_and_goes_back(
    tmp_path: Path, codes: str, tilt: float
) -> None:
    data = np.random.default_rng(1).integers(0, 999, SHAPE).astype(np.int16)
    path = saved(tmp_path / "a.nii", data, oriented(codes, tilt))
    stored = read_nifti(path)
    canonical = nibabel.as_closest_canonical(nibabel.load(path))
    ras = stored.geometry.to_ras(stored.data)
    np.testing.assert_array_equal(ras, np.asanyarray(canonical.dataobj))
    np.testing.assert_allclose(stored.geometry.ras_affine, canonical.affine, atol=1e-6)
    np.testing.assert_array_equal(stored.geometry.from_ras(ras), data)
    assert stored.geometry.orientation == "".join(nibabel.aff2axcodes(nibabel.load(path).affine))


@pytest.mark.parametrize(
    ("dtype", "read"),
    [("u1", "u1"), ("i2", "i2"), (">i2", "i2"), ("i4", "i4"), ("f4", "f4"), ("f8", "f4"), (">f4", "f4")],
)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_integers_stay_integers_and_reals_become_float32(
    tmp_path: Path, dtype: str, read: str, suffix: str
) -> None:
    data = np.arange(24).reshape(2, 3, 4)
    header = nibabel.Nifti1Header(endianness=">" if dtype.startswith(">") else "<")
    header.set_data_dtype(dtype)
    nibabel.Nifti1Image(data, np.eye(4), header).to_filename(tmp_path / f"a{suffix}")
    stored = read_nifti(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(stored.data, data)
    assert stored.data.dtype == np.dtype(read)


def test_a_scale_in_the_header_is_applied(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.arange(8, dtype=np.int16).reshape(2, 2, 2), np.eye(4))
    image.header.set_slope_inter(0.5, -1)
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    expected = nibabel.load(path).get_fdata()
    np.testing.assert_allclose(read_nifti(path).data, expected)


@pytest.mark.parametrize(
    ("stored", "read"), [((4, 5), (4, 5, 1)), ((4, 5, 1), (4, 5, 1)), ((4, 5, 2, 1), (4, 5, 2))]
)
def test_slices_and_empty_axes_become_volumes(
    tmp_path: Path, stored: tuple[int, ...], read: tuple[int, ...]
) -> None:
    data = np.random.default_rng(0).integers(0, 9, stored).astype(np.uint8)
    met = read_nifti(saved(tmp_path / "a.nii.gz", data))
    assert met.geometry.shape == met.data.shape == read
    np.testing.assert_array_equal(met.data, data.reshape(read))


def spoilt(path: Path, change: Callable[[bytes], bytes]) -> Path:
    path.write_bytes(change(path.read_bytes()))
    return path


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda _: b"", "0 bytes"),
        (lambda _: b"a short text", "not NIfTI.*text"),
        (lambda _: b"a long text\n" * 99, "not NIfTI.*text"),
        (lambda _: bytes(range(200, 255)) * 20, "not NIfTI.*other data"),
        (lambda _: gzip.compress(b"a text, packed"), "not NIfTI"),
        (lambda raw: raw[: len(raw) // 2], "truncated"),
        (lambda raw: raw[:-4], "truncated|damaged"),
        (lambda raw: raw[:30] + bytes(40) + raw[70:], "damaged|truncated|not NIfTI"),
        (lambda raw: gzip.compress(gzip.decompress(raw)[:-1]), "truncated"),
        (lambda raw: gzip.compress(gzip.decompress(raw)[:352]), "truncated"),
        (lambda raw: gzip.compress(gzip.decompress(raw)[:200]), "not NIfTI|truncated"),
    ],
)
def test_a_damaged_file_is_a_data_error_that_says_how(
    tmp_path: Path, change: Callable[[bytes], bytes], complaint: str
) -> None:
    data = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.int16)
    path = spoilt(saved(tmp_path / "a.nii.gz", data), change)
    with pytest.raises(DataError, match=complaint) as refused:
        read_nifti(path)
    assert str(tmp_path) not in str(refused.value)


@pytest.mark.slow
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150, deadline=None)
@given(places=st.lists(st.tuples(st.integers(0, 351), st.integers(0, 255)), min_size=1, max_size=4))
@pytest.mark.filterwarnings("ignore")  # nibabel warns of odd headers; only the outcome counts here
def test_any_header_is_read_or_refused(tmp_path: Path, places: list[tuple[int, int]]) -> None:
    path = saved(tmp_path / "a.nii", np.zeros(SHAPE, np.int16))
    raw = bytearray(path.read_bytes())
    for place, value in places:
        raw[place] = value
    path.write_bytes(bytes(raw))
    try:
        stored = read_nifti(path)
    except DataError:
        return
    assert stored.data.shape == stored.geometry.shape


@pytest.mark.parametrize(
    ("data", "affine", "complaint"),
    [
        (np.zeros((3, 3, 3, 2), np.int16), None, r"shape \(3, 3, 3, 2\), expected a volume"),
        (np.zeros(SHAPE, np.complex64), None, "complex64"),
        (np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")]), None, "expected integers or real numbers"),
        (np.zeros(SHAPE, np.int16), np.diag([1.0, 1, 0, 1]), "singular"),
        (np.zeros(SHAPE, np.int16), np.diag([1.0, 1, np.nan, 1]), "singular or not finite"),
    ],
)
def test_what_is_no_volume_is_refused_with_what_to_do_about_it(
    tmp_path: Path, data: np.ndarray, affine: np.ndarray | None, complaint: str
) -> None:
    image = nibabel.Nifti1Image(data, np.eye(4))
    if affine is not None:
        image.header.set_sform(affine, 2)
        image.header["qform_code"] = 0
        image = nibabel.Nifti1Image(data, None, image.header)
    path = tmp_path / "a.nii"
    nibabel.save(image, path)
    with pytest.raises(RefusedError, match=complaint) as caught:
        read_nifti(path)
    assert caught.value.remedy.endswith("or leave the case out.")
    assert "Unpack" not in caught.value.remedy
    assert ("as a file of its own" in caught.value.remedy) == (data.ndim == 4)
    assert caught.value.remedy.startswith("Save each colour") == (data.dtype.names is not None)


@pytest.mark.parametrize(
    ("row", "column", "value", "complaint"),
    [
        (0, 1, -1.7e38, "singular"),
        (1, 1, 8.31e34, "beyond any image"),
        (2, 3, np.inf, "not finite"),
        (0, 0, 0.0, "singular"),
    ],
)
def test_an_affine_that_gives_voxels_no_place_is_refused(
    tmp_path: Path, row: int, column: int, value: float, complaint: str
) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), None)
    image.header["sform_code"] = 1
    affine = np.eye(4)
    affine[row, column] = value
    for name, each in zip("xyz", affine, strict=False):
        image.header[f"srow_{name}"] = each
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(DataError, match=complaint):
        read_nifti(tmp_path / "a.nii")


def test_axes_that_almost_coincide_are_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), None)
    image.header["sform_code"] = 1
    for name, each in zip("xyz", ([1e5, 1e5, 0, 0], [0, 1e-11, 0, 0], [0, 0, 1e5, 0]), strict=True):
        image.header[f"srow_{name}"] = each
    nibabel.save(image, tmp_path / "a.nii")
    assert None in nibabel.aff2axcodes(nibabel.load(tmp_path / "a.nii").affine)
    with pytest.raises(DataError, match="singular"):
        read_nifti(tmp_path / "a.nii")


def test_a_header_that_claims_more_than_the_file_holds_asks_for_no_memory(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.float64)
    header.set_data_shape((32767, 32767, 32767))
    header["magic"], header["vox_offset"] = b"n+1", 352
    path = tmp_path / "a.nii"
    path.write_bytes(header.binaryblock + bytes(104))
    with pytest.raises(DataError, match="truncated"):
        read_nifti(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mgz"])
def test_a_name_without_an_end_within_a_packed_file_is_damage(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x1f\x8b\x08\x08" + bytes(6) + b"A" * 600_000)
    files = NIFTI if name.endswith(".nii.gz") else ItkFiles()

    for read in (lambda: files.read(tmp_path / name, ["t1"]), lambda: files.geometry(tmp_path / name)):
        with pytest.raises(DataError, match="damaged: its compressed data cannot be unpacked"):
            read()


def test_an_absent_file_and_a_folder_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not there"):
        read_nifti(tmp_path / "none.nii")
    with pytest.raises(DataError, match=r"cannot be read|may not be read"):
        read_nifti(tmp_path)


@pytest.mark.parametrize("codes", ["LPS", "RAS", "ASL"])
def test_a_label_map_is_written_on_the_grid_it_came_from(tmp_path: Path, codes: str) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), oriented(codes, 0.2))
    image.set_sform(oriented(codes, 0.2), 4)
    image.set_qform(oriented(codes, 0.2), 1)
    image.header["descrip"] = b"Anna Meier, born 1950"
    image.header.set_xyzt_units("mm", "sec")
    nibabel.save(image, tmp_path / "a.nii.gz")
    geometry = read_nifti(tmp_path / "a.nii.gz").geometry
    label = np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)
    write_nifti(label, geometry, tmp_path / "b.nii.gz")
    old, new = nibabel.load(tmp_path / "a.nii.gz"), nibabel.load(tmp_path / "b.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(new.dataobj), label)
    np.testing.assert_array_equal(new.affine, old.affine)
    np.testing.assert_array_equal(new.get_qform(), old.get_qform())
    for name in ("sform_code", "qform_code", "pixdim", "xyzt_units"):
        np.testing.assert_array_equal(new.header[name], old.header[name])
    assert new.get_data_dtype() == np.uint8
    assert b"Anna" not in gzip.decompress((tmp_path / "b.nii.gz").read_bytes())
    assert read_nifti(tmp_path / "b.nii.gz").geometry.same_grid(geometry)


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    geometry = read_nifti(saved(tmp_path / "a.nii", np.zeros(SHAPE, np.uint8))).geometry
    for name in ("b.nii.gz", "c.nii.gz"):
        write_nifti(np.ones(SHAPE, np.uint8), geometry, tmp_path / name)
    assert (tmp_path / "b.nii.gz").read_bytes() == (tmp_path / "c.nii.gz").read_bytes()


def with_header(path: Path, **fields: object) -> Path:
    """A file whose header holds these fields, as nibabel would not write them."""
    raw = bytearray(nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), oriented("LPS")).to_bytes())
    header = nibabel.Nifti1Header(bytes(raw[:348]), check=False)
    for name, value in fields.items():
        header[name] = value
    raw[:348] = header.binaryblock
    path.write_bytes(raw)
    return path


def test_what_a_header_says_of_its_place_is_taken_without_a_note(tmp_path: Path) -> None:
    for fields in ({}, {"xyzt_units": 10}, {"pixdim": [-1, 1, 2, 3, 0, 0, 0, 0]}):
        stored = read_nifti(with_header(tmp_path / "a.nii", **fields))
        np.testing.assert_allclose(stored.geometry.affine, oriented("LPS"), atol=1e-6)
        assert stored.notes == ()


@pytest.mark.parametrize(("code", "in_mm", "unit"), [(1, 1000.0, "metres"), (3, 0.001, "micrometres")])
def test_metres_and_micrometres_are_turned_into_millimetres(
    tmp_path: Path, code: int, in_mm: float, unit: str
) -> None:
    path = with_header(tmp_path / "a.nii", xyzt_units=code)
    stored = read_nifti(path)
    np.testing.assert_allclose(stored.geometry.spacing, np.array([1, 2, 3]) * in_mm)
    assert stored.geometry.voxel_volume == pytest.approx(6 * in_mm**3)
    assert nifti_geometry(path).spacing == stored.geometry.spacing
    (note,) = stored.notes
    assert f"lengths in {unit}" in note
    write_nifti(np.zeros(SHAPE, np.uint8), stored.geometry, tmp_path / "b.nii.gz")
    assert read_nifti(tmp_path / "b.nii.gz").geometry.same_grid(stored.geometry)


QFORM = {"sform_code": 0, "qform_code": 1}


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"sform_code": 0, "qform_code": 0}, ["no place and no directions"]),
        (
            {"sform_code": 0, "qform_code": 0, "pixdim": [1, 1, 0, 0, 0, 0, 0, 0]},
            ["no place and no directions", "no voxel size along J, K"],
        ),
        ({**QFORM, "pixdim": [1, 0, 2, 3, 0, 0, 0, 0]}, ["no voxel size along I"]),
        ({"pixdim": [1, 0, 0, 0, 0, 0, 0, 0]}, ["pixdim gives other voxel sizes than its sform"]),
        ({"pixdim": [1, 1, 2, 3.5, 0, 0, 0, 0]}, ["pixdim gives other voxel sizes than its sform"]),
        ({**QFORM, "pixdim": [1, -1, 2, -3, 0, 0, 0, 0]}, ["negative voxel size along I, K"]),
        ({"qform_code": 1, "qoffset_x": 40}, ["sform and its qform place it differently"]),
        ({"xyzt_units": 5}, ["unit of length that NIfTI does not know (xyzt_units 5)"]),
    ],
)
def test_what_a_header_leaves_open_about_its_place_is_noted(
    tmp_path: Path, fields: dict[str, object], told: list[str]
) -> None:
    notes = read_nifti(with_header(tmp_path / "a.nii", **fields)).notes
    assert len(notes) == len(told)
    assert all(part in note for part, note in zip(told, notes, strict=True))


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 0),
        ({"xyzt_units": 1}, 0),
        ({"xyzt_units": 5}, 1),
        ({"pixdim": [1, 1, 2, 3.5, 0, 0, 0, 0]}, 1),
        ({"sform_code": 9}, 0),
        ({"sform_code": -1}, 1),
        ({"sform_code": 0}, 1),
        ({"sform_code": 0, "pixdim": [1, 1, 0, 0, 0, 0, 0, 0]}, 2),
    ],
)
def test_sizes_and_sides_that_are_assumed_are_those_notes_that_go_with_the_grid(
    tmp_path: Path, fields: dict[str, object], count: int
) -> None:
    stored = read_nifti(with_header(tmp_path / "a.nii", **fields))
    assert len(stored.geometry.assumed) == count
    assert set(stored.geometry.assumed) <= set(stored.notes)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"sform_code": 9}, "sform_code that NIfTI does not know (9); the place that goes with it is taken"),
        ({"sform_code": 0, "qform_code": 9}, "qform_code that NIfTI does not know (9)"),
        ({"sform_code": -1, "qform_code": 1}, "sform_code that NIfTI does not know (-1); it is taken for 0"),
    ],
)
def test_of_a_code_that_nifti_does_not_know_the_stored_place_is_taken_with_a_note(
    tmp_path: Path, fields: dict[str, object], told: str
) -> None:
    image = nibabel.Nifti1Image(np.zeros(SHAPE, np.uint8), oriented("LPS"))
    image.set_qform(oriented("LPS"), 1)
    names = ("pixdim", *(f"quatern_{axis}" for axis in "bcd"), *(f"qoffset_{axis}" for axis in "xyz"))
    placed = {name: image.header[name] for name in names}
    path = with_header(tmp_path / "a.nii", **placed, **fields)
    stored = read_nifti(path)
    np.testing.assert_allclose(stored.geometry.affine, oriented("LPS"), atol=1e-5)
    np.testing.assert_allclose(nifti_geometry(path).affine, oriented("LPS"), atol=1e-5)
    (note,) = stored.notes
    assert told in note
    write_nifti(np.zeros(SHAPE, np.uint8), stored.geometry, tmp_path / "b.nii.gz")
    np.testing.assert_allclose(nibabel.load(tmp_path / "b.nii.gz").affine, oriented("LPS"), atol=1e-5)


@pytest.mark.parametrize("codes", [(-1, 0), (-1, -7), (0, -2)])
def test_of_negative_codes_it_is_noted_that_the_place_is_made_up(
    tmp_path: Path, codes: tuple[int, int]
) -> None:
    path = with_header(tmp_path / "a.nii", sform_code=codes[0], qform_code=codes[1])
    notes = read_nifti(path).notes
    assert sum("it is taken for 0" in note for note in notes) == sum(code < 0 for code in codes)
    assert any("no place and no directions" in note for note in notes)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"vox_offset": 0}, "begin at byte 0 .*expected 352 or more"),
        ({"vox_offset": 348}, "begin at byte 348 "),
        ({"vox_offset": 2e9}, "begin at byte 2e[+]09 .*no more than 268435456"),
        ({"vox_offset": -16}, "begin at byte -16 "),
        ({"vox_offset": np.nan}, "begin at byte nan "),
        ({"magic": b"ni1", "vox_offset": 0}, "header of a pair of files .*ni1"),
        ({"magic": b"ni1", "vox_offset": 352}, "header of a pair of files"),
    ],
)
def test_voxels_that_do_not_lie_behind_the_header_are_refused(
    tmp_path: Path, fields: dict[str, object], complaint: str
) -> None:
    path = with_header(tmp_path / "a.nii", **fields)
    for read in (read_nifti, nifti_geometry, stored_shape):
        with pytest.raises(RefusedError, match=complaint) as refused:
            read(path)
        assert "leave the case out" in str(refused.value)


def test_millions_of_extensions_are_not_taken_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 3000
    raw = nibabel.Nifti1Image(np.ones(SHAPE, np.uint8), oriented("LPS")).to_bytes()
    header = nibabel.Nifti1Header(raw[:348])
    header["vox_offset"] = 352 + 16 * count
    extension = np.array([16, 6], "<i4").tobytes() + bytes(8)
    (tmp_path / "a.nii").write_bytes(header.binaryblock + b"\1\0\0\0" + extension * count + raw[352:])
    monkeypatch.setattr(nibabel.nifti1.Nifti1Extensions, "from_fileobj", None)

    assert read_nifti(tmp_path / "a.nii").data.min() == 1
    assert nifti_geometry(tmp_path / "a.nii").shape == read_nifti(tmp_path / "a.nii").data.shape


def test_voxels_of_nifti_2_begin_at_byte_544(tmp_path: Path) -> None:
    raw = bytearray(nibabel.Nifti2Image(np.ones(SHAPE, np.uint8), oriented("LPS")).to_bytes())
    (tmp_path / "good.nii").write_bytes(raw)
    assert read_nifti(tmp_path / "good.nii").data.min() == 1
    header = nibabel.Nifti2Header(bytes(raw[:540]))
    header["vox_offset"] = 352
    raw[:540] = header.binaryblock
    (tmp_path / "bad.nii").write_bytes(raw)
    with pytest.raises(RefusedError, match=r"byte 352 .*expected 544 or more"):
        read_nifti(tmp_path / "bad.nii")


@pytest.mark.parametrize(("units", "kept"), [(5, 2), (13, 10), (58, 2), (66, 2), (130, 2), (10, 10), (0, 0)])
def test_units_that_nifti_does_not_know_keep_nothing_from_being_written(
    tmp_path: Path, units: int, kept: int
) -> None:
    geometry = read_nifti(with_header(tmp_path / "a.nii", xyzt_units=units)).geometry
    write_nifti(np.zeros(SHAPE, np.uint8), geometry, tmp_path / "b.nii.gz")
    assert nibabel.load(tmp_path / "b.nii.gz").header["xyzt_units"] == kept
    again = read_nifti(tmp_path / "b.nii.gz")
    assert again.geometry.same_grid(geometry)
    assert again.notes == ()


def test_a_sheared_voxel_has_the_volume_that_its_sides_span(tmp_path: Path) -> None:
    """The product of the lengths of its sides would be 4.4 % more."""
    sheared = np.diag([1.0, 2.0, 3.0, 1.0])
    sheared[1, 2] = 0.9
    stored = read_nifti(saved(tmp_path / "a.nii", np.zeros(SHAPE, np.uint8), sheared))
    assert stored.geometry.voxel_volume == pytest.approx(6)
    assert np.prod(stored.geometry.spacing) == pytest.approx(6 * 1.044, abs=1e-3)
    (note,) = stored.notes
    assert "not at right angles (off by up to 16.7 degrees)" in note
    assert stored.geometry.assumed == (note,)  # which a run says, and keeps beside its scores in mm


@pytest.mark.parametrize("size", [1e-6, 0.001, 1.0, 5.0])
def test_grids_are_the_same_within_a_tenth_of_a_voxel_however_large_it_is(
    tmp_path: Path, size: float
) -> None:
    def geometry(shift: float = 0.0, stretch: float = 0.0, shape: tuple[int, int, int] = SHAPE) -> Geometry:
        affine = np.diag([size * (1 + stretch), size, size, 1])
        affine[0, 3] = shift * size
        return read_nifti(saved(tmp_path / "a.nii", np.zeros(shape, np.uint8), affine)).geometry

    assert geometry().same_grid(geometry(shift=0.002))
    assert geometry().same_grid(geometry(stretch=0.03))  # the last of four voxels lies 0.09 voxels away
    assert not geometry().same_grid(geometry(shift=0.11))
    assert not geometry().same_grid(geometry(stretch=0.04))
    assert not geometry().same_grid(geometry(shape=(4, 5, 7)))
    mirrored = replace(geometry(), affine=np.diag([-size, -size, size, 1]))
    assert not geometry().same_grid(mirrored)


@pytest.mark.real_data
def test_a_real_case_reads_as_nibabel_reads_it(real_data: Callable[[str], Path]) -> None:
    path = next((real_data("brats2d") / "other_labels").rglob("*_flair.nii.gz"))
    stored, expected = read_nifti(path), nibabel.load(path)
    np.testing.assert_array_equal(stored.data, np.asanyarray(expected.dataobj))
    np.testing.assert_array_equal(stored.geometry.affine, expected.affine)
    assert stored.geometry.orientation == "LPS"


def test_what_nibabel_mends_is_not_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(1000))

    with pytest.raises(DataError):
        read_nifti(path)
    assert capfd.readouterr() == ("", "")
