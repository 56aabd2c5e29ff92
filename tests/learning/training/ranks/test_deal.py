from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import BatchSampler, SequentialSampler

from medseg.learning.training.ranks.deal import Dealt, Share, Turns, Whole, deal_of
from medseg.machine.ranks.place import Place


def whole(length, size):
    return BatchSampler(SequentialSampler(range(length)), size, drop_last=False)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5))
def test_the_shares_of_a_batch_are_the_batch_and_a_stand_in_does_not_count(length, size, world):
    dealt = [list(Dealt(whole(length, size), Share(rank, world))) for rank in range(world)]
    for turn, batch in enumerate(whole(length, size)):
        own = [each[turn][: Share(rank, world).own(len(batch))] for rank, each in enumerate(dealt)]
        assert sorted(place for each in own for place in each) == batch
        assert all(each[turn] for each in dealt)  # nobody has nothing to compute


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 5))
def test_validation_batches_are_dealt_whole_and_in_turn(length, size, world):
    samplers = [Dealt(whole(length, size), Turns(rank, world)) for rank in range(world)]
    dealt = [list(each) for each in samplers]
    assert [len(each) for each in samplers] == [len(each) for each in dealt]
    batches = list(whole(length, size))
    assert [dealt[turn % world][turn // world] for turn in range(len(batches))] == batches


@pytest.mark.parametrize(("training", "expected"), [(True, Share(1, 3)), (False, Turns(1, 3))])
def test_a_process_by_itself_has_all_of_it(training, expected):
    assert deal_of(Place(), training=training) == Whole()
    assert deal_of(Place(1, 3), training=training) == expected
    assert list(Dealt(whole(5, 2), Whole())) == [[0, 1], [2, 3], [4]]
