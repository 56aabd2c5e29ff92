from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medseg.datasets.manifest.label_map import Derive, LabelRule
from medseg.errors import DataError
from medseg.geometry.background import background_values, is_background

BRATS = LabelRule(
    ("outside", "healthy", "necrotic_core", "oedema", "enhancing"),
    {1: "necrotic_core", 2: "oedema", 4: "enhancing"},
    Derive(0, "outside", "healthy"),
)
PLAIN = LabelRule(("background", "anterior", "posterior"), {0: "background", 1: "anterior", 2: "posterior"})

MAPS = hnp.arrays(np.uint8, (4, 5, 3), elements=st.sampled_from([0, 1, 2, 4]))


def image(seed: int, background: float = 0.0) -> np.ndarray:
    """(2, 4, 5, 3): background on all faces, other values within."""
    data = np.full((2, 4, 5, 3), background)
    data[:, 1:-1, 1:-1, 1:-1] = background + 1 + np.random.default_rng(seed).random((2, 2, 3, 1))
    return data


@given(stored=MAPS, seed=st.integers(0, 99), background=st.sampled_from([0.0, -3.5, 17.0]))
def test_a_stored_label_wins_and_the_rest_is_told_apart_by_the_images(
    stored: np.ndarray, seed: int, background: float
) -> None:
    encoded = BRATS.encode(stored, image(seed, background))
    for index in np.ndindex(*stored.shape):
        inner = all(0 < i < n - 1 for i, n in zip(index, stored.shape, strict=True))
        expected = {1: 2, 2: 3, 4: 4}.get(int(stored[index]), 1 if inner else 0)
        assert encoded[index] == expected


@given(stored=MAPS, seed=st.integers(0, 9))
def test_decoding_gives_back_what_was_stored(stored: np.ndarray, seed: int) -> None:
    decoded = BRATS.decode(BRATS.encode(stored, image(seed)))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, stored)


@given(stored=hnp.arrays(np.int16, (3, 4, 2), elements=st.integers(0, 2)))
def test_without_a_derived_class_images_do_not_matter(stored: np.ndarray) -> None:
    np.testing.assert_array_equal(PLAIN.encode(stored, np.full((1, 3, 4, 2), np.nan)), stored)
    np.testing.assert_array_equal(PLAIN.encode(stored.astype(np.float32), np.empty((1, 3, 4, 2))), stored)


@given(stored=MAPS)
def test_counts_are_those_of_counting(stored: np.ndarray) -> None:
    assert BRATS.counts(stored) == {v: int((stored == v).sum()) for v in (0, 1, 2, 4) if (stored == v).any()}


@pytest.mark.parametrize(
    ("stored", "complaint"),
    [
        (np.array([[[0, 3, 3]]]), r"3 in 2 places; the manifest declares \[0, 1, 2, 4\]"),
        (np.array([[[0, -1]]]), "-1 in 1 places"),
        (np.array([[[0.0, 1.5]]]), "interpolated: it holds 2 distinct values from 0 to 1.5"),
        (np.array([[[0.0, 0.99999997]]]), "interpolated"),
        (np.array([[[0.0, np.nan]]]), "NaN"),
        (np.array([[[0.0, np.inf]]]), "NaN or infinite"),
        (np.arange(60).reshape(3, 4, 5), "and 48 further values"),
    ],
)
def test_an_unknown_value_is_an_error_and_never_background(stored: np.ndarray, complaint: str) -> None:
    with pytest.raises(DataError, match=complaint):
        BRATS.encode(stored, np.zeros((1, *stored.shape)))


def test_classes_of_a_value_other_than_zero_are_the_foreground() -> None:
    assert BRATS.foreground == (2, 3, 4)
    assert PLAIN.foreground == (1, 2)


def test_classes_that_split_a_value_other_than_0_are_foreground() -> None:
    rule = LabelRule(("background", "rim", "core"), {0: "background"}, Derive(4, "rim", "core"))
    of_zero = LabelRule(("outside", "healthy", "tumour"), {4: "tumour"}, Derive(0, "outside", "healthy"))

    assert rule.foreground == (1, 2)
    assert of_zero.foreground == (2,)


def test_negative_stored_values_are_decoded_as_signed() -> None:
    rule = LabelRule(("a", "b"), {-2: "a", 300: "b"})
    np.testing.assert_array_equal(rule.decode(np.array([0, 1])), [-2, 300])
    assert rule.decode(np.array([0, 1])).dtype == np.int16


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(255, "u1"), (256, "i2"), (-1, "i2"), (32767, "i2"), (32768, "i4"), (100_000, "i4"), (-(2**31), "i4")],
)
def test_the_smallest_type_holds_every_stored_value(value: int, dtype: str) -> None:
    decoded = LabelRule(("a", "b"), {0: "a", value: "b"}).decode(np.array([0, 1]))
    assert decoded.tolist() == [0, value]
    assert decoded.dtype == np.dtype(dtype)


@given(data=hnp.arrays(np.int8, (2, 3, 4, 5), elements=st.integers(-2, 2)))
def test_the_background_is_the_most_frequent_value_of_the_faces(data: np.ndarray) -> None:
    for channel, met in zip(data, background_values(data), strict=True):
        seen: list[int] = []
        for axis in range(3):
            for end in (0, -1):
                seen += np.take(channel, end, axis=axis).ravel().tolist()
        most = max(seen.count(value) for value in set(seen))
        assert met == min(value for value in set(seen) if seen.count(value) == most)


def test_a_slice_has_four_edges_and_no_faces() -> None:
    data = np.zeros((1, 4, 5, 1))
    data[0, 1:-1, 1:-1, 0] = 9  # more inner voxels would win if the whole slice were a face
    data[0, :, 1, 0] = 9
    assert background_values(data).tolist() == [0]


def test_the_order_in_memory_does_not_matter() -> None:
    data = np.random.default_rng(0).integers(0, 3, (2, 5, 6, 7))
    np.testing.assert_array_equal(background_values(data), background_values(np.asfortranarray(data)))


def test_outside_needs_the_background_in_every_channel() -> None:
    data = np.zeros((2, 4, 4, 4))
    data[1] = -3.5
    data[0, 1, 1, 1], data[1, 2, 2, 2] = 5, 1
    outside = is_background(data)
    assert not outside[1, 1, 1]
    assert not outside[2, 2, 2]
    assert outside.sum() == 62


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 5), (1, 4, 1), (2, 1, 1)])
def test_images_that_are_thin_in_all_or_all_but_one_direction_have_a_background(shape):
    image = np.arange(1, 1 + np.prod(shape)).reshape(1, *shape)
    assert background_values(image).tolist() == [1]
    assert is_background(image).sum() == 1
