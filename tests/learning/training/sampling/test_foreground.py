"""Foreground is drawn into each batch: how much, of which classes, and always the same."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.training.batches import Batches, EpochOrder, SliceDataset
from medseg.learning.training.sampling.foreground import Foreground, checked_share, refuse_share
from medseg.testing.cases import slice_store

SHARES = st.floats(0.01, 1.0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Slices 0 to 3 show nothing, 4 the edge, 5 to 7 edge and core."""
    made = slice_store(tmp_path_factory.mktemp("store"), {"a": "train", "b": "train"})
    counts = {"a": [[256, 0, 0]] * 4, "b": [[200, 56, 0]] + [[100, 100, 56]] * 3}
    entries = {name: replace(entry, counts=np.array(counts[name])) for name, entry in made.entries.items()}
    return replace(made, entries=entries)


def foreground(share, *showing):
    return Foreground(
        share, tuple(np.array(each) for each in showing), tuple(f"class {i}" for i in range(len(showing)))
    )


def epoch_of(epoch, length=20, *, most=None, batch=4, share=0.3, seed=1, showing=((0,), (1, 2))):
    drawn = foreground(share, *showing)
    order = EpochOrder(length, seed=seed, shuffle=True, most=most, foreground=drawn, batch_size=batch)
    order.epoch = epoch
    return list(order)


def batches_of(epoch, batch):
    return [[index for _, index in epoch[at : at + batch]] for at in range(0, len(epoch), batch)]


@given(st.integers(4, 40), st.integers(1, 12), SHARES, st.integers(0, 2**40), st.integers(0, 50))
def test_the_share_of_each_batch_shows_foreground_and_an_epoch_is_as_long_as_without(
    length, batch, share, seed, epoch
):
    found = epoch_of(epoch, length, batch=batch, share=share, seed=seed)

    assert len(found) == length
    for each in batches_of(found, batch):
        assert sum(index in {0, 1, 2} for index in each) >= share * len(each) - 1e-6


@given(st.integers(0, 2**40), st.integers(0, 50))
def test_what_is_drawn_depends_on_seed_and_epoch_alone(seed, epoch):
    drawn = foreground(0.5, (0,), (1, 2))
    order = EpochOrder(20, seed=seed, shuffle=True, foreground=drawn, batch_size=4)
    for order.epoch in (1, 2):
        list(order)  # what was drawn before a resume must not matter
    order.epoch = epoch

    assert list(order) == epoch_of(epoch, share=0.5, seed=seed)


def test_epochs_and_seeds_draw_different_slices():
    found = [epoch_of(epoch, seed=seed) for epoch in (1, 2) for seed in (1, 2)]

    assert len({tuple(index for _, index in each) for each in found}) == 4


def test_classes_are_drawn_evenly_however_rare_they_are():
    rare, common = [0], list(range(1, 20))
    drawn = epoch_of(1, length=4000, share=1.0, batch=10, showing=(rare, common))

    of_rare = sum(index == 0 for _, index in drawn)
    assert abs(of_rare - 2000) < 5 * math.sqrt(4000 / 4)  # five deviations of a fair coin
    assert {index for _, index in drawn} == set(range(20))


@settings(max_examples=30)
@given(st.integers(4, 30), st.integers(1, 40), st.integers(2, 7), st.integers(0, 2**40))
def test_the_others_come_in_their_turn_before_one_comes_again(length, most, batch, seed):
    others = []
    for epoch in range(3 * length):
        for each in batches_of(epoch_of(epoch, length, most=most, batch=batch, share=0.5, seed=seed), batch):
            others += each[: len(each) - math.ceil(len(each) / 2)]

    for turn in range(len(others) // length):
        assert sorted(others[turn * length : (turn + 1) * length]) == list(range(length))


def test_what_comes_again_within_an_epoch_is_at_another_place_and_so_augmented_in_another_way():
    found = epoch_of(3, share=1.0)

    assert len(set(found)) == len(found)
    assert max(Counter(index for _, index in found).values()) > 1
    assert {index: epoch for epoch, index in reversed(found)} == dict.fromkeys({i for _, i in found}, 3)


def test_of_a_store_it_knows_which_slices_show_a_class(store):
    found = Foreground.of(0.3, store, store.role("train"), (1, 2))

    assert found.names == ("edge", "core")
    assert [each.tolist() for each in found.showing] == [[4, 5, 6, 7], [5, 6, 7]]
    assert Foreground.of(0.3, store, store.role("train"), (2,)).names == ("core",)
    assert found.note(8) == (
        "Of each batch of 8 slices, 3 are drawn to show foreground, evenly of edge, core (foreground_share)."
    )


def test_a_class_that_nothing_shows_is_left_out_and_without_any_nothing_is_drawn(store):
    assert Foreground.of(0.3, store, store.role("train")[:5], (1, 2)).names == ("edge",)
    assert Foreground.of(0.3, store, store.role("train")[:4], (1, 2)) is None
    assert Foreground.of(0.0, store, store.role("train"), (1, 2)) is None


def test_batches_hold_what_was_drawn(store):
    dataset = SliceDataset(store, store.role("train"), augment=None, seed=1, keep_on=None)
    drawn = Foreground.of(0.5, store, dataset.samples, (1, 2))
    batches = Batches(dataset, batch_size=4, seed=1, shuffle=True, foreground=drawn)
    for batch in batches.at(1):
        assert sum(int(index) >= 4 for index in batch["index"]) >= 2
        assert sum(bool((label > 0).any()) for label in batch["label"]) >= 2


def test_without_a_share_an_order_is_what_it_was():
    plain, other = (
        EpochOrder(9, seed=1, shuffle=True, **given) for given in ({}, {"foreground": None, "batch_size": 4})
    )
    assert list(plain) == list(other)


def test_classes_of_images_have_no_foreground():
    refuse_share(0.3, ClassMasks(("a", "b")))
    refuse_share(0.0, ImageClasses(("a", "b")))
    with pytest.raises(DefinitionError, match=r"foreground_share is 0\.3.*task\.class_weights: frequency"):
        refuse_share(0.3, ImageClasses(("a", "b")))


@pytest.mark.parametrize("wrong", [-0.1, 1.1, "third", True, math.nan])
def test_a_share_lies_between_0_and_1(wrong):
    assert checked_share(1) == 1.0
    with pytest.raises(ValueError, match="foreground_share"):
        checked_share(wrong)
