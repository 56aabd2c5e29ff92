"""A training with a second stream of slices without a label."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning.tasks.image_classes import ImageTags
from medseg.steps.feeding import unlabelled_stream

NOISE = {"_target_": "monai.transforms.RandGaussianNoised", "keys": ["image"], "prob": 1.0}
FIT = {
    "_target_": "medseg.steps.Fit",
    "epochs": 3,
    "optimiser": {"_target_": "torch.optim.Adam", "lr": 1.0e-3},
    "pictures_every": 0,
    "unlabelled": {"_target_": "medseg.learning.MixMatch", "weight": 5.0, "ramp": 2},
}


def make_step(**given):
    return build(FIT | given, at="steps.fit", kind=None)


def number_of(case):
    return int(next(iter(case.images.values())).stem)


@pytest.fixture(scope="session")
def shared(make_feature_work):
    def role(case):
        number = number_of(case)
        return "train" if number <= 3 else "val" if number <= 5 else "unlabelled"

    return make_feature_work(role)


@pytest.fixture
def work(shared):
    """With a network of its own, as often as one asks."""
    predictor = shared.predictor
    return lambda: replace(shared, predictor=replace(predictor, network=deepcopy(predictor.network)))


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    def blank(_, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    monkeypatch.setattr("medseg.steps.training.concluding.save_figure", blank)
    monkeypatch.setattr("medseg.steps.training.concluding.learning_curves", lambda *_, **__: None)


def start(step, work, run):
    step.check(work.predictor)
    run.place.mkdir(parents=True, exist_ok=True)
    return step(work, run).predictor.network.state_dict()


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


class Cut(KeyboardInterrupt):
    pass


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_to_the_same_weights_and_learns_from_the_unlabelled(
    work, make_run, heard, monkeypatch
):
    assert "unlabelled" in make_step().roles
    whole = start(make_step(), work(), make_run(folder="whole", augment=[NOISE]))
    cut, plain = make_run(folder="cut", augment=[NOISE]), heard.metrics

    def interrupted(values, number):
        plain(values, number)
        if "epoch/train/loss" in values and number == 2:
            raise Cut

    monkeypatch.setattr(heard, "metrics", interrupted)
    with pytest.raises(Cut):
        start(make_step(), work(), cut)
    monkeypatch.setattr(heard, "metrics", plain)
    assert equal(start(make_step(), work(), cut), whole)
    alone = start(make_step(unlabelled=None), work(), make_run(folder="alone", augment=[NOISE]))
    assert not equal(alone, whole)


def test_views_are_two_augmentations_of_the_same_slices_and_each_is_seen_before_one_is_again(work, make_run):
    given = work()
    stored = torch.stack(
        [torch.from_numpy(given.store.image(each)) for each in given.store.role("unlabelled")]
    )
    stream = unlabelled_stream(given, make_run(batch_size=4, augment=[NOISE]), labelled=6)
    seen, batches = [], []
    for epoch in (3, 4, 5):  # the second time that all 18 come
        for one, other in stream(epoch):
            assert not torch.equal(one, other)
            places = [int(((stored - image) ** 2).flatten(1).sum(dim=1).argmin()) for image in one]
            assert places == [int(((stored - image) ** 2).flatten(1).sum(dim=1).argmin()) for image in other]
            seen += places
            batches.append(len(one))
    assert batches == [4, 2] * 3
    assert sorted(seen) == list(range(18))
    assert all(torch.equal(one, again) for (one, _), (again, _) in zip(stream(2), stream(2), strict=True))


def test_few_slices_without_a_label_come_again_augmented_in_another_way(work, make_run):
    given = work()
    kept = given.store.role("unlabelled")[:3]
    samples = tuple(each for each in given.store.samples if each.role != "unlabelled" or each in kept)
    given = replace(given, store=replace(given.store, samples=samples))
    batches = list(unlabelled_stream(given, make_run(batch_size=4, augment=[NOISE]), labelled=8)(1))
    assert [len(one) for one, _ in batches] == [3, 3, 3]
    assert not torch.equal(batches[0][0].sort(dim=0).values, batches[1][0].sort(dim=0).values)


def test_a_task_or_setting_that_it_is_not_for_is_refused(work):
    predictor = work().predictor
    with pytest.raises(DefinitionError, match="the task is ImageTags"):
        make_step().check(replace(predictor, task=ImageTags(predictor.task.classes)))
    with pytest.raises(DefinitionError, match="unlabelled is 3, expected"):
        make_step(unlabelled=3)
