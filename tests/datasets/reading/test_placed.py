from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from nibabel.processing import resample_from_to

from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import examine
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.reading.placed import FEWEST
from medseg.datasets.reading.volume import read_volume
from medseg.errors import DataError
from medseg.geometry.grid import Geometry
from medseg.images.formats import NIFTI
from medseg.transforms import LoadCased

LABELS = LabelRule(("background", "core"), {0: "background", 1: "core"})
FINE = (np.diag([-1.0, -1.0, 1.0, 1.0]), (20, 22, 18))
THICK = (np.array([[-1.5, 0, 0, 1], [0, -1.5, 0, 2], [0, 0, 4.0, -1], [0, 0, 0, 1]]), (12, 16, 5))
BOTH = ["t1", "flair"]


def save(path, voxels, affine):
    nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return path


def make(folder, *, truth="flair", flair=THICK):
    """A case of a fine T1 and a thick FLAIR of one place, with a label map on the grid of one of them."""
    rng, grids = np.random.default_rng(5), {"t1": FINE, "flair": flair}
    images = {
        name: save(folder / f"{name}.nii.gz", rng.integers(0, 900, shape).astype(np.int16), affine)
        for name, (affine, shape) in grids.items()
    }
    affine, shape = grids[truth]
    mask = save(folder / "seg.nii.gz", (rng.random(shape) > 0.7).astype(np.uint8), affine)
    return Case("p1", "p1", images, mask)


def faults_of(case, channels=BOTH, reference=None):
    """What reading refuses, which is what checking finds."""
    with pytest.raises(DataError) as caught:
        read_volume(case, channels, LABELS, reference=reference)
    found = examine(case, channels, LABELS, NIFTI, reference).faults
    assert caught.value.faults[0] in found
    return found


def test_channels_are_brought_to_the_grid_of_the_reference_wherever_it_stands_among_them(tmp_path):
    case = make(tmp_path)
    volume = read_volume(case, BOTH, LABELS, reference="flair")
    flair = nibabel.as_closest_canonical(nibabel.load(case.images["flair"]))
    np.testing.assert_array_equal(volume.image[1], flair.get_fdata())
    np.testing.assert_array_equal(volume.label, nibabel.as_closest_canonical(nibabel.load(case.mask)).dataobj)
    np.testing.assert_allclose(volume.geometry.affine, THICK[0])
    plain = nibabel.Nifti1Image(nibabel.load(case.images["t1"]).get_fdata(), FINE[0])
    t1 = resample_from_to(plain, flair, order=1)
    inside = (
        resample_from_to(nibabel.Nifti1Image(np.ones(FINE[1]), FINE[0]), flair, order=1, cval=0).get_fdata()
        == 1
    )
    assert 0.5 < inside.mean() < 1
    np.testing.assert_allclose(volume.image[0][inside], t1.get_fdata()[inside], atol=1e-2)


def test_the_public_transform_does_the_same(tmp_path):
    case = make(tmp_path)
    rows = {"image": {name: str(path) for name, path in case.images.items()}, "label": str(case.mask)}
    made = LoadCased(channels=BOTH, reference="flair")(rows)
    volume = read_volume(case, BOTH, LABELS, reference="flair")
    np.testing.assert_array_equal(volume.geometry.to_ras(made["image"][0].numpy()), volume.image[0])
    np.testing.assert_allclose(made["image"].affine, THICK[0])
    assert "resampled onto the grid of the channel flair" in made["image"].meta["notes"]
    with pytest.raises(ValueError, match="reference is 'pet', expected one of t1, flair"):
        LoadCased(channels=BOTH, reference="pet")


def test_what_lies_on_one_grid_is_not_touched(tmp_path):
    case = make(
        tmp_path,
        flair=(FINE[0] @ np.diag([1, 1, -1, 1]) + [[0] * 4, [0] * 4, [0, 0, 0, 17], [0] * 4], FINE[1]),
    )
    plain, asked = (read_volume(case, BOTH, LABELS, reference=each) for each in (None, "t1"))
    np.testing.assert_array_equal(plain.image, asked.image)
    facts = [examine(case, BOTH, LABELS, NIFTI, each) for each in (None, "t1")]
    assert facts[0] == facts[1]
    assert facts[0].faults == ()


def test_without_the_setting_another_grid_is_refused_and_the_setting_is_offered(tmp_path):
    channel, mask = faults_of(make(tmp_path))
    assert channel.part == "flair"
    assert "it lies on another grid: 12 x 16 x 5 voxels" in channel.found
    assert "set slices.align=reference in the definition" in channel.remedy.lower()
    assert mask.part == "mask"
    assert "'slices.align={reference: flair}'" in mask.remedy


def test_a_label_map_is_never_resampled_and_the_channel_on_whose_grid_it_lies_is_named(tmp_path):
    (fault,) = faults_of(make(tmp_path), reference="t1")
    assert (fault.part, "'slices.align={reference: flair}'" in fault.remedy) == ("mask", True)
    case = make(tmp_path)
    save(case.mask, np.ones((3, 3, 3), np.uint8), FINE[0])
    (fault,) = faults_of(case, reference="t1")
    assert fault.remedy.startswith("Label maps are never resampled")


def test_how_much_of_the_reference_is_covered_is_noted_and_too_little_refused(tmp_path):
    case = make(tmp_path, truth="t1")
    assert examine(case, BOTH, LABELS, NIFTI, "t1").notes == (
        "resampled onto the grid of the channel t1, of which it covers 80 to 90 %",
    )
    beside = THICK[0].copy()
    beside[2, 3] = 16
    (fault,) = faults_of(make(tmp_path, truth="t1", flair=(beside, THICK[1])), reference="t1")
    assert (fault.part, "it covers" in fault.found) == ("flair", True)
    assert f"at least {FEWEST:.0%} is needed" in fault.found


def test_two_frames_of_reference_say_nothing_of_each_other(tmp_path):
    class Framed(type(NIFTI)):
        def read(self, path, channels):
            return [
                replace(each, geometry=replace(each.geometry, frame=path.name if framed else ""))
                for each in super().read(path, channels)
            ]

    case = make(tmp_path, truth="t1")
    for framed in (False, True):
        faults = examine(case, BOTH, LABELS, Framed(), "t1").faults
        assert [each.part for each in faults] == ["flair"] * framed
        assert all("another frame of reference" in each.found for each in faults)
        assert all("flair.nii" not in each.text() for each in faults)


def test_what_is_known_of_a_case_tells_where_its_channels_lie(tmp_path):
    before = examine(make(tmp_path, truth="t1"), BOTH, LABELS, NIFTI, "t1")
    moved = THICK[0].copy()
    moved[0, 3] += 0.5
    after = examine(make(tmp_path, truth="t1", flair=(moved, THICK[1])), BOTH, LABELS, NIFTI, "t1")
    assert before.channels["flair"].digest == after.channels["flair"].digest
    assert before.digest() != after.digest()
    assert before.shape == Geometry(FINE[1], FINE[0]).shape
