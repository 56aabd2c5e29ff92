"""Label maps are cleaned class by class; oracles are explicit loops over SciPy's components."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from medseg.learning.inference.cleaning import (
    Cleaning,
    as_given,
    cleaned,
    cleanings_of,
    component_volumes,
)

CORNERS = np.ones((3, 3, 3))


@pytest.fixture
def labels():
    """Blobs of three classes."""
    noise = np.random.default_rng(3).normal(size=(24, 20, 9))
    return np.digitize(ndimage.gaussian_filter(noise, 1.2), [0.08, 0.14, 0.2]).astype(np.uint8)


@pytest.mark.parametrize("index", [1, 2, 3])
def test_of_a_class_the_largest_component_alone_is_kept(labels, index) -> None:
    found = Cleaning(index, largest=True)(labels, 1.0, 2)

    parts, count = ndimage.label(labels == index, CORNERS)
    assert count > 1
    most = max(range(1, count + 1), key=lambda part: (parts == part).sum())
    np.testing.assert_array_equal(found == index, parts == most)
    np.testing.assert_array_equal(found[labels != index], labels[labels != index])
    assert set(found[(labels == index) & (parts != most)].tolist()) == {0}


def test_components_of_less_than_the_smallest_volume_are_lost(labels) -> None:
    found = Cleaning(1, least=6.0)(labels, 0.5, 2)

    parts, count = ndimage.label(labels == 1, CORNERS)
    kept = [part for part in range(1, count + 1) if (parts == part).sum() * 0.5 >= 6.0]
    assert 0 < len(kept) < count
    np.testing.assert_array_equal(found == 1, np.isin(parts, kept))


def test_voxels_that_share_a_corner_are_of_one_component() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = labels[3, 3, 3] = 1

    assert Cleaning(1, largest=True)(labels, 1.0, 2).sum() == 2


@pytest.mark.parametrize("along", [0, 1, 2])
def test_background_that_a_class_encloses_in_a_slice_becomes_it_and_other_classes_stay(along) -> None:
    plane = np.zeros((7, 7), np.uint8)
    plane[1:6, 1:6] = 2
    plane[2:5, 2:5] = 0
    plane[3, 3] = 1
    labels = np.stack([plane, np.zeros_like(plane), plane], axis=along)
    expected = np.where(plane == 1, 1, 0) + np.where(ndimage.binary_fill_holes(plane) & (plane != 1), 2, 0)

    found = Cleaning(2, fill=True)(labels, 1.0, along)

    np.testing.assert_array_equal(np.take(found, 0, along), expected)
    assert not np.take(found, 1, along).any()


def test_a_hole_that_is_open_in_the_slice_is_none() -> None:
    labels = np.zeros((5, 5, 3), np.uint8)
    labels[1:4, 1:4] = 1
    labels[2, 2:4] = 0

    np.testing.assert_array_equal(Cleaning(1, fill=True)(labels, 1.0, 2), labels)


def test_nothing_is_changed_in_place_and_a_class_that_is_absent_changes_nothing(labels) -> None:
    before = labels.copy()

    cleaned(labels, [Cleaning(1, largest=True), Cleaning(2, fill=True)], 1.0, 0)

    np.testing.assert_array_equal(labels, before)
    np.testing.assert_array_equal(Cleaning(9, largest=True, fill=True)(labels, 1.0, 0), before)


def test_cleanings_come_one_after_the_other(labels) -> None:
    both = [Cleaning(1, largest=True), Cleaning(2, least=4.0, fill=True)]

    np.testing.assert_array_equal(cleaned(labels, both, 1.0, 1), both[1](both[0](labels, 1.0, 1), 1.0, 1))


def test_components_that_touch_no_truth_are_counted_by_their_volume() -> None:
    labels = np.zeros((9, 3, 1), np.uint8)
    labels[0:2], labels[4], labels[6:9, 0] = 1, 1, 1
    truth = np.zeros_like(labels)
    truth[1, 1] = 1

    assert component_volumes(labels, truth, 1, 2.0) == [6.0, 6.0]


def test_a_description_gives_the_same_cleanings() -> None:
    given = (Cleaning(1, largest=True), Cleaning(2, least=3.5, fill=True))

    assert cleanings_of(as_given(given), 3) == given


@pytest.mark.parametrize(
    "given",
    [
        3,
        [3],
        [{}],
        [{"index": 0}],
        [{"index": 3}],
        [{"index": True}],
        [{"index": 1, "largest": 1}],
        [{"index": 1, "fill": "yes"}],
        [{"index": 1, "least": -1}],
        [{"index": 1, "least": float("nan")}],
        [{"index": 1, "least": float("inf")}],
        [{"index": 1, "least": "3"}],
        [{"index": 1, "most": 2}],
    ],
)
def test_descriptions_of_another_form_are_refused(given) -> None:
    with pytest.raises(ValueError, match="cleaning is"):
        cleanings_of(given, 3)
