from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from medseg.component import build
from medseg.errors import DefinitionError, StoreError, TrainingError
from medseg.machine.ranks.place import Place
from medseg.machine.ranks.ranks import ALONE, Alone, leading
from medseg.progress import Silent
from medseg.recorder import NoRecord
from medseg.steps.training.sharing import Helping, tell_ranks

FIT = {"_target_": "medseg.steps.Fit", "epochs": 2, "optimiser": {"_target_": "torch.optim.Adam", "lr": 0.02}}
MIXING = {"_target_": "medseg.learning.MixMatch"}


class Two(Alone):
    """The first of two, whose other reads `other`."""

    place = Place(0, 2, 0, 2)

    def __init__(self, other=None):
        self.other = other

    def gathered(self, value):
        return [value, self.other or value]


def make_step(**given):
    return build(FIT | given, at="steps.fit", kind=None)


@pytest.fixture
def led_two():
    before = leading.set(Two())
    yield
    leading.reset(before)


def test_what_mixes_the_slices_of_a_batch_is_for_one_process(make_work):
    predictor = make_work().predictor
    assert (
        make_step(unlabelled=MIXING)
        .one_process(predictor)
        .startswith("unlabelled: MixMatch mixes the slices")
    )
    assert not make_step().one_process(predictor)


def test_ranks_refuse_what_is_for_one_process_before_anything_is_prepared(make_feature_work, led_two):
    predictor = make_feature_work().predictor
    make_step().check(predictor)
    with pytest.raises(DefinitionError, match=r"MixMatch mixes .* Start it without torchrun"):
        make_step(unlabelled=MIXING).check(predictor)


def test_what_travels_to_other_ranks_shows_records_and_names_nothing(make_work, make_run):
    work, run = make_work(), make_run()
    sent = pickle.loads(pickle.dumps(Helping(make_step().learn, work, run)))  # noqa: S301
    assert isinstance(sent.run.recorder, NoRecord)
    assert isinstance(sent.run.progress, Silent)
    assert isinstance(sent.run.ranks, Alone)
    assert not sent.work.cases
    assert sent.work.store.samples == work.store.samples
    assert work.cases
    assert run.ranks is ALONE


def test_slices_that_another_machine_does_not_see_are_told_with_what_to_share(make_work, make_run, tmp_path):
    work = make_work()
    away = replace(work, store=replace(work.store, root=tmp_path / "away"))
    with pytest.raises(
        StoreError, match=r"prepared slices are not on .* set MEDSEG_CACHE to a folder that they share"
    ):
        Helping(make_step().learn, away, make_run())(ALONE)


def test_other_slices_are_refused_by_the_rank_that_reads_them(make_work, make_run):
    work, run = make_work(), make_run()
    tell_ranks(work, replace(run, ranks=Two()))
    with pytest.raises(TrainingError, match="rank 1 on elsewhere reads other slices than rank 0"):
        tell_ranks(work, replace(run, ranks=Two(("elsewhere", "0" * 64))))
