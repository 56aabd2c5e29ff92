from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from medseg.datasets.manifest.label_map import LabelRule
from medseg.errors import DataError
from medseg.images.refusal import RefusedError

PARTICLES = LabelRule(("background", "foreground"), {0: "background"}, instances="foreground")
BOTH = LabelRule(
    ("background", "ignored", "foreground"), {0: "background", 255: "ignored"}, instances="foreground"
)
IMAGE = np.zeros((1, 4, 5, 1), dtype=np.float32)

maps = hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.int32]), (4, 5, 1), elements=st.integers(0, 255))


@given(stored=maps, large=st.integers(0, 65_535))
def test_every_number_above_zero_is_the_class_of_the_instances(stored, large):
    stored = stored.astype(np.int32)
    stored[2, 3] = large
    np.testing.assert_array_equal(PARTICLES.encode(stored, IMAGE), stored > 0)


@given(stored=maps)
def test_a_tally_puts_all_objects_under_one_value_and_counts_keep_them_apart(stored):
    tally, counts = PARTICLES.collapsed(PARTICLES.counts(stored)), PARTICLES.counts(stored)
    assert set(tally) <= {0, 255}
    assert tally.get(255, 0) == (stored > 0).sum()
    assert tally.get(0, 0) == (stored == 0).sum()
    assert counts == {int(v): int((stored == v).sum()) for v in np.unique(stored)}


def test_a_tally_of_thousands_of_objects_is_one_number():
    stored = np.arange(5000, dtype=np.int32).reshape(50, 100, 1)
    assert PARTICLES.collapsed(PARTICLES.counts(stored)) == {0: 1, 255: 4999}


def test_predictions_are_written_as_black_and_white():
    found = PARTICLES.decode(np.array([[0, 1], [1, 0]], dtype=np.uint8))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 255], [255, 0]]


@given(stored=maps)
def test_what_is_written_is_read_as_the_same_classes(stored):
    encoded = PARTICLES.encode(stored, IMAGE)
    np.testing.assert_array_equal(PARTICLES.encode(PARTICLES.decode(encoded), IMAGE), encoded)


def test_a_named_value_is_no_object():
    stored = np.array([0, 1, 254, 255, 7], dtype=np.uint8).reshape(5, 1, 1)
    assert BOTH.encode(stored, IMAGE[:, :1]).ravel().tolist() == [0, 2, 2, 1, 2]
    assert BOTH.collapsed(BOTH.counts(stored)) == {0: 1, 255: 1, 1: 3}
    assert BOTH.decode(np.array([0, 1, 2])).tolist() == [0, 255, 1]
    assert BOTH.foreground == (1, 2)


def test_the_instances_are_the_foreground():
    assert PARTICLES.foreground == (1,)
    assert PARTICLES.instance_value == 255


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        (np.array([0, -1, 3]), "-1 in 1 "),
        (np.array([0.0, 0.5, 1.0]), "interpolated"),
        (np.array([0.0, np.nan]), "NaN"),
    ],
)
def test_numbers_that_number_nothing_are_refused(stored, said):
    with pytest.raises(DataError, match=said):
        PARTICLES.encode(stored.reshape(-1, 1, 1), IMAGE[:, : stored.size, :1])


def test_whole_numbers_that_are_stored_as_reals_number_objects_too():
    stored = np.array([0.0, 3.0, 70_000.0]).reshape(3, 1, 1)
    assert PARTICLES.encode(stored, IMAGE[:, :3, :1]).ravel().tolist() == [0, 1, 1]
    assert PARTICLES.collapsed(PARTICLES.counts(stored)) == {0: 1, 255: 2}


def test_without_a_class_of_instances_a_number_stays_unknown():
    rule = LabelRule(("background", "foreground"), {0: "background", 255: "foreground"})
    with pytest.raises(DataError, match="holds 1 in 1 "):
        rule.collapsed(rule.counts(np.array([0, 1, 255])))


def test_a_negative_number_of_an_object_has_the_remedy_of_objects():
    rule = LabelRule(("background", "foreground"), {0: "background"}, instances="foreground")
    with pytest.raises(RefusedError) as refused:
        rule.counts(np.array([0, -255, 7]))
    assert "numbered from 1" in refused.value.found
    assert refused.value.remedy.startswith("Number the objects from 1")
    assert rule.collapsed({0: 4, -255: 3, 7: 2, 9: 1}) == {0: 4, -255: 3, 255: 3}
