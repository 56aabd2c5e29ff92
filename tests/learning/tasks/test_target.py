"""What a network learns from."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import StoreError
from medseg.learning.tasks.target import MANY_LABELS, MASKS, ONE_LABEL, indicator
from medseg.slices.store.store import Sample, SliceStore

NAMES = ("10_x", "2_y", "A", "b", "é")


def sample(labels, role="train", number=0):
    return Sample(f"case{number}", f"case{number}", 0, role, "entry", 0, labels)


def store(samples, tmp_path):
    return SliceStore(tmp_path, "print", tuple(samples), {}, NAMES, ("picture",))


@given(st.sets(st.sampled_from(NAMES)))
def test_an_indicator_is_one_at_each_label(labels):
    found = indicator(tuple(labels), NAMES)

    assert {name for name, there in zip(NAMES, found, strict=True) if there} == labels
    assert found.dtype == np.uint8


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(StoreError, match=r"\['c'\] are none of the classes"):
        indicator(("A", "c"), NAMES)


def test_classes_are_counted_by_role(tmp_path):
    found = store([sample(("A",)), sample(("A",)), sample(("é",)), sample(("b",), "val")], tmp_path)

    assert ONE_LABEL.counts(found, "train").tolist() == [0, 0, 2, 0, 1]
    assert ONE_LABEL.counts(found, "val").tolist() == [0, 0, 0, 1, 0]


def test_several_labels_count_for_each(tmp_path):
    found = store([sample(("A", "b")), sample(()), sample(("b",))], tmp_path)

    assert MANY_LABELS.counts(found, "train").tolist() == [0, 0, 1, 2, 0]


def test_a_case_without_truth_counts_nothing_and_cannot_be_read(tmp_path):
    found = store([sample(None)], tmp_path)

    assert not ONE_LABEL.counts(found, "train").any()
    with pytest.raises(StoreError, match="has no class"):
        ONE_LABEL.read(found, found.samples[0])


@pytest.mark.parametrize("target", [MASKS, ONE_LABEL, MANY_LABELS])
def test_a_blank_label_is_of_the_first_class(target):
    blank = target.blank(3, (4, 5))

    assert blank.dtype == np.uint8
    assert blank.shape == ((1, 4, 5) if target is MASKS else (3,))
    assert target.output(3, (4, 5)) == ((3, 4, 5) if target is MASKS else (3,))
    assert ("label" in target.keys) == (target is MASKS)
