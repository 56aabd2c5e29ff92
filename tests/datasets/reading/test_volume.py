from __future__ import annotations

import nibabel
import numpy as np
import pytest

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError

SHAPE = (5, 6, 4)
LPS = np.diag([-1.0, -2.0, 3.0, 1.0])
LABELS = LabelRule(("background", "core"), {0: "background", 4: "core"})


@pytest.fixture
def case(tmp_path):
    images = {}
    for i, name in enumerate(["t1", "t2"]):
        voxels = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE) + 1000 * i
        images[name] = tmp_path / f"private_{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(voxels, LPS), images[name])
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[1, 2, 3] = 4
    nibabel.save(nibabel.Nifti1Image(label, LPS), tmp_path / "private_seg.nii.gz")
    return Case("p1", "p1", images, tmp_path / "private_seg.nii.gz", position=7)


def test_a_volume_is_what_nibabel_calls_closest_canonical(case):
    volume = read_volume(case, ["t2", "t1"], LABELS)
    for channel, name in enumerate(["t2", "t1"]):
        expected = nibabel.as_closest_canonical(nibabel.load(case.images[name]))
        np.testing.assert_array_equal(volume.image[channel], expected.get_fdata())
        np.testing.assert_allclose(volume.geometry.ras_affine, expected.affine)
    assert volume.image.dtype == np.float32
    assert np.argwhere(volume.label).tolist() == [[3, 3, 3]]
    assert volume.geometry.from_ras(volume.label)[1, 2, 3] == 1


def test_without_a_rule_for_labels_no_truth_is_read(case):
    case.mask.write_bytes(b"anything")
    assert read_volume(case, ["t1"], None).label is None


def _fault(case, channels=("t1", "t2"), labels=LABELS):
    with pytest.raises(DataError) as error:
        read_volume(case, channels, labels)
    (fault,) = error.value.faults
    assert (fault.case, fault.position) == ("p1", 7)
    assert "private" not in str(error.value)
    return fault


def test_a_missing_channel_is_a_fault(case):
    assert _fault(case, ("t1", "flair")).part == "flair"
    case.images["t2"].unlink()
    assert "not there" in _fault(case).found


@pytest.mark.parametrize("affine", [np.diag([-1.0, -2.0, 3.3, 1.0]), np.diag([1.0, 2.0, 3.0, 1.0])])
def test_another_grid_is_a_fault(case, affine):
    nibabel.save(nibabel.Nifti1Image(np.zeros(SHAPE, np.int16), affine), case.images["t2"])
    fault = _fault(case)
    assert fault.part == "t2"
    assert "another grid" in fault.found


def test_another_shape_of_the_truth_is_a_fault(case):
    nibabel.save(nibabel.Nifti1Image(np.zeros((5, 6, 5), np.uint8), LPS), case.mask)
    assert _fault(case).part == "mask"


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_a_fault(case, value):
    voxels = np.full(SHAPE, value, dtype=np.float32)
    nibabel.save(nibabel.Nifti1Image(voxels, LPS), case.images["t2"])
    fault = _fault(case)
    assert fault.part == "t2"
    assert "NaN or infinite" in fault.found


def test_an_unknown_label_is_a_fault_that_counts_its_voxels(case):
    label = np.zeros(SHAPE, dtype=np.uint8)
    label[:2, 0, 0] = 3
    nibabel.save(nibabel.Nifti1Image(label, LPS), case.mask)
    assert "3 in 2 places" in _fault(case).found


@pytest.mark.parametrize("part", ["mask", "t2"])
def test_a_file_in_another_order_of_axes_is_read_as_the_same_place(case, part):
    expected = read_volume(case, ["t1", "t2"], LABELS)
    other = nibabel.as_closest_canonical(nibabel.load(case.files[part]))
    nibabel.save(nibabel.Nifti1Image(np.asanyarray(other.dataobj), other.affine), case.files[part])

    found = read_volume(case, ["t1", "t2"], LABELS)

    np.testing.assert_array_equal(found.image, expected.image)
    np.testing.assert_array_equal(found.label, expected.label)
    facts = examine(case, ("t1", "t2"), LABELS)
    assert facts.faults == ()
    assert len(facts.notes) == 1
    assert "stored in another order or direction" in facts.notes[0]
