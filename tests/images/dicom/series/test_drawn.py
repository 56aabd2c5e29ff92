from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pydicom
import pytest
import SimpleITK
from matplotlib.path import Path as Outline
from pydicom.sr.codedict import codes
from pydicom.uid import RTStructureSetStorage

from medseg.errors import DataError
from medseg.images.dicom.reader import dicom_tag
from medseg.images.dicom.series.contours import filled
from medseg.images.dicom.series.drawn import read_drawn
from medseg.images.dicom.series.index import instance_of
from medseg.images.dicom.series.read import read_series
from medseg.images.dicom.series.segmentation import FRACTIONS
from medseg.images.dicom.series.structures import ELSEWHERE, fits
from medseg.images.refusal import RefusedError
from medseg.testing.dicoms import write_dicom
from medseg.testing.series import Stack, uid_of, write_frames, write_series

RNG = np.random.default_rng(8)
VOLUME = RNG.integers(0, 900, (5, 7, 9)).astype(np.uint16)
OBLIQUE = Stack(orientation=(0.8, 0.36, -0.48, 0.0, 0.8, 0.6))
WANTED = ((3, ("liver",)), (1, ("Tumour*",)))


def marked() -> np.ndarray:
    """(K, H, W, 2): two structures that share a voxel; the second leaves slices out."""
    found = RNG.random((5, 7, 9, 2)) > 0.6
    found[[0, 3], ..., 1] = False
    found[2, 3, 3] = True
    return found


def expected(structures: np.ndarray) -> np.ndarray:
    return np.where(structures[..., 1], 1, np.where(structures[..., 0], 3, 0)).transpose(2, 1, 0)


def described(number: int, label: str) -> Any:
    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=label,
        segmented_property_category=codes.SCT.Organ,
        segmented_property_type=codes.SCT.Liver,
        algorithm_type="MANUAL",
    )


def write_seg(path: Path, sources: list[Path], pixels: np.ndarray, kind: str = "BINARY", **more: Any) -> Path:
    """A segmentation of highdicom, of a liver and a tumour, whose frames come in reverse order."""
    data = highdicom.seg.Segmentation(
        source_images=[pydicom.dcmread(each) for each in sources],
        pixel_array=pixels,
        segmentation_type=kind,
        segment_descriptions=[described(1, "Liver"), described(2, "Tumour left")],
        series_instance_uid=uid_of(path, "series"),
        series_number=9,
        sop_instance_uid=uid_of(path),
        instance_number=1,
        manufacturer="nobody",
        manufacturer_model_name="none",
        software_versions="1",
        device_serial_number="1",
        **more,
    )
    data.save_as(path)
    return path


def write_rtstruct(path: Path, sources: list[Path], regions: dict[str, list[Any]], **attributes: Any) -> Path:
    """Contours (slice, corners as indices of column and row) of regions, on an axial series of `Stack()`."""
    stack = Stack()

    def contour(number: int, corners: Any) -> dict[str, Any]:
        x, y, z = stack.at(number)
        points = [[x + 0.75 * column, y + 1.5 * row, z] for column, row in corners]
        instance = dicom_tag(sources[int(np.clip(number, 0, 4))], "SOPInstanceUID")
        return {
            "ContourGeometricType": "CLOSED_PLANAR",
            "NumberOfContourPoints": len(points),
            "ContourData": [round(each, 6) for point in points for each in point],
            "ContourImageSequence": [{"ReferencedSOPInstanceUID": instance}],
        }

    reference = dicom_tag(sources[0], "FrameOfReferenceUID")
    listed = [
        {"ROINumber": n, "ROIName": name, "ReferencedFrameOfReferenceUID": attributes.pop("frame", reference)}
        for n, name in enumerate(regions, start=1)
    ]
    drawn = [
        {"ReferencedROINumber": n, "ContourSequence": [contour(*each) for each in contours]}
        for n, contours in enumerate(regions.values(), start=1)
    ]
    own = {
        "SOPClassUID": RTStructureSetStorage,
        "Modality": "RTSTRUCT",
        "StructureSetROISequence": listed,
        "ROIContourSequence": drawn,
    }
    return write_dicom(path, None, **{**own, **attributes})


def refusal(*given: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        read_drawn(*given)
    return str(caught.value)


# Segmentations


@pytest.mark.parametrize("stack", [Stack(), OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("omit", [True, False], ids=["empty slices left out", "kept"])
def test_a_binary_segmentation_lies_where_highdicom_put_it(tmp_path, stack, omit):
    sources, pixels = write_series(tmp_path / "s", VOLUME, stack), marked()
    path = write_seg(tmp_path / "seg", sources[::-1], pixels[::-1].astype(np.uint8), omit_empty_frames=omit)
    found = read_drawn(path, sources, WANTED)
    np.testing.assert_array_equal(found.data, expected(pixels))
    both = int(pixels.all(axis=-1).sum())
    assert (
        f"structures overlap in {both} voxels: there the class that the manifest names later counts"
        in found.notes
    )


def test_fractions_of_at_least_half_are_marked(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    shares = RNG.integers(0, 5, (5, 7, 9, 2)) / 4
    path = write_seg(
        tmp_path / "seg", sources, shares.astype(np.float32), "FRACTIONAL", max_fractional_value=4
    )
    found = read_drawn(path, sources, WANTED)
    np.testing.assert_array_equal(found.data, expected(shares >= 0.5))
    assert FRACTIONS in found.notes


def test_a_label_map_holds_numbers_of_segments(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    numbers = RNG.integers(0, 3, (5, 7, 9)).astype(np.uint8)
    path = write_seg(tmp_path / "seg", sources, numbers, "LABELMAP")
    found = read_drawn(path, sources, WANTED)
    np.testing.assert_array_equal(found.data, np.array([0, 3, 1])[numbers].T)


def altered(path: Path, change: Any) -> Path:
    data = pydicom.dcmread(path)
    change(data)
    data.save_as(path)
    return path


def test_pixels_of_a_label_map_that_no_segment_lists_are_refused(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    numbers = RNG.integers(0, 3, (5, 7, 9)).astype(np.uint8)

    def unlisted(data: Any) -> None:
        data.PixelData = data.PixelData.replace(b"\2", b"\7")

    def padded(data: Any) -> None:
        unlisted(data)
        data.PixelPaddingValue = 7

    path = write_seg(tmp_path / "seg", sources, numbers, "LABELMAP")
    assert "pixels of segments that its list of segments does not hold" in refusal(
        altered(path, unlisted), sources, WANTED
    )
    found = read_drawn(altered(path, padded), sources, WANTED)  # says itself that 7 is no structure
    np.testing.assert_array_equal(found.data, np.array([0, 3, 0])[numbers].T)


def test_a_background_that_a_label_map_lists_is_none_of_its_structures(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    numbers = RNG.integers(0, 3, (5, 7, 9)).astype(np.uint8)

    def change(data: Any) -> None:
        background = pydicom.Dataset()
        background.SegmentNumber, background.SegmentLabel = 0, "Liver"
        data.SegmentSequence = [background, *(each for each in data.SegmentSequence if each.SegmentNumber)]

    path = altered(write_seg(tmp_path / "seg", sources, numbers, "LABELMAP"), change)
    found = read_drawn(path, sources, WANTED)
    np.testing.assert_array_equal(found.data, np.array([0, 3, 1])[numbers].T)
    assert found.notes == ()


def test_two_frames_of_a_label_map_on_one_slice_are_refused(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    numbers = RNG.integers(1, 3, (5, 7, 9)).astype(np.uint8)

    def repeat(data: Any) -> None:
        size = data.Rows * data.Columns * data.NumberOfFrames
        data.PixelData = data.PixelData[:size] + bytes(data.Rows * data.Columns)
        groups = data.PerFrameFunctionalGroupsSequence
        data.PerFrameFunctionalGroupsSequence = [*groups, groups[2]]
        data.NumberOfFrames += 1

    path = altered(write_seg(tmp_path / "seg", sources, numbers, "LABELMAP"), repeat)
    assert "several frames on one slice, at -34.00 mm" in refusal(path, sources, WANTED)


def test_a_segmentation_of_an_enhanced_image_lies_on_its_frames(tmp_path):
    image = write_frames(tmp_path / "image", VOLUME, FrameOfReferenceUID="1.2.7")
    pixels = marked()
    path = write_seg(tmp_path / "seg", [image], pixels[::-1].astype(np.uint8))
    np.testing.assert_array_equal(read_drawn(path, [image], WANTED).data, expected(pixels))


def test_structures_that_the_manifest_does_not_name_are_noted(tmp_path):
    sources, pixels = write_series(tmp_path / "s", VOLUME), marked()
    path = write_seg(tmp_path / "seg", sources, pixels.astype(np.uint8))
    found = read_drawn(path, sources, WANTED[:1])
    np.testing.assert_array_equal(found.data, 3 * pixels[..., 0].transpose(2, 1, 0))
    assert "1 structure is of no class of the manifest, and count as background" in found.notes
    assert "2 segments, and none has a name" in refusal(path, sources, ((1, ("spleen",)),))


def test_a_segmentation_elsewhere_is_refused(tmp_path):
    sources, pixels = write_series(tmp_path / "s", VOLUME), marked().astype(np.uint8)
    path = write_seg(tmp_path / "seg", sources, pixels)
    same = {"StudyInstanceUID": dicom_tag(sources[0], "StudyInstanceUID"), "SeriesDescription": "other"}
    moved = write_series(tmp_path / "m", VOLUME, Stack(corner=(-19, 15, -40)), **same)
    assert "mm lies on another grid" in refusal(path, moved, WANTED)
    between = write_series(tmp_path / "b", VOLUME, Stack(corner=(-20, 15, -39)), **same)
    assert "lies between slices" in refusal(path, between, WANTED)
    smaller = write_series(tmp_path / "c", VOLUME[:, :6], **same)
    assert "frames of 7 x 9 (rows x columns), where the series has 6 x 9" in refusal(path, smaller, WANTED)
    assert "mm lies beyond the 4 slices" in refusal(path, sources[:4], WANTED)
    other = write_series(tmp_path / "o", VOLUME, **{**same, "FrameOfReferenceUID": "1.2.3"})
    assert "another frame of reference" in refusal(path, other, WANTED)


def test_a_reference_to_another_slice_than_the_position_says_is_refused(tmp_path):
    sources, pixels = write_series(tmp_path / "s", VOLUME), marked().astype(np.uint8)
    data = pydicom.dcmread(write_seg(tmp_path / "seg", sources, pixels))
    groups = data.PerFrameFunctionalGroupsSequence
    groups[0].PlanePositionSequence, groups[-1].PlanePositionSequence = (
        groups[-1].PlanePositionSequence,
        groups[0].PlanePositionSequence,
    )
    data.save_as(tmp_path / "seg")
    assert "refers to an image at another place" in refusal(tmp_path / "seg", sources, WANTED)


def test_an_image_is_no_label_map(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    assert "neither a segmentation (SEG) nor a structure set" in refusal(sources[0], sources, WANTED)


# Structure sets

SQUARE = [(1, 1), (6, 1), (6, 5), (1, 5)]
HOLE = [(2.5, 2.5), (4.5, 2.5), (4.5, 3.5), (2.5, 3.5)]


def test_contours_mark_the_pixels_whose_centres_they_hold_and_inner_ones_are_holes(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    path = write_rtstruct(tmp_path / "rt", sources, {"Liver": [(1, SQUARE), (1, HOLE), (3, SQUARE)]})
    found = read_drawn(path, sources, WANTED)
    wanted = np.zeros((9, 7, 5), int)
    wanted[1:6, 1:5, [1, 3]] = 3
    wanted[3:5, 3, 1] = 0
    np.testing.assert_array_equal(found.data, wanted)


def test_regions_of_one_class_are_joined_and_a_later_class_wins(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    regions = {
        "tumour b": [(2, HOLE)],
        "Tumour A": [(2, [(0, 0), (2, 0), (2, 2), (0, 2)])],
        "LIVER ": [(2, SQUARE)],
    }
    found = read_drawn(write_rtstruct(tmp_path / "rt", sources, regions), sources, WANTED)
    wanted = np.zeros((9, 7), int)
    wanted[1:6, 1:5] = 3
    wanted[3:5, 3] = wanted[:2, :2] = 1
    np.testing.assert_array_equal(found.data[..., 2], wanted)
    assert any(note.startswith("structures overlap in 3 voxels") for note in found.notes)


def test_polygons_are_filled_as_matplotlib_fills_them():
    centres = np.stack(np.meshgrid(np.arange(40), np.arange(30), indexing="ij"), axis=-1)
    for _ in range(20):
        polygon = RNG.uniform(-5, 45, (RNG.integers(3, 9), 2))
        angles = np.argsort(np.arctan2(*(polygon - polygon.mean(axis=0)).T))
        polygon = polygon[angles]
        inside = Outline(polygon).contains_points(centres.reshape(-1, 2)).reshape(40, 30)
        np.testing.assert_array_equal(filled([polygon], (40, 30)), inside)


def test_contours_beside_the_slices_are_refused(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    beyond = write_rtstruct(tmp_path / "a", sources, {"Liver": [(7, SQUARE)]})
    assert "a contour at -19.00 mm lies beyond the 5 slices" in refusal(beyond, sources, WANTED)
    between = write_rtstruct(tmp_path / "b", sources, {"Liver": [(1.4, SQUARE)]})
    assert "lies between slices" in refusal(between, sources, WANTED)
    points = write_rtstruct(tmp_path / "c", sources, {"Liver": [(1, SQUARE)]})
    data = pydicom.dcmread(points)
    data.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "POINT"
    data.save_as(points)
    assert "by points or open lines" in refusal(points, sources, WANTED)
    data.ROIContourSequence[0].ContourSequence[0].ContourGeometricType = "CLOSED_PLANAR"
    data.ROIContourSequence[0].ContourSequence[0].ContourData = [1, 2]
    data.save_as(points)
    assert "the structure set is damaged" in refusal(points, sources, WANTED)


def test_a_structure_that_holds_nothing_is_said(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    outside = [(900, 900), (904, 900), (904, 904)]
    regions = {"Liver": [], "Tumour a": [(1, outside)], "Tumour b": [(1, SQUARE)]}
    found = read_drawn(write_rtstruct(tmp_path / "rt", sources, regions), sources, WANTED)
    none, outside_all = found.notes
    assert none == "1 structure of a class has no contour, and counts as not there"
    assert outside_all.startswith("1 structure of a class has contours that hold no pixel of the series")
    empty = marked().astype(np.uint8)
    empty[..., 0] = 0
    found = read_drawn(write_seg(tmp_path / "seg", sources, empty), sources, WANTED)
    assert found.notes == (UNMARKED,)


UNMARKED = "1 structure of a class has no marked voxel, and counts as not there"


@pytest.mark.parametrize(
    ("kind", "more"),
    [("BINARY", {}), ("FRACTIONAL", {"max_fractional_value": 4}), ("LABELMAP", {})],
    ids=["binary", "fractional", "label map"],
)
def test_a_structure_whose_frames_mark_nothing_is_said(tmp_path, kind, more):
    sources, pixels = write_series(tmp_path / "s", VOLUME), marked().astype(np.float32)
    pixels[..., 0] = pixels[..., 1] = 0
    pixels[2, 3, 3, 1] = 1
    given = (pixels[..., 1] * 2 if kind == "LABELMAP" else pixels).astype(
        np.float32 if kind == "FRACTIONAL" else np.uint8
    )
    path = write_seg(tmp_path / "seg", sources, given, kind, omit_empty_frames=False, **more)
    found = read_drawn(path, sources, WANTED)
    np.testing.assert_array_equal(found.data, expected(pixels > 0))
    assert UNMARKED in found.notes


def test_what_contradicts_itself_is_refused(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    path = write_rtstruct(tmp_path / "rt", sources, {"Liver": [(1, SQUARE)]})
    data = pydicom.dcmread(path)
    data.ROIContourSequence[0].ContourSequence[0].NumberOfContourPoints = 40
    data.save_as(path)
    assert "its contours cannot be read" in refusal(path, sources, WANTED)

    path = write_seg(tmp_path / "seg", sources, marked().astype(np.uint8))
    data = pydicom.dcmread(path)
    groups = data.PerFrameFunctionalGroupsSequence[0]
    groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7
    data.save_as(path)
    assert "frames of segments that its list of segments does not hold" in refusal(path, sources, WANTED)


def test_another_frame_of_reference_is_taken_where_the_images_are_referred_to(tmp_path):
    sources = write_series(tmp_path / "s", VOLUME)
    path = write_rtstruct(tmp_path / "rt", sources, {"Liver": [(1, SQUARE)]}, frame="1.2.3")
    assert ELSEWHERE in read_drawn(path, sources, WANTED).notes
    data = pydicom.dcmread(path)
    del data.ROIContourSequence[0].ContourSequence[0].ContourImageSequence
    data.save_as(path)
    assert "another frame of reference" in refusal(path, sources, WANTED)


@pytest.mark.parametrize(
    ("label", "name", "fit"),
    [
        ("Liver", "liver", True),
        (" liver ", "Liver", True),
        ("liver 2", "liver", False),
        ("GTV (1) left", "gtv*", True),
        ("left GTV", "*gtv", True),
        ("a GTV b", "*gtv*b", True),
        ("ab", "ab*b", False),
        ("gtv[1]", "gtv[1]", True),
    ],
)
def test_names_of_structures_are_compared_without_case_and_with_stars(label, name, fit):
    assert fits(label, name) == fit


# Damage


def write_all(folder: Path) -> dict[str, tuple[Path, list[Path]]]:
    """A file of each kind, and the files that it is read with."""
    sources = write_series(folder / "s", VOLUME)
    return {
        "slice": (sources[2], sources),
        "frames": (write_frames(folder / "frames", VOLUME), []),
        "segmentation": (write_seg(folder / "seg", sources, marked().astype(np.uint8)), sources),
        "structure set": (
            write_rtstruct(folder / "rt", sources, {"Liver": [(1, SQUARE), (3, HOLE)]}),
            sources,
        ),
    }


@pytest.mark.parametrize("kind", ["slice", "frames", "segmentation", "structure set"])
def test_a_damaged_file_is_read_or_refused_and_nothing_else(tmp_path, kind):
    path, sources = write_all(tmp_path)[kind]
    drawn = kind in {"segmentation", "structure set"}
    whole, rng, refusals = path.read_bytes(), np.random.default_rng(len(kind)), []
    for number in range(40):
        at = int(rng.integers(130, len(whole)))
        damaged = bytearray(whole[:at] if number % 3 == 0 else whole)
        for place in rng.integers(130, len(damaged), 1 + number % 5) if number % 3 else ():
            damaged[int(place)] = int(rng.integers(0, 256))
        path.write_bytes(bytes(damaged))
        with suppress(DataError):
            instance_of(path)
        try:
            read_drawn(path, sources, WANTED) if drawn else read_series(sources or [path])
        except DataError as error:
            refusals.append(str(error))
    assert len(refusals) > 10
    assert not [text for text in refusals if str(tmp_path) in text]


# Real ones


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "sources", "nrrd"),
    [
        ("liver.dcm", "ct-3slice", "liver_seg.nrrd"),
        ("23x38x3/seg/label.seg", "23x38x3/image", "23x38x3/nrrd/label.nrrd"),
        ("23x38x3/seg/label.seg", "23x38x3/multiframe", "23x38x3/nrrd/label.nrrd"),
    ],
)
def test_real_segmentations_are_what_another_program_made_of_them(real_data, name, sources, nrrd):
    folder = real_data("dicom") / "ct_with_seg"
    found = read_drawn(folder / name, sorted((folder / sources).iterdir()), ((1, ("Liver",)),))
    image = SimpleITK.ReadImage(str(folder / nrrd))
    np.testing.assert_array_equal(found.data.T, SimpleITK.GetArrayFromImage(image))
    lps = image.TransformIndexToPhysicalPoint((1, 2, 2))
    np.testing.assert_allclose(
        (found.geometry.affine @ [1, 2, 2, 1])[:3], np.array(lps) * [-1, -1, 1], atol=1e-3
    )


@pytest.mark.real_data
def test_real_overlaps_are_what_highdicom_reads(real_data):
    folder = real_data("dicom") / "ct_with_seg"
    names = ("GREEN", "ORANGE", "PURPLE", "LIGHT_BLUE", "DARK_BLUE")
    sources = sorted((folder / "ct-3slice").iterdir())
    instances = [dicom_tag(path, "SOPInstanceUID") for path in sources]
    data = highdicom.seg.segread(folder / "partial_overlaps.dcm")
    theirs = data.get_pixels_by_source_instance(
        instances, assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    for number, name in enumerate(names):
        found = read_drawn(folder / "partial_overlaps.dcm", sources, ((1, (name,)),))
        np.testing.assert_array_equal(found.data.T[::-1], theirs[..., number])


@pytest.mark.real_data
def test_real_structure_sets_are_read_or_refused_with_their_reason(real_data):
    folder = real_data("dicom") / "ct_with_rtstruct"
    sources = [folder / "ct_1.dcm", folder / "ct_2.dcm"]
    found = read_drawn(folder / "rt.dcm", sources, ((1, ("ROI-1",)),))
    assert np.flatnonzero(found.data.any(axis=(0, 1))).tolist() == [0]
    for name in ("invalid_reference_rt.dcm", "non_existent_reference_rt.dcm"):
        assert "at 70.00 mm lies beyond the 2 slices" in refusal(folder / name, sources, ((1, ("ROI-1",)),))
