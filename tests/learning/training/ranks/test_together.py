"""Trainings of two ranks against those of one process: the same batches, so the same training."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from medseg.machine.ranks.ranks import ALONE
from medseg.testing.cases import slice_store
from medseg.testing.ranks import ended, ranks

HERE = Path(__file__).with_name("trainings.py")
ROUNDED = 2e-6  # sums of other order; of weights that are 0.2 or so

pytestmark = pytest.mark.slow


def _asked():
    spec = importlib.util.spec_from_file_location("asked_of_ranks", HERE)
    module = importlib.util.module_from_spec(spec)
    sys.modules["asked_of_ranks"] = module  # what is sent to ranks is found there
    spec.loader.exec_module(module)
    return module


asked = _asked()
KILLED = "dropout, of the task"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    # ten slices to learn from in batches of three: the last batch has one, and nothing for the second rank
    roles = {"a": "train", "b": "train", "c": "val", "d": "val"}
    return slice_store(tmp_path_factory.mktemp("store"), roles, slices=5)


@pytest.fixture(scope="module")
def of_two(store, tmp_path_factory):
    """Train everything in one pair of ranks, each training twice in folders of its own."""
    folder = tmp_path_factory.mktemp("two")
    trainings = [
        asked.Train(words, store, folder / f"{words} {turn}") for words in asked.WORDS for turn in range(2)
    ]
    with ranks(2, HERE, "train_each", trainings, folder / "all.pt") as started:
        assert ended(started) == [0, 0]
    found = torch.load(folder / "all.pt", weights_only=False)
    return {words: found[2 * place : 2 * place + 2] for place, words in enumerate(asked.WORDS)}


@pytest.fixture(scope="module")
def of_one(store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    return {words: asked.Train(words, store, folder / words)(ALONE) for words in asked.WORDS}


def timeless(history):
    return [{k: v for k, v in row.items() if k not in ("slices_per_second", "seconds")} for row in history]


def assert_same(one, other):
    assert one[0].keys() == other[0].keys()
    for name, value in one[0].items():
        assert torch.equal(value, other[0][name]), name
    assert timeless(one[1]) == timeless(other[1])


@pytest.mark.parametrize("words", [each for each in asked.WORDS if not each.startswith("dropout")])
def test_two_ranks_train_as_one_process_does_but_for_the_order_of_sums(of_one, of_two, words):
    (weights, history), (expected, rows) = of_two[words][0], of_one[words]
    for name, value in expected.items():
        assert torch.allclose(weights[name].double(), value.double(), rtol=1e-5, atol=ROUNDED), name
    for row, other in zip(timeless(history), timeless(rows), strict=True):
        assert row == pytest.approx(other, abs=1e-5)


@pytest.mark.parametrize("words", asked.WORDS)
def test_two_trainings_of_two_ranks_are_the_same_bits(of_two, words):
    assert_same(*of_two[words])


def test_ranks_drop_out_each_in_its_own_way(of_one, of_two):
    weights, expected = of_two[KILLED][0][0], of_one[KILLED][0]
    assert not torch.allclose(weights["0.weight"], expected["0.weight"], atol=1e-4)


def test_a_training_whose_rank_was_killed_goes_on_to_the_same_bits(store, of_two, tmp_path):
    killed = asked.Train(KILLED, store, tmp_path / "run", kill_in=(3, 1))
    with ranks(2, HERE, "train_each", [killed], tmp_path / "never.pt") as started:
        first, second = ended(started)
    assert (first, second) == (2, -9)
    again = asked.Train(KILLED, store, tmp_path / "run")
    with ranks(2, HERE, "train_each", [again], tmp_path / "all.pt") as started:
        assert ended(started) == [0, 0]
    (resumed,) = torch.load(tmp_path / "all.pt", weights_only=False)
    assert_same(resumed, of_two[KILLED][0])
