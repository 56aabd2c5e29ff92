from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.datasets.case import Case
from medseg.datasets.reading.volume import read_volume
from medseg.geometry.axes import AXES

NAMES = list(AXES)
SHAPES = st.tuples(*[st.integers(1, 5)] * 3)


@given(name=st.sampled_from(NAMES), shape=SHAPES, lead=st.lists(st.integers(1, 3), max_size=2))
def test_stacking_what_was_cut_gives_the_volume_back(name, shape, lead):
    volume = np.random.default_rng(0).random((*lead, *shape))
    slices = AXES[name].cut(volume)
    assert slices.shape[1:-2] == tuple(lead)
    np.testing.assert_array_equal(AXES[name].stack(slices), volume)


@given(name=st.sampled_from(NAMES), shape=SHAPES)
def test_the_size_of_a_volume_is_the_one_that_cuts_to_the_size_of_its_slices(name, shape):
    depth, height, width = AXES[name].cut(np.zeros(shape)).shape
    assert AXES[name].volume_size((height, width), depth) == shape
    assert AXES[name].seen(shape) == (depth, height, width)


# Voxels towards the patient's right, anterior and superior, in the further part of each axis.
RIGHT, ANTERIOR, SUPERIOR = 16, 20, 7
SHAPE = (20, 24, 10)


def _stored(folder: Path, codes: str) -> Case:
    """A file in which an L-shaped mark is stored in the given directions of axes."""
    ras = np.zeros(SHAPE, dtype=np.int16)
    ras[RIGHT, ANTERIOR, SUPERIOR] = 100
    ras[RIGHT, ANTERIOR - 2, SUPERIOR] = 50  # the long leg runs to posterior
    ras[RIGHT - 1, ANTERIOR, SUPERIOR] = 20  # the short one to the left
    image = nibabel.Nifti1Image(ras, np.diag([1.0, 2.0, 3.0, 1.0]))
    turn = nibabel.orientations.ornt_transform(
        nibabel.orientations.axcodes2ornt("RAS"), nibabel.orientations.axcodes2ornt(codes)
    )
    path = folder / f"{codes}.nii.gz"
    nibabel.save(image.as_reoriented(turn), path)
    return Case("a", "a", {"t1": path})


@pytest.mark.parametrize("codes", ["RAS", "LPS", "LAS", "PIR", "SAL"])
def test_a_mark_lands_where_radiologists_look_for_it_however_it_is_stored(tmp_path, codes):
    image = read_volume(_stored(tmp_path, codes), ["t1"], None).image[0]
    i, j, k = SHAPE
    axial = AXES["axial"].cut(image)[SUPERIOR]
    row, column = j - 1 - ANTERIOR, i - 1 - RIGHT  # anterior is up, the patient's right is on the left
    assert row < j / 2
    assert column < i / 2
    assert (axial[row, column], axial[row + 2, column], axial[row, column + 1]) == (100, 50, 20)
    coronal = AXES["coronal"].cut(image)[ANTERIOR]
    assert (coronal[k - 1 - SUPERIOR, column], coronal[k - 1 - SUPERIOR, column + 1]) == (100, 20)
    sagittal = AXES["sagittal"].cut(image)[RIGHT]
    assert (sagittal[k - 1 - SUPERIOR, row], sagittal[k - 1 - SUPERIOR, row + 2]) == (100, 50)
