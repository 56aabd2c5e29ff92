import hashlib
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from medseg.errors import DataError
from medseg.images.made_up import MADE_UP
from medseg.progress import Silent
from medseg.samples import Radiology, radiology, radiology_pictures
from medseg.samples.brain.atlas import CENTRE, atlas
from medseg.samples.brain.sequences import Stream, stream
from medseg.samples.brain.tumour import choose
from medseg.samples.radiology import is_dicom, patient_name, role_folder
from medseg.samples.radiology_pictures import PLANES, class_name, patient_pictures

pydicom = pytest.importorskip("pydicom")

CASES, SEED = 4, 3
PATTERN = re.compile(r"^.*?(patient[0-9]+)_")
CLASSES = ("FLAIR_axial", "FLAIR_coronal", "FLAIR_sagittal", "T1_axial", "T1_coronal", "T1_sagittal")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Radiology().write(tmp_path_factory.mktemp("set"), cases=CASES, seed=SEED, progress=Silent())


@pytest.fixture(scope="module")
def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def datasets(files):
    """Each DICOM file's path and content."""
    return [(path, pydicom.dcmread(path)) for path in files if path.suffix != ".png"]


@pytest.fixture(scope="module")
def pictures():
    """All pictures of each patient, by number."""
    return {number: list(patient_pictures(SEED, number)) for number in range(1, CASES + 1)}


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def patient_of(path):
    """The patient as a manifest's rule tells it: by the tag, else by the pattern."""
    if path.suffix == ".png":
        return PATTERN.match(path.name).group(1)
    assert PATTERN.match(path.name) is None
    return pydicom.dcmread(path, stop_before_pixels=True).PatientID


def as_pydicom_shows(dataset):
    """Modality LUT and window by pydicom, 0 to 255; inverted where the lowest value is white."""
    from pydicom.pixels import apply_modality_lut, apply_windowing

    ends = np.array([0, 2**dataset.BitsStored - 1])
    if dataset.PixelRepresentation:
        ends -= 2 ** (dataset.BitsStored - 1)
    low, high = ends * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    values = apply_windowing(apply_modality_lut(dataset.pixel_array, dataset), dataset)
    shown = (values - low) / (high - low) * 255
    return 255 - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown


@pytest.mark.slow
def test_classes_are_known_before_there_are_data_in_code_point_order(folder):
    assert Radiology.classes == CLASSES == tuple(sorted(CLASSES))
    assert {path.name for role in folder.iterdir() for path in role.iterdir()} == set(CLASSES)


@pytest.mark.slow
def test_each_patient_has_three_pictures_of_each_class_and_one_role(folder, files):
    assert len(files) == CASES * 18
    counted = Counter((path.parts[-3], path.parts[-2], patient_of(path)) for path in files)
    assert counted == {
        (role_folder(SEED, number), name, patient_name(number)): 3
        for number in range(1, CASES + 1)
        for name in CLASSES
    }
    assert {path.name for path in folder.iterdir()} == {"Train", "Test"}


def test_half_of_the_patients_are_png_and_no_name_is_used_twice(files):
    suffixes = {patient_of(path): path.suffix == ".png" for path in files}
    assert suffixes == {"patient01": True, "patient02": False, "patient03": True, "patient04": False}
    assert len({path.name for path in files}) == len(files)


def test_of_five_patients_one_is_for_testing_and_of_ten_one_of_each_format():
    for seed in range(6):
        tested = [number for number in range(1, 201) if role_folder(seed, number) == "Test"]
        assert [(number - 1) // 5 for number in tested] == list(range(40))
        for first, second in zip(tested[::2], tested[1::2], strict=True):
            assert is_dicom(first) != is_dicom(second)
    chosen = {tuple(role_folder(seed, number) for number in range(1, 6)) for seed in range(20)}
    assert len(chosen) == 5


@pytest.mark.slow
def test_png_files_are_grey_and_show_the_picture(folder, pictures):
    for number in (1, 3):
        for picture in pictures[number]:
            kind = class_name(picture.channel, picture.plane)
            name = f"{patient_name(number)}_{kind.lower()}_{picture.n}.png"
            with Image.open(folder / role_folder(SEED, number) / kind / name) as image:
                assert (image.mode, image.size, image.info) == ("L", (128, 128), {"Comment": MADE_UP})
                assert np.array_equal(np.asarray(image), picture.shown())


@pytest.mark.slow
def test_dicom_is_shown_by_pydicom_as_png_would_show_it(datasets, pictures):
    """However stored: inverted or not, signed or not, packed or not."""
    kinds = Counter()
    for path, dataset in datasets:
        number = int(dataset.PatientID.removeprefix("patient"))
        picture = next(
            each
            for each in pictures[number]
            if class_name(each.channel, each.plane) == path.parent.name and each.n == dataset.InstanceNumber
        )
        step = 255 * float(dataset.RescaleSlope) / (picture.high - picture.low)
        shown = as_pydicom_shows(dataset)
        assert np.abs(shown - picture.shown()).max() <= step / 2 + 0.51
        kinds[
            dataset.PhotometricInterpretation,
            dataset.PixelRepresentation,
            dataset.file_meta.TransferSyntaxUID.name,
        ] += 1
        assert dataset.BitsAllocated == 16
        assert dataset.BitsStored in {12, 16}
    assert {kind[0] for kind in kinds} == {"MONOCHROME1", "MONOCHROME2"}
    assert {kind[1] for kind in kinds} == {0, 1}
    assert {kind[2] for kind in kinds} == {"Explicit VR Little Endian", "RLE Lossless"}
    assert len(kinds) == 5
    assert Counter(path.suffix for path, _ in datasets) == {".dcm": 24, "": 12}


def test_inverted_files_are_stored_bright_outside_the_brain(datasets):
    for _, dataset in datasets:
        corner, middle = dataset.pixel_array[0, 0], np.median(dataset.pixel_array[32:96, 32:96])
        assert (corner > middle) == (dataset.PhotometricInterpretation == "MONOCHROME1")


def test_dicom_says_that_it_is_generated_and_names_nobody(datasets):
    for _, dataset in datasets:
        assert str(dataset.PatientName) == "GENERATED"
        assert list(dataset.ImageType[:2]) == ["DERIVED", "SECONDARY"]
        assert dataset.StudyDescription == "GENERATED"
        for each in (dataset.SeriesDescription, dataset.PatientComments, dataset.ImageComments):
            assert "generated" in each.lower()
        empty = ("PatientBirthDate", "PatientSex", "AccessionNumber", "ReferringPhysicianName")
        assert not any(str(dataset[name].value) for name in empty)
        times = {element.keyword: element.value for element in dataset if element.VR in {"DA", "TM", "DT"}}
        assert times == {"StudyDate": "20000101", "StudyTime": "000000", "PatientBirthDate": ""}
        assert not any(element.tag.is_private for element in dataset.iterall())


def test_identifiers_are_valid_and_hang_together(datasets):
    studies, series, pictures = {}, {}, set()
    for path, dataset in datasets:
        for uid in (dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.SOPInstanceUID):
            assert uid.is_valid
            assert uid.startswith("2.25.")
        assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID
        studies.setdefault(dataset.StudyInstanceUID, set()).add(dataset.PatientID)
        series.setdefault(dataset.SeriesInstanceUID, set()).add((dataset.PatientID, path.parent.name))
        pictures.add(dataset.SOPInstanceUID)
    assert sorted(map(sorted, studies.values())) == [["patient02"], ["patient04"]]
    assert len(series) == 12
    assert all(len(each) == 1 for each in series.values())
    assert len(pictures) == len(datasets)


@pytest.mark.slow
def test_pixels_lie_where_dicom_says(datasets):
    """By the equation of DICOM PS3.3, C.7.6.2.1.1, in a volume that runs to left, back and top."""
    volumes = {number: radiology_pictures._volumes(SEED, number) for number in (2, 4)}
    rows, columns = np.indices((128, 128))
    planes = set()
    for path, dataset in datasets:
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            continue  # whose values are mirrored
        channel, plane = path.parent.name.lower().split("_")
        right, down = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        height, width = map(float, dataset.PixelSpacing)
        place = np.array(dataset.ImagePositionPatient, float)[:, None, None]
        place = place + right[:, None, None] * columns * width + down[:, None, None] * rows * height
        i, j, k = np.rint(place / 1.6 + 63.5).astype(int)
        slope = float(dataset.RescaleSlope)
        values = dataset.pixel_array * slope + float(dataset.RescaleIntercept)
        volume = volumes[int(dataset.PatientID.removeprefix("patient"))][channel]
        assert np.abs(values - volume[i, j, k]).max() <= slope / 2 + 1e-3
        planes.add(plane)
    assert planes == {"axial", "coronal", "sagittal"}


def brains(pictures, plane):
    """Masks of the brain of a plane's pictures."""
    return [p.values > 0 for each in pictures.values() for p in each if p.plane.name == plane]


def likeness(mask):
    """Overlap of a mask with its mirror image, about the middle of its columns."""
    columns = np.flatnonzero(mask.any(axis=0))
    cropped = mask[:, columns[0] : columns[-1] + 1]
    return (cropped & cropped[:, ::-1]).sum() / (cropped | cropped[:, ::-1]).sum()


def test_left_and_right_are_alike_but_front_and_back_are_not(pictures):
    for plane in ("axial", "coronal"):
        assert np.median([likeness(mask) for mask in brains(pictures, plane)]) > 0.85
    assert np.median([likeness(mask) for mask in brains(pictures, "sagittal")]) < 0.80


def test_axial_slices_are_longer_than_wide_and_coronal_ones_are_not(pictures):
    def ratio(mask):
        height, width = (np.ptp(np.flatnonzero(mask.any(axis=axis))) for axis in (1, 0))
        return height / width

    assert np.median([ratio(mask) for mask in brains(pictures, "axial")]) > 1.15
    assert np.median([ratio(mask) for mask in brains(pictures, "coronal")]) < 1.05


def test_the_cerebellum_is_below_at_the_right_of_sagittal_slices(pictures):
    for mask in brains(pictures, "sagittal"):
        rows, columns = np.nonzero(mask)
        low = rows > rows.max() - 0.12 * np.ptp(rows)
        assert columns[low].mean() > (columns.min() + columns.max()) / 2
        assert mask[1].sum() == mask[:, 1].sum() == mask[:, -2].sum() == 0  # nothing is cut off


@pytest.mark.slow
def test_tumours_are_shown_where_they_start_in_the_template(monkeypatch):
    """The template runs from left, back and below, its voxels are 1 mm."""
    grown = []
    real = radiology_pictures.grow
    monkeypatch.setattr(
        radiology_pictures,
        "grow",
        lambda head, *rest: grown.append((head.box, real(head, *rest))) or grown[-1][1],
    )
    sides = set()
    for number in range(1, CASES + 1):
        flair = radiology_pictures._volumes(SEED, number)["flair"]
        recipe = radiology_pictures._recipe(SEED, number)
        sites, _ = choose(atlas().sites, recipe, stream(SEED, number, Stream.TUMOUR))
        rightwards, forwards, upwards = (sites[0] - CENTRE) * 0.93 / 1.6
        box, tumour = grown[-1]
        core = np.zeros((240, 240, 155), np.uint8)
        core[box] = (tumour.label == 1) | (tumour.label == 4)
        core = core[52:180, 59:187, 6:134]
        assert np.median(flair[core > 0]) > 1.05 * np.median(flair[flair > 0])
        i, j, k = np.rint(ndimage.center_of_mass(core)).astype(int)
        expected = {
            "axial": (k, -forwards, -rightwards),
            "coronal": (j, -upwards, -rightwards),
            "sagittal": (i, -upwards, -forwards),
        }
        for plane in PLANES:
            index, down, across = expected[plane.name]
            shown = np.argwhere(plane.cut(core, index)).mean(axis=0) - 63.5
            assert np.abs(shown - (down, across)).max() < 12
        sides |= {("right", bool(rightwards > 0)), ("front", bool(forwards > 0)), ("top", bool(upwards > 0))}
    assert len(sides) >= 5


@pytest.mark.slow
def test_white_matter_is_brightest_on_t1_grey_matter_on_flair_and_fluid_dark_on_both(monkeypatch):
    heads = []
    real = radiology_pictures.bend
    monkeypatch.setattr(radiology_pictures, "bend", lambda *args: heads.append(real(*args)) or heads[-1])
    volumes = radiology_pictures._volumes(SEED, 1)
    head = heads[0]
    whole = np.zeros((3, 240, 240, 155), np.float32)
    tissues = (head.white, head.grey, 1 - head.white - head.grey)
    for target, tissue in zip(whole, tissues, strict=True):
        target[head.box] = head.spread(tissue)
    whole = whole[:, 52:180, 59:187, 6:134]
    white, grey, fluid = (
        {channel: np.median(volume[tissue > 0.95]) for channel, volume in volumes.items()} for tissue in whole
    )
    assert white["t1"] > 1.1 * grey["t1"] > 1.5 * fluid["t1"]
    assert grey["flair"] > 1.1 * white["flair"] > 2 * fluid["flair"]


def test_windows_differ_but_leave_the_brain_visible(pictures):
    means = []
    for each in pictures.values():
        assert len({(picture.low, picture.high) for picture in each}) == 6  # one for each series
        for picture in each:
            inside = picture.shown()[picture.values > 0]
            means.append(inside.mean())
            assert ((inside > 0) & (inside < 255)).mean() > 0.5
            assert inside.std() > 12
    assert np.ptp(means) > 40


def test_slices_are_spread_over_the_middle_half(pictures):
    for each in pictures.values():
        volumes = {}
        for picture in each:
            volumes.setdefault((picture.channel, picture.plane.name), []).append(picture.index)
        for indices in volumes.values():
            assert np.diff(indices).min() >= 1
            assert 4 <= np.ptp(indices) <= 0.5 * 120


@pytest.mark.slow
def test_a_patient_depends_on_seed_and_number_alone(folder, tmp_path):
    out = Radiology().write(tmp_path / "set", cases=2, seed=SEED, progress=Silent())
    whole, part = digests(folder), digests(out)
    assert len(part) == 36
    assert part == {name: whole[name] for name in part}
    first = next(patient_pictures(SEED + 1, 1))
    assert not np.array_equal(first.values, next(patient_pictures(SEED, 1)).values)


@pytest.mark.slow
def test_an_interrupted_call_goes_on_and_keeps_what_is_whole(folder, tmp_path, monkeypatch):
    out, written = tmp_path / "set", []
    real = radiology.write_dicom

    def stopping(picture, series, path):
        if len(written) == 7:
            path.write_bytes(b"half")
            raise KeyboardInterrupt
        written.append(path)
        real(picture, series, path)

    monkeypatch.setattr(radiology, "write_dicom", stopping)
    with pytest.raises(KeyboardInterrupt):
        Radiology().write(out, cases=2, seed=SEED, progress=Silent())
    whole, part = digests(folder), digests(out)
    assert len(part) == 18 + 7
    assert part == {name: whole[name] for name in part}
    kept = next(out.rglob("patient01_*.png"))
    kept.write_bytes(b"kept as it is")
    monkeypatch.setattr(radiology, "write_dicom", real)
    Radiology().write(out, cases=2, seed=SEED, progress=Silent())
    after = digests(out)
    assert len(after) == 36
    assert {name for name in after if after[name] != whole[name]} == {str(kept.relative_to(out))}


def test_numbers_out_of_range_are_refused(tmp_path):
    with pytest.raises(DataError, match="seed -1"):
        Radiology().write(tmp_path, cases=1, seed=-1, progress=Silent())
    with pytest.raises(DataError, match="0 generated cases"):
        Radiology().write(tmp_path, cases=0, seed=1, progress=Silent())
