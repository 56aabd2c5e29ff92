from __future__ import annotations

import subprocess
from dataclasses import replace
from itertools import product
from pathlib import Path

import dcm2niix
import numpy as np
import pytest
import SimpleITK
from highdicom import get_volume_from_series
from nibabel import load as load_nifti
from nibabel.orientations import apply_orientation, inv_ornt_aff, io_orientation
from pydicom import dcmread, uid

from medseg.errors import DataError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.images.dicom.header import opened_frames
from medseg.images.dicom.luts import modality, put_modality_values
from medseg.images.dicom.reader import dicom_tag
from medseg.images.dicom.series import read as reading
from medseg.images.dicom.series.read import read_series, series_of
from medseg.images.refusal import RefusedError
from medseg.testing.dicoms import write_dicom
from medseg.testing.series import Stack, write_frames, write_series

RNG = np.random.default_rng(5)
VOLUME = RNG.integers(0, 4096, (5, 6, 7)).astype(np.uint16)
SIGNED = RNG.integers(-2048, 2048, (5, 6, 7)).astype(np.int16)

#: An oblique orientation: two columns of a rotation.
TURNED = (0.8, 0.36, -0.48, 0.0, 0.8, 0.6)
STACKS = {
    "axial": Stack(),
    "sagittal": Stack(orientation=(0, 1, 0, 0, 0, -1)),
    "downwards": Stack(orientation=(1, 0, 0, 0, -1, 0)),
    "oblique": Stack(orientation=TURNED),
}


def world(geometry: Geometry, *index: int) -> np.ndarray:
    return (geometry.affine @ [*index, 1])[:3]


def itk_image(paths: list[Path]) -> SimpleITK.Image:
    """SimpleITK's opinion, of slices that are ordered for it."""
    return SimpleITK.ReadImage([str(path) for path in paths])


# Where voxels lie


@pytest.mark.parametrize("name", STACKS)
def test_voxels_have_the_values_and_places_that_simpleitk_and_highdicom_give_them(tmp_path, name):
    stack = STACKS[name]
    paths = write_series(tmp_path, SIGNED, stack)
    found = read_series(sorted(paths))
    image = itk_image(paths)
    np.testing.assert_array_equal(found.data.T, SimpleITK.GetArrayFromImage(image))
    other = get_volume_from_series([dcmread(path) for path in paths])
    for index in ((0, 0, 0), (6, 5, 4), (3, 1, 2)):
        lps = image.TransformIndexToPhysicalPoint(index)
        np.testing.assert_allclose(world(found.geometry, *index), np.array(lps) * [-1, -1, 1], atol=1e-3)
        ((k, j, i),) = other.map_reference_to_indices(np.array([lps]), round_output=True, check_bounds=True)
        assert other.array[k, j, i] == found.data[index]


def test_the_order_of_files_changes_nothing_and_names_and_numbers_tell_nothing(tmp_path):
    paths = write_series(tmp_path, VOLUME)
    shuffled = [paths[number] for number in (3, 0, 4, 1, 2)]
    np.testing.assert_array_equal(read_series(shuffled).data, VOLUME.T)
    assert series_of(shuffled).paths == tuple(paths)
    assert [plane.instance for plane in series_of(shuffled).planes] == [
        dicom_tag(path, "SOPInstanceUID") for path in paths
    ]


def test_the_distance_of_slices_is_that_of_their_positions_whatever_their_thickness(tmp_path):
    found = series_of(write_series(tmp_path, VOLUME, SliceThickness=1.0))
    assert found.geometry.spacing == pytest.approx((0.75, 1.5, 3.0))


def test_slices_may_come_in_any_bits_sign_and_compression(tmp_path):
    for syntax in ("JPEG2000Lossless", "JPEGLSLossless", "RLELossless", "ImplicitVRLittleEndian"):
        paths = write_series(tmp_path / syntax, VOLUME, transfer_syntax=getattr(uid, syntax))
        np.testing.assert_array_equal(read_series(paths).data, VOLUME.T)


def test_each_slice_has_its_own_rescaling(tmp_path):
    paths = write_series(
        tmp_path,
        VOLUME,
        each=lambda number: {"RescaleSlope": 0.5 * (number + 1), "RescaleIntercept": -number},
    )
    expected = [array * 0.5 * (number + 1) - number for number, array in enumerate(VOLUME)]
    np.testing.assert_array_equal(read_series(paths).data.T, np.float32(expected))


def test_values_of_monochrome1_stay_what_they_are_and_a_note_says_so(tmp_path):
    found = read_series(write_series(tmp_path, VOLUME, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(found.data, VOLUME.T)
    assert any("MONOCHROME1" in note for note in found.notes)


@pytest.mark.parametrize("order", [(), (2, 0, 4, 1, 3)])
def test_frames_of_an_enhanced_image_are_ordered_by_position_and_rescaled_each(tmp_path, order):
    path = write_frames(tmp_path / "a.dcm", VOLUME, STACKS["oblique"], order=order)
    series = series_of([path])
    expected = [array * (number + 1.0) - number for number, array in enumerate(VOLUME)]
    np.testing.assert_array_equal(read_series([path]).data.T, np.float32(expected))
    np.testing.assert_allclose(
        world(series.geometry, 0, 0, 4), np.array(STACKS["oblique"].at(4)) * [-1, -1, 1], atol=1e-3
    )
    assert [plane.frame for plane in series.planes] == [
        (list(order) or [4, 3, 2, 1, 0]).index(number) for number in range(5)
    ]


def test_compressed_frames_are_read_one_by_one(tmp_path):
    plain = write_frames(tmp_path / "a.dcm", VOLUME)
    rle = write_frames(tmp_path / "b.dcm", VOLUME, transfer_syntax=uid.RLELossless)
    np.testing.assert_array_equal(read_series([rle]).data, read_series([plain]).data)


@pytest.mark.parametrize("slope", [1, 2, 0.3, -1.7])
@pytest.mark.parametrize("intercept", [0, -1024, 0.25, 9_000_000])
@pytest.mark.parametrize("stored", [VOLUME[0], SIGNED[0], SIGNED[0].astype(np.int32)], ids=["u2", "i2", "i4"])
def test_a_volume_holds_the_modality_values_of_its_slices_to_the_last_bit(tmp_path, slope, intercept, stored):
    path = write_dicom(tmp_path / "a.dcm", stored, RescaleSlope=slope, RescaleIntercept=intercept)
    head = opened_frames(path, pixels=True)
    found = np.empty(stored.shape, np.float32)
    put_modality_values(head, stored, found)
    np.testing.assert_array_equal(found, (stored.astype(np.float64) * slope + intercept).astype(np.float32))
    np.testing.assert_array_equal(found, modality(head, stored).values.astype(np.float32))


# As dcm2niix has it


def converted(paths: list[Path], folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Values and affine of the one volume that dcm2niix makes of files, told by their content alone."""
    given, out = folder / "given", folder / "made"
    given.mkdir(parents=True)
    out.mkdir()
    for number, path in enumerate(paths):
        (given / f"{number}.dcm").symlink_to(path.resolve())
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-f", "%s", "-o", out, given]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    (made,) = out.glob("*.nii")
    image = load_nifti(made)
    return np.asarray(image.get_fdata(dtype=np.float32)), image.affine


def assert_as_converted(found: StoredImage, values: np.ndarray, affine: np.ndarray) -> None:
    """Each voxel has the value that another volume has at its place in the world, within 1e-3 mm."""
    order = io_orientation(np.linalg.inv(found.geometry.affine) @ affine)
    turned, alike = apply_orientation(values, order), affine @ inv_ornt_aff(order, values.shape)
    assert turned.shape == found.data.shape
    corners = np.array(list(product(*((0, size - 1) for size in turned.shape), (1,)))).T
    np.testing.assert_allclose(
        alike @ corners, found.geometry.affine @ corners, atol=1e-3
    )  # the farthest of all
    np.testing.assert_allclose(turned, found.data, rtol=1e-6)


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("frames", [False, True])
def test_voxels_have_the_values_and_places_that_dcm2niix_gives_them(tmp_path, name, frames):
    one = {
        "PixelValueTransformationSequence": [{"RescaleSlope": 2, "RescaleIntercept": -7, "RescaleType": "US"}]
    }
    if frames:
        groups = [
            {"PlanePositionSequence": [{"ImagePositionPatient": STACKS[name].at(number)}], **one}
            for number in range(5)
        ]
        given = {"order": range(5), "PerFrameFunctionalGroupsSequence": groups}
        paths = [write_frames(tmp_path / "frames", VOLUME, STACKS[name], **given)]
    else:
        paths = write_series(tmp_path, SIGNED, STACKS[name], RescaleSlope=2, RescaleIntercept=-7)
    found = read_series(paths)
    assert found.data.min() == 2.0 * (VOLUME if frames else SIGNED).min() - 7
    assert_as_converted(found, *converted(paths, tmp_path / "dcm2niix"))


def test_slopes_of_pet_are_those_of_each_slice_as_dcm2niix_has_them(tmp_path):
    paths = write_series(tmp_path, VOLUME, Modality="PT", each=lambda number: {"RescaleSlope": 0.5 + number})
    found = read_series(paths)
    assert_as_converted(found, *converted(paths, tmp_path / "dcm2niix"))
    np.testing.assert_allclose(found.data[..., 2], 2.5 * VOLUME[2].T)


def test_of_frames_with_a_rescaling_each_dcm2niix_takes_that_of_the_last_for_all(tmp_path):
    """The one difference that was met: here the last frame holds slice 4, whose slope is 5."""
    path = write_frames(tmp_path / "frames", VOLUME, order=range(5))
    found = read_series([path])
    for number in range(5):
        np.testing.assert_allclose(found.data[..., number], (number + 1) * VOLUME[number].T - float(number))
    alike = replace(found, data=5 * VOLUME.T - np.float32(4))
    assert_as_converted(alike, *converted([path], tmp_path / "dcm2niix"))


# What makes no volume


def refusal(paths: list[Path]) -> str:
    with pytest.raises(RefusedError) as caught:
        read_series(paths)
    assert str(paths[0].parent) not in str(caught.value)
    return str(caught.value)


def test_a_missing_slice_is_named_by_the_positions_around_it(tmp_path):
    paths = write_series(tmp_path, VOLUME)
    assert "missing: most are 3 mm apart, but not those at -34.00 and -28.00 mm" in refusal(
        [*paths[:3], paths[4]]
    )


@pytest.mark.parametrize("left", [1, 2])
def test_one_gap_of_two_steps_is_a_missing_slice(tmp_path, left):
    paths = write_series(tmp_path, VOLUME[:4])
    where = {1: "-40.00 and -34.00", 2: "-37.00 and -31.00"}[left]
    assert f"missing: most are 3 mm apart, but not those at {where} mm" in refusal(
        [path for number, path in enumerate(paths) if number != left]
    )


def test_distances_that_differ_are_refused(tmp_path):
    stack = Stack()
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"ImagePositionPatient": stack.at(n + 0.3 * (n == 4))}
    )
    assert "but not those at -31.00 and -27.10 mm" in refusal(paths)


def test_positions_that_are_rounded_are_no_gap(tmp_path):
    stack = Stack(step=1.23)
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"ImagePositionPatient": [round(each, 1) for each in stack.at(n)]}
    )
    assert series_of(paths).shape == (7, 6, 5)


def test_a_tilted_gantry_is_refused(tmp_path):
    stack = Stack()
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"ImagePositionPatient": [-20, 15 + 0.5 * n, stack.at(n)[2]]}
    )
    assert "tilted: from -40.00 to -28.00 mm" in refusal(paths)
    assert "(by 9.5 degrees)" in refusal(paths)


def test_one_slice_beside_the_line_is_refused(tmp_path):
    stack = Stack()
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"ImagePositionPatient": [-20 + 4 * (n == 2), 15, stack.at(n)[2]]}
    )
    assert "those at -34.00 mm are beside it" in refusal(paths)


def test_a_slice_of_another_orientation_is_named(tmp_path):
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]} if n == 3 else {}
    )
    assert "several orientations: 1 of 5" in refusal(paths)


def test_a_slice_of_another_size_is_named(tmp_path):
    paths = write_series(tmp_path, VOLUME)
    stack = Stack()
    other = write_series(
        tmp_path / "b",
        VOLUME[:1, :4],
        StudyInstanceUID="1.2",
        each=lambda _: {"ImagePositionPatient": stack.at(5)},
    )
    attributes = {"SeriesInstanceUID": dicom_tag(paths[0], "SeriesInstanceUID")}
    other = write_series(
        tmp_path / "c", VOLUME[:1, :4], each=lambda _: {"ImagePositionPatient": stack.at(5), **attributes}
    )
    assert "6 x 7, 4 x 7; others than most have those at -25.00 mm" in refusal([*paths, *other])


def test_a_slice_of_other_pixels_is_named(tmp_path):
    paths = write_series(tmp_path, VOLUME, each=lambda n: {"PixelSpacing": [1.5, 0.75 + (n == 0)]})
    assert "others than most have those at -40.00 mm" in refusal(paths)


def test_two_copies_of_an_image_are_named(tmp_path):
    paths = write_series(tmp_path, VOLUME)
    copy = tmp_path / "copy"
    copy.write_bytes(paths[1].read_bytes())
    assert "the same image is there more than once, at -37.00 mm" in refusal([*paths, copy])


def test_slices_of_one_instance_uid_are_named_by_their_positions(tmp_path):
    paths = write_series(
        tmp_path, VOLUME, each=lambda n: {"SOPInstanceUID": "1.2.3.4"} if n in (1, 3) else {}
    )
    text = refusal(paths)
    assert "the slices at -37.00, -31.00 mm share a SOPInstanceUID with another of them" in text
    assert "1.2.3.4" not in text


def test_two_images_of_a_place_are_named_with_what_tells_them_apart(tmp_path):
    paths = write_series(tmp_path, VOLUME, AcquisitionNumber=1)
    later = write_series(
        tmp_path / "later",
        VOLUME,
        AcquisitionNumber=2,
        each=lambda n: {"SeriesInstanceUID": dicom_tag(paths[n], "SeriesInstanceUID")},
    )
    message = refusal([*paths, *later])
    assert "10 slices lie at 5 positions, told apart by AcquisitionNumber" in message
    assert "`AcquisitionNumber: '^1$'`" in message
    assert series_of(later).shape == (7, 6, 5)


def test_an_enhanced_image_of_several_times_is_refused(tmp_path):
    path = write_frames(tmp_path / "a.dcm", VOLUME, order=(0, 1, 2, 0, 1, 2))
    assert "6 slices lie at 3 positions" in refusal([path])


def test_files_of_two_series_are_refused(tmp_path):
    one = write_series(tmp_path, VOLUME[:2], SeriesDescription="a")
    two = write_series(tmp_path, VOLUME[2:], SeriesDescription="b")
    assert "of 2 series" in refusal([*one, *two])


def test_a_single_slice_makes_no_volume(tmp_path):
    assert "a single slice" in refusal(write_series(tmp_path, VOLUME[:1]))


def test_colours_make_no_volume(tmp_path):
    colours = np.repeat(VOLUME[..., None] % 256, 3, axis=-1).astype(np.uint8)
    assert "colours" in refusal(write_series(tmp_path, colours))


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_slice_without_a_place_is_refused(tmp_path, keyword):
    paths = write_series(tmp_path, VOLUME, each=lambda n: {keyword: None} if n == 2 else {})
    assert f"it has no {keyword}" in refusal(paths)


@pytest.mark.parametrize(
    ("keyword", "value", "reason"),
    [
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "not at right angles"),
        ("PixelSpacing", [0, 1], "PixelSpacing is not above 0"),
        ("PixelSpacing", [1], "expected 2 numbers"),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path, keyword, value, reason):
    paths = write_series(tmp_path, VOLUME, **{keyword: value})
    with pytest.raises(RefusedError, match=reason) as caught:
        read_series(paths)
    assert caught.value.remedy


def test_a_series_that_is_farther_away_than_any_is_refused(tmp_path):
    assert "1e+08 mm, which is beyond any image" in refusal(
        write_series(tmp_path, VOLUME, Stack(corner=(1e8, 0, 0)))
    )


def test_pixels_that_are_smaller_than_any_are_refused(tmp_path):
    tiny = write_series(tmp_path, VOLUME, PixelSpacing=["1e-200", "1e-200"])
    assert "which is smaller than an atom" in refusal(tiny)


def test_frames_without_places_are_refused(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", VOLUME, NumberOfFrames=5)
    assert "5 frames, and does not say where" in refusal([path])


def test_a_volume_that_does_not_fit_is_refused_before_it_is_read(tmp_path, monkeypatch):
    paths = write_series(tmp_path, VOLUME)
    monkeypatch.setattr(reading, "_NO_MATTER", 0)
    free = iter([1_000_000, 1000])
    monkeypatch.setattr(reading, "available_memory", lambda: next(free))
    monkeypatch.setattr(reading, "stored_values", lambda _: pytest.fail("it was decoded"))
    assert "7 x 6 x 5 voxels" in refusal(paths)
    monkeypatch.setattr(reading, "available_memory", lambda: 1000)
    monkeypatch.setattr(reading, "opened_frames", lambda *_, **__: pytest.fail("it was read"))
    assert "its files need" in refusal(paths)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="not there"):
        read_series([*write_series(tmp_path, VOLUME), tmp_path / "none"])


# Real series

OUTCOMES = {
    "awkward/volumes/failing_gantrytilting_001": "the slices are tilted",
    "awkward/volumes/failing_slicecount_001": (256, 256, 2, 1.0, 1.0, 1.0),
    "awkward/volumes/failing_sliceincrement_002": "slices are missing",
    "awkward/volumes/failing_sliceorientation_001": "several orientations",
    "awkward/volumes/ge_anatomical_001_single_slice": "a single slice",
    "awkward/volumes/generic_anatomical_001": (256, 256, 4, 1.0, 1.0, 1.0),
    "awkward/volumes/generic_compressed_j2k_001": (256, 256, 4, 1.0, 1.0, 1.0),
    "awkward/volumes/generic_compressed_jpeg_001": (256, 256, 4, 1.0, 1.0, 1.0),
    "awkward/volumes/generic_compressed_jpegls_001": (256, 256, 4, 1.0, 1.0, 1.0),
    "awkward/volumes/generic_compressed_rle_001": (256, 256, 4, 1.0, 1.0, 1.0),
    "awkward/volumes/generic_rgb_001": "colours",
    "awkward/volumes/hyperfine_anatomical_001": (112, 138, 8, 1.59, 1.61, 5.0),
    "awkward/volumes/siemens_multiframe_anatomical_001": (256, 256, 8, 0.938, 0.938, 0.9),
    "ct_with_seg/23x38x3/image": (23, 38, 3, 0.7, 0.7, 2.5),
    "ct_with_seg/23x38x3/multiframe": (23, 38, 3, 0.7, 0.7, 2.5),
    "ct_with_seg/ct-3slice": (512, 512, 3, 0.811, 0.811, 1.0),
    "ct_with_rtstruct": (512, 512, 2, 0.488, 0.488, 5.0),
    "dicomdir/77654033/CR1": "no ImagePositionPatient",
    "dicomdir/77654033/CT2": "slices are missing",
    "dicomdir/98892001/CT2N": "several orientations",
    "dicomdir/98892001/CT5N": (16, 16, 5, 0.488, 0.488, 2.5),
    "dicomdir/98892003/MR700": "several orientations",
    "hippocampus_crop/PGBM-003": (34, 50, 40, 1.0, 1.0, 1.0),
    "mr_brain/PGBM-003/FLAIRreg": (280, 320, 22, 0.688, 0.688, 6.5),
    "mr_brain/PGBM-003/T1post": (280, 320, 22, 0.688, 0.688, 6.5),
    "mr_brain/PGBM-003/T1prereg": (280, 320, 22, 0.688, 0.688, 6.5),
    "mr_brain/PGBM-003/T2reg": (280, 320, 22, 0.688, 0.688, 6.5),
    "tiny_upenn_gbm/UPENN-GBM-00621/05152010/05-15-2010-NA-BrainTumor-12015": "a single slice",
}


def images_in(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.is_file() and dicom_tag(path, "Modality") in {"CT", "MR", "CR", "OT"}
    ]


@pytest.mark.real_data
@pytest.mark.parametrize("name", OUTCOMES)
def test_each_real_series_has_its_outcome(real_data, name):
    paths, outcome = images_in(real_data("dicom") / name), OUTCOMES[name]
    if isinstance(outcome, str):
        with pytest.raises(RefusedError, match=outcome):
            read_series(paths)
        return
    found = read_series(paths)
    assert found.data.shape == outcome[:3]
    np.testing.assert_allclose(found.geometry.spacing, outcome[3:], rtol=5e-3)
    if len(paths) > 1:
        image = itk_image(list(series_of(paths).paths))
        np.testing.assert_allclose(found.data.T, SimpleITK.GetArrayFromImage(image), atol=1e-3)
        for index in ((0, 0, 0), tuple(size - 1 for size in found.data.shape)):
            lps = np.array(image.TransformIndexToPhysicalPoint(index))
            np.testing.assert_allclose(world(found.geometry, *index), lps * [-1, -1, 1], atol=1e-3)


@pytest.mark.real_data
@pytest.mark.parametrize("name", [name for name, outcome in OUTCOMES.items() if not isinstance(outcome, str)])
def test_each_real_series_is_what_dcm2niix_and_highdicom_make_of_it(real_data, tmp_path, name):
    paths = images_in(real_data("dicom") / name)
    found = read_series(paths)
    assert_as_converted(found, *converted(paths, tmp_path))
    if len(paths) > 1 and not dicom_tag(paths[0], "FrameOfReferenceUID"):  # as of many de-identified ones
        with pytest.raises(ValueError, match="patient coordinate_system"):
            get_volume_from_series([dcmread(path) for path in paths])
    elif len(paths) > 1:
        volume = get_volume_from_series([dcmread(path) for path in paths])
        affine = np.diag([-1, -1, 1, 1]) @ volume.affine
        assert_as_converted(found, volume.array.astype(np.float32), affine)


@pytest.mark.real_data
@pytest.mark.parametrize("name", ["generic_anatomical_001", "siemens_multiframe_anatomical_001"])
def test_a_real_series_is_the_nifti_that_another_program_made_of_it(real_data, name):
    folder = real_data("dicom") / "awkward" / "volumes"
    found, image = read_series(images_in(folder / name)), load_nifti(folder / f"{name}_ground_truth.nii.gz")
    theirs = Geometry(image.shape[:3], image.affine)
    np.testing.assert_allclose(found.geometry.ras_affine, theirs.ras_affine, atol=2e-3)
    np.testing.assert_array_equal(
        found.geometry.to_ras(found.data), theirs.to_ras(np.asanyarray(image.dataobj))
    )


@pytest.mark.real_data
def test_frames_and_single_files_of_one_image_are_one_volume(real_data):
    folder = real_data("dicom") / "ct_with_seg" / "23x38x3"
    single, frames = (read_series(images_in(folder / name)) for name in ("image", "multiframe"))
    np.testing.assert_array_equal(single.data, frames.data)
    np.testing.assert_allclose(single.geometry.affine, frames.geometry.affine, atol=1e-3)
