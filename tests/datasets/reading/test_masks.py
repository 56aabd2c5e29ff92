from __future__ import annotations

import re
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.finding.scan import scan
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.masks import read_truth
from medseg.datasets.reading.placed import CaseGrid
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError
from medseg.images.formats import NIFTI, PictureFiles
from medseg.testing.pictures import write_emps, write_nuclei, write_picture

GREY = PictureFiles("grey", ("grey",))
LABELS = LabelRule(("background", "foreground"), {0: "background"}, instances="foreground")
SIZE = (20, 30)


def box(rows, columns, value=255, size=SIZE):
    mask = np.zeros(size, dtype=np.uint8)
    mask[rows, columns] = value
    return mask


@pytest.fixture
def make_case(tmp_path):
    """Write a picture and one file for each object."""

    def make(*objects, names=None):
        noise = np.random.default_rng(0).integers(1, 255, SIZE).astype(np.uint8)
        image = write_picture(tmp_path / "image.png", noise)
        called = names or [f"secret{number}.png" for number in range(1, len(objects) + 1)]
        pairs = zip(called, objects, strict=True)
        paths = tuple(write_picture(tmp_path / "masks" / name, mask) for name, mask in pairs)
        return Case("one", "one", {"grey": image}, position=3, objects=paths)

    return make


def rows_first(stored):
    return stored.data[:, :, 0].T


def test_objects_are_numbered_in_their_order_and_the_later_wins_where_two_overlap(make_case):
    first, second, third = (
        box(slice(2, 10), slice(3, 12)),
        box(slice(6, 14), slice(8, 20), 1),
        box(slice(0, 3), slice(25, 30), 77),
    )
    truth, faults = read_truth(make_case(first, second, third), CaseGrid(GREY))
    assert not faults
    expected = np.zeros(SIZE, dtype=int)
    for number, mask in enumerate((first, second, third), start=1):
        expected[mask > 0] = number
    np.testing.assert_array_equal(rows_first(truth), expected)
    assert truth.data.dtype == np.int32
    back, _ = read_truth(make_case(third, second, first), CaseGrid(GREY))
    assert rows_first(back)[7, 9] == 3
    assert rows_first(back)[1, 27] == 1


def test_more_objects_than_eight_bits_can_number(make_case):
    masks = [box(slice(i // 30, i // 30 + 1), slice(i % 30, i % 30 + 1)) for i in range(300)]
    case = make_case(*masks)
    volume = read_volume(case, ("grey",), LABELS, files=GREY)
    objects = volume.geometry.from_ras(volume.objects)[:, :, 0].T
    np.testing.assert_array_equal(objects.ravel()[:300], np.arange(1, 301))
    assert volume.label.sum() == 300
    assert examine(case, ("grey",), LABELS, GREY).labels == {0: 300, 255: 300}


def test_every_broken_object_is_a_fault_with_its_part_and_file(make_case):
    case = make_case(*[box(slice(i, i + 2), slice(0, 5)) for i in range(4)])
    case.objects[0].write_bytes(b"")
    case.objects[2].write_bytes(b"no picture")
    truth, faults = read_truth(case, CaseGrid(GREY))
    assert [(fault.part, fault.path) for fault in faults] == [
        ("mask 1", case.objects[0]),
        ("mask 3", case.objects[2]),
    ]
    assert {(fault.case, fault.position) for fault in faults} == {("one", 3)}
    assert "secret" not in "".join(fault.text() for fault in faults)
    assert truth is not None
    with pytest.raises(DataError) as caught:
        read_volume(case, ("grey",), LABELS, files=GREY)
    assert [fault.part for fault in caught.value.faults] == ["mask 1", "mask 3"]
    assert [fault.part for fault in examine(case, ("grey",), LABELS, GREY).faults] == ["mask 1", "mask 3"]


def test_objects_that_were_stored_from_bool_arrays_by_tifffile_are_refused_not_turned(make_case):
    case = make_case(box(slice(2), slice(2)), names=["secret.tif"])
    tifffile.imwrite(case.objects[0], box(slice(2), slice(2)) > 0)
    truth, (fault,) = read_truth(case, CaseGrid(GREY))
    assert truth is None
    assert "inverting lookup table" in fault.text()


def test_objects_that_are_all_broken_leave_no_truth(make_case):
    case = make_case(box(slice(2), slice(2)))
    case.objects[0].write_bytes(b"")
    truth, faults = read_truth(case, CaseGrid(GREY))
    assert truth is None
    assert [fault.part for fault in faults] == ["mask 1"]
    assert examine(case, ("grey",), LABELS, GREY).labels is None


def test_an_object_of_another_size_is_a_fault_with_its_part_and_both_sizes(make_case):
    case = make_case(box(slice(2), slice(2)), box(slice(2), slice(2), size=(30, 20)), box(slice(3), slice(3)))
    truth, (fault,) = read_truth(case, CaseGrid(GREY))
    assert (fault.part, fault.path) == ("mask 2", case.objects[1])
    assert "30 rows x 20 columns, where the first object has 20 rows x 30 columns" in fault.text()
    assert set(np.unique(truth.data)) == {0, 3}
    with pytest.raises(DataError, match="mask 2"):
        read_volume(case, ("grey",), LABELS, files=GREY)


@pytest.mark.parametrize("objects", [True, False])
def test_a_truth_of_another_size_than_its_picture_is_a_fault_of_the_mask(make_case, objects):
    small = box(slice(2), slice(2), size=(19, 30))
    case = make_case(small, small)
    if not objects:
        case = Case("one", "one", case.images, case.objects[0], position=3)
    said = r"19 rows x 30 columns, where the first channel has 20 rows x 30"
    with pytest.raises(DataError, match=said) as caught:
        read_volume(case, ("grey",), LABELS, files=GREY)
    assert [fault.part for fault in caught.value.faults] == ["mask"]
    faults = examine(case, ("grey",), LABELS, GREY).faults
    assert [fault.part for fault in faults] == ["mask"]
    assert "19 rows x 30 columns" in faults[0].text()


def test_a_colour_mask_where_a_map_is_wanted_is_a_fault(make_case, tmp_path):
    colour = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    case = make_case(box(slice(2), slice(2)), colour)
    _, (fault,) = read_truth(case, CaseGrid(GREY))
    assert fault.part == "mask 2"
    assert "colour mask" in fault.text()


def test_an_object_without_a_pixel_leaves_its_number_free(make_case):
    case = make_case(box(slice(2), slice(2)), box(slice(0), slice(0)), box(slice(5, 6), slice(3)))
    truth, faults = read_truth(case, CaseGrid(GREY))
    assert not faults
    assert set(np.unique(truth.data)) == {0, 1, 3}


def test_a_picture_without_foreground_is_no_fault(make_case):
    case = make_case(box(slice(0), slice(0)))
    volume = read_volume(case, ("grey",), LABELS, files=GREY)
    assert not volume.label.any()
    assert not examine(case, ("grey",), LABELS, GREY).faults
    assert examine(case, ("grey",), LABELS, GREY).labels == {0: 600}


def test_notes_of_every_object_are_kept_once(make_case):
    """A PNG that is called a JPEG is fine, with a note, wherever among the objects it comes."""
    case = make_case(box(slice(2), slice(2)), names=["a.png"])
    several = [case.objects[0], *(case.objects[0].with_name(name) for name in ("b.jpg", "c.jpg", "d.png"))]
    for path in several[1:]:
        path.write_bytes(case.objects[0].read_bytes())
    case = Case("one", "one", case.images, position=3, objects=tuple(several))
    truth, faults = read_truth(case, CaseGrid(GREY))
    assert not faults
    assert len(truth.notes) == 1
    assert "PNG" in truth.notes[0]
    assert examine(case, ("grey",), LABELS, GREY).notes == (f"mask: {truth.notes[0]}",)


def test_the_digest_of_a_truth_of_objects_is_that_of_the_same_map_in_one_file(make_case, tmp_path):
    masks = [box(slice(2, 5), slice(3, 9)), box(slice(9, 14), slice(1, 20))]
    case = make_case(*masks)
    numbered = write_picture(
        tmp_path / "map.png", (masks[0] > 0) * np.uint16(1) + (masks[1] > 0) * np.uint16(2)
    )
    joined = Case("one", "one", case.images, numbered, position=3)
    one, other = (examine(each, ("grey",), LABELS, GREY) for each in (case, joined))
    assert one.digest() == other.digest()
    assert one.labels == other.labels
    volumes = [read_volume(each, ("grey",), LABELS, files=GREY) for each in (case, joined)]
    np.testing.assert_array_equal(volumes[0].objects, volumes[1].objects)
    np.testing.assert_array_equal(volumes[0].label, volumes[1].label)


def test_an_instance_map_keeps_its_numbers_as_objects(tmp_path):
    values = np.zeros(SIZE, dtype=np.uint16)
    values[2:5, 3:9], values[9:14, 1:20] = 7, 40_000
    image = write_picture(tmp_path / "a.png", np.arange(600, dtype=np.uint16).reshape(SIZE))
    case = Case("one", "one", {"grey": image}, write_picture(tmp_path / "m.png", values), position=1)
    volume = read_volume(case, ("grey",), LABELS, files=GREY)
    assert volume.objects.dtype == np.int32
    np.testing.assert_array_equal(volume.geometry.from_ras(volume.objects)[:, :, 0].T, values)
    np.testing.assert_array_equal(volume.geometry.from_ras(volume.label)[:, :, 0].T, values > 0)


def test_a_truth_that_numbers_nothing_has_no_objects(tmp_path):
    image = write_picture(tmp_path / "a.png", np.arange(600, dtype=np.uint16).reshape(SIZE))
    mask = write_picture(tmp_path / "m.png", box(slice(3), slice(9)))
    plain = LabelRule(("background", "foreground"), {0: "background", 255: "foreground"})
    volume = read_volume(Case("a", "a", {"grey": image}, mask), ("grey",), plain, files=GREY)
    assert volume.objects is None
    assert volume.label.sum() == 27


def manifest(name):
    from pathlib import Path

    return Manifest.from_yaml(Path(__file__).parents[3] / "data_manifests" / f"{name}.yaml")


@pytest.mark.parametrize(("name", "write"), [("emps", write_emps), ("nuclei", write_nuclei)])
def test_truths_of_written_data_sets_hold_what_was_drawn(tmp_path, name, write):
    from medseg.testing.pictures import shapes

    said = manifest(name)
    listing = scan(said, write(tmp_path / name, cases=3, size=(24, 33), seed=4))
    assert not listing.faults
    for number, case in enumerate(listing.cases, start=1):
        _, instances = shapes((24, 33), 40_000 + number)
        volume = read_volume(case, said.channels, said.label_rule(), files=said.files())
        found = volume.geometry.from_ras(volume.objects)[:, :, 0].T
        np.testing.assert_array_equal(found, instances)
        np.testing.assert_array_equal(volume.geometry.from_ras(volume.label)[:, :, 0].T, instances > 0)


def test_a_file_of_one_object_that_holds_shades_is_refused_unless_the_manifest_says_what_is_bright(make_case):
    shades = box(slice(2, 10), slice(3, 12))
    shades[2, 3:12] = 100
    for odd in (shades, np.maximum(box(slice(2, 10), slice(3, 12)), 9)):
        case = make_case(box(slice(12, 15), slice(2, 5)), odd)
        _, (fault,) = read_truth(case, CaseGrid(GREY))
        assert fault.part == "mask 2"
        assert "pictures.mask_above: 127" in fault.remedy
        truth, faults = read_truth(case, CaseGrid(replace(GREY, mask_above=127)))
        assert not faults
        assert (truth.data == 2).sum() == (odd > 127).sum()


def test_labels_that_a_scale_moved_a_little_are_those_labels(tmp_path):
    labels = np.arange(3 * 4 * 5).reshape(3, 4, 5) % 3
    stored = labels.astype(np.float32) * np.float32(0.99999994)
    assert stored.max() < 2
    nibabel.save(nibabel.Nifti1Image(stored, np.eye(4)), tmp_path / "mask.nii")
    nibabel.save(nibabel.Nifti1Image(labels + 1.5, np.eye(4)), tmp_path / "image.nii")
    case = Case("one", "one", {"t1": tmp_path / "image.nii"}, mask=tmp_path / "mask.nii")
    rule = LabelRule(("a", "b", "c"), {0: "a", 1: "b", 2: "c"}, instances=None)
    facts = examine(case, ("t1",), rule)
    assert not facts.faults
    assert facts.labels == {0: 20, 1: 20, 2: 20}
    volume = read_volume(case, ("t1",), rule)
    np.testing.assert_array_equal(volume.geometry.from_ras(volume.label), labels)


def test_a_grey_mask_is_refused_as_interpolated_unless_the_manifest_says_what_is_bright(tmp_path):
    rows, columns = np.mgrid[:64, :64]
    mask = np.where((rows - 30) ** 2 + (columns - 30) ** 2 < 150, 255, 0).astype(np.uint8)
    image = write_picture(tmp_path / "image.png", (rows + columns).astype(np.uint8))
    path = write_picture(tmp_path / "a.jpg", mask, quality=75)
    path = write_picture(tmp_path / "mask.png", np.asarray(Image.open(path)))
    case = Case("one", "one", {"grey": image}, mask=path)
    numbered, named = LABELS, LabelRule(("background", "foreground"), {0: "background", 255: "foreground"})
    for rule in (numbered, named):
        (fault,) = examine(case, ("grey",), rule, GREY).faults
        assert fault.part == "mask"
        assert "pictures.mask_above: 127" in fault.remedy
    bright = LabelRule(named.classes, {0: "background", 1: "foreground"})
    for rule in (numbered, bright):
        facts = examine(case, ("grey",), rule, replace(GREY, mask_above=127))
        assert not facts.faults
        found = read_volume(case, ("grey",), rule, files=replace(GREY, mask_above=127)).label
        assert found.sum() == (mask > 0).sum()


def test_numbers_in_several_pieces_are_noted(make_case):
    odd = box(slice(2, 6), slice(2, 6), 1) + box(slice(10, 14), slice(2, 6), 1)
    odd += box(slice(2, 6), slice(20, 26), 2) + box(slice(10, 14), slice(20, 26), 2)
    case = make_case(odd)
    case = Case("one", "one", case.images, case.objects[0])
    facts = examine(case, ("grey",), LABELS, GREY)
    assert not facts.faults
    assert facts.notes == ("mask: most of its numbers of objects occur in several pieces that do not touch",)


def turned(path, array, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return write_picture(path, array, exif=exif)


def rows_and_columns(rows, columns):
    return np.arange(1, rows * columns + 1).reshape(rows, columns).astype(np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("side", [20, 30])
@pytest.mark.parametrize("which", ["image", "mask", "both"])
def test_a_picture_that_exif_turns_and_a_mask_that_it_does_not_are_a_fault_unless_the_size_tells(
    tmp_path, orientation, side, which
):
    shape = (8, 20) if side == 30 else (12, 12)
    on_its_side = orientation > 4
    stored = shape[::-1] if on_its_side else shape  # both files show a picture of one size
    image = rows_and_columns(*(stored if which != "mask" else shape))
    mask = box(slice(1, 5), slice(1, 4), size=stored if which != "image" else shape)
    path = turned(tmp_path / "image.png", image, orientation if which != "mask" else 1)
    drawn = turned(tmp_path / "mask.png", mask, orientation if which != "image" else 1)
    faults = examine(Case("one", "one", {"grey": path}, mask=drawn), ("grey",), LABELS, GREY).faults
    told = on_its_side and shape[0] != shape[1]
    if which == "both" or orientation == 1 or told:
        assert not faults
    else:
        (fault,) = faults
        assert fault.part == "mask"
        assert "EXIF orientation" in fault.found
        assert "ImageOps.exif_transpose" in fault.remedy


@pytest.mark.parametrize("as_shown", [True, False])
def test_saving_both_without_the_tag_mends_it(tmp_path, as_shown):
    path = turned(tmp_path / "image.png", rows_and_columns(12, 12), 3)
    mask = write_picture(tmp_path / "mask.png", box(slice(1, 5), slice(1, 4), size=(12, 12)))
    case = Case("one", "one", {"grey": path}, mask=mask)
    assert examine(case, ("grey",), LABELS, GREY).faults
    with Image.open(path) as image:
        upright = np.asarray(ImageOps.exif_transpose(image) if as_shown else image)
    write_picture(path, upright)
    assert not examine(case, ("grey",), LABELS, GREY).faults


def test_two_orientations_on_their_side_may_be_half_a_turn_apart(tmp_path):
    path = turned(tmp_path / "image.png", rows_and_columns(8, 20), 6)
    mask = turned(tmp_path / "mask.png", box(slice(1, 5), slice(1, 4), size=(8, 20)), 8)
    (fault,) = examine(Case("one", "one", {"grey": path}, mask=mask), ("grey",), LABELS, GREY).faults
    assert "orientation is 8, where that of the first channel is 6" in fault.found


@pytest.mark.parametrize("tags", [(1, 1, 3), (1, 3, 3), (3, 3, 1), (1, 1, 6), (1, 2, 4)])
def test_every_object_has_the_exif_orientation_of_the_picture(tmp_path, tags):
    image, *objects = tags
    path = turned(tmp_path / "image.png", rows_and_columns(12, 12), image)
    drawn = tuple(
        turned(tmp_path / f"{i}.png", box(slice(i, i + 3), slice(1, 4), size=(12, 12)), tag)
        for i, tag in enumerate(objects)
    )
    case = Case("one", "one", {"grey": path}, objects=drawn)
    faults = examine(case, ("grey",), LABELS, GREY).faults
    assert faults
    assert all("EXIF orientation" in fault.found for fault in faults)
    for each in (path, *drawn):
        with Image.open(each) as stored:
            values = np.asarray(stored)
        turned(each, values, 3)
    assert not examine(case, ("grey",), LABELS, GREY).faults


def test_a_channel_that_exif_turns_otherwise_is_refused_where_nothing_was_checked_before(tmp_path):
    one = turned(tmp_path / "one.png", rows_and_columns(12, 12), 1)
    other = turned(tmp_path / "other.png", rows_and_columns(12, 12), 3)
    case = Case("one", "one", {"grey": one, "red": other}, position=3)
    with pytest.raises(DataError, match="EXIF orientation is 3"):
        read_volume(case, ("grey", "red"), None, files=PictureFiles("grey", ("grey", "red")))


def test_classes_that_were_interpolated_are_noted(make_case):
    inner, outer = box(slice(4, 16), slice(4, 16), 2), box(slice(3, 17), slice(3, 17), 1)
    case = make_case(np.maximum(inner, outer))
    case = Case("one", "one", case.images, case.objects[0])
    facts = examine(case, ("grey",), LabelRule(("no", "rim", "core"), {0: "no", 1: "rim", 2: "core"}), GREY)
    assert not facts.faults
    (note,) = facts.notes
    assert "rims one pixel broad" in note


@pytest.mark.parametrize("brightest", [1, 40, 100, 200])
def test_what_is_offered_for_a_dark_grey_mask_keeps_its_object(tmp_path, brightest):
    rows, columns = np.mgrid[:64, :64]
    inside = (rows - 30) ** 2 + (columns - 30) ** 2 < 150
    mask = np.where(inside, brightest, 0).astype(np.uint8)
    image = write_picture(tmp_path / "image.png", (rows + columns).astype(np.uint8))
    grey = np.minimum(
        np.asarray(Image.fromarray(mask).resize((63, 63), Image.Resampling.BILINEAR)), brightest
    )
    path = write_picture(tmp_path / "mask.png", np.pad(grey, ((0, 1), (0, 1))))
    named = LabelRule(("background", "foreground"), {0: "background", brightest: "foreground"})
    case = Case("one", "one", {"grey": image}, mask=path)
    faults = examine(case, ("grey",), named, GREY).faults
    if brightest == 1:  # there is no grey between 0 and 1
        assert not faults
        return
    level = int(re.search(r"pictures.mask_above: (\d+)", faults[0].remedy)[1])
    bright = LabelRule(named.classes, {0: "background", 1: "foreground"})
    facts = examine(case, ("grey",), bright, replace(GREY, mask_above=level))
    assert not facts.faults
    assert facts.labels[1] == pytest.approx(inside.sum(), rel=0.1)


@pytest.mark.parametrize("files", [1, 2])
def test_a_mask_of_several_volumes_is_told_what_a_mask_needs_and_never_to_become_a_channel(tmp_path, files):
    path = tmp_path / "mask.nii.gz"
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.uint8), np.eye(4)), path)
    mask = {"mask": path} if files == 1 else {"objects": (path,)}
    _, (fault,) = read_truth(Case("one", "one", {"t1": path}, **mask), CaseGrid(NIFTI))
    assert "(4, 4, 4, 2), expected a volume" in fault.found
    assert "channel" not in fault.remedy
    assert "number them from 1" in fault.remedy
    (image,) = examine(Case("one", "one", {"t1": path}), ["t1"], LABELS).faults
    assert "name it as a channel" in image.remedy
