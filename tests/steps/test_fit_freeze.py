from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from medseg.component import build
from medseg.errors import DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.steps.fit import Fit

pytestmark = pytest.mark.usefixtures("figureless")

ADAM = {"_target_": "torch.optim.AdamW", "lr": 0.02, "weight_decay": 0.1}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.01, "momentum": 0.9}
ONE = {"all_but_last_blocks": 1}


def make_step(**given):
    spec = {"_target_": "medseg.steps.Fit", "optimiser": ADAM, "epochs": 2, "pictures_every": 0, **given}
    return build(spec, at="steps.fit", kind=Fit)


def start(step, work, run):
    run.place.mkdir(parents=True, exist_ok=True)
    return step(work, run)


@pytest.fixture
def make_frozen_work(make_work):
    """A network of two blocks, with batch normalisation and dropout, and a head."""

    def make():
        work = make_work()
        spec = {**work.predictor.network_spec, "norm": "batch", "dropout": 0.3}
        torch.manual_seed(4)
        network = build(spec, at="network", kind=torch.nn.Module)
        return replace(work, predictor=replace(work.predictor, network=network, network_spec=spec))

    return make


def state(work):
    return {name: value.clone() for name, value in work.predictor.network.state_dict().items()}


def changed(work, before):
    """Which of the network's parts: `model.0` and `model.1` are blocks, `model.2` is the head."""
    after = work.predictor.network.state_dict()
    return {name[:7] for name, value in after.items() if not torch.equal(value, before[name])}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("freeze", "trained"),
    [
        ("features", {"model.2"}),
        (ONE, {"model.1", "model.2"}),
        ({"all_but_last_blocks": 2}, {"model.0", "model.1", "model.2"}),
        (None, {"model.0", "model.1", "model.2"}),
    ],
)
def test_only_what_is_not_frozen_is_trained(make_frozen_work, make_run, heard, freeze, trained):
    work, run = make_frozen_work(), make_run()
    before = state(work)
    sizes = {name: value.numel() for name, value in work.predictor.network.named_parameters()}
    done = start(make_step(freeze=freeze), work, run)
    assert changed(done, before) == trained
    some = trained != {"model.0", "model.1", "model.2"}
    count = sum(size for name, size in sizes.items() if name[:7] in trained)
    said = [text for text in heard.said if text.startswith("Training") and "parameters" in text]
    assert bool(said) == some
    if some:
        assert said[0].startswith(f"Training {count:,} of {sum(sizes.values()):,} parameters; frozen: ")
    assert heard.values.get("fit.trained_parameters") == (count if some else None)
    assert changed(make_step().recall(make_frozen_work(), run), before) == trained


@pytest.mark.slow
def test_afterwards_all_can_be_trained_and_the_network_is_in_evaluation_mode(make_frozen_work, make_run):
    done = start(make_step(freeze="features"), make_frozen_work(), make_run())
    network = done.predictor.network
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert not any(module.training for module in network.modules())
    image = torch.rand(3, 4, 32, 32)
    saved = Predictor.load(make_run().place / "predictor").network
    with torch.no_grad():
        assert torch.equal(network(image), saved(image))


def transfer(work, run, *steps):
    for name, step in steps:
        work = start(step, work, run.at(name))
    return work


@pytest.mark.slow
def test_transfer_learning_is_two_steps(make_frozen_work, make_run, heard):
    """The head alone, then all at another rate by another optimiser, one step after the other."""
    head, whole = make_step(freeze="features", epochs=2), make_step(optimiser=SGD, epochs=1)
    run, work = make_run(), make_frozen_work()
    before = state(work)
    work = transfer(work, run, ("head", head))
    between = state(work)
    work = transfer(work, run, ("all", whole))
    first = Predictor.load(run.at("head").place / "predictor").network.state_dict()
    assert all(torch.equal(value, first[name]) for name, value in between.items())
    assert {name[:7] for name in first if not torch.equal(first[name], before[name])} == {"model.2"}
    assert changed(work, between) == {"model.0", "model.1", "model.2"}
    assert [step for step, values in heard.numbers if "epoch/train/loss" in values] == [1, 2, 3]
    assert work.epochs == 3
    assert "head.trained_parameters" in heard.values
    assert "all.trained_parameters" not in heard.values


@pytest.mark.slow
@pytest.mark.parametrize("stop", [2, 4])
def test_a_transfer_that_is_interrupted_goes_on_and_ends_as_if_it_had_not_been(
    make_frozen_work, make_run, heard, monkeypatch, stop
):
    def steps():
        head = make_step(freeze="features", epochs=3, clip=0.1)
        return ("head", head), ("last", make_step(optimiser=SGD, epochs=2, freeze=ONE, clip=0.1))

    whole = transfer(make_frozen_work(), make_run(folder="whole"), *steps())
    run, plain = make_run(folder="cut"), heard.metrics

    def interrupted(values, step):
        plain(values, step)
        if step == stop:
            raise KeyboardInterrupt

    monkeypatch.setattr(heard, "metrics", interrupted)
    work = make_frozen_work()
    with pytest.raises(KeyboardInterrupt):
        transfer(work, run, *steps())
    assert all(parameter.requires_grad for parameter in work.predictor.network.parameters())
    monkeypatch.setattr(heard, "metrics", plain)
    (_, head), last = steps()
    fresh = make_frozen_work()
    if (run.at("head").place / "predictor").exists():
        resumed = transfer(head.recall(fresh, run.at("head")), run, last)
    else:
        resumed = transfer(fresh, run, *steps())
    assert not changed(resumed, state(whole))


@pytest.mark.slow
def test_statistics_that_stand_still_are_those_of_before_while_the_weights_beside_them_learn(
    make_frozen_work, make_run
):
    for statistics, moved in (("still", False), (None, True)):
        work = make_frozen_work()
        before = state(work)
        step = make_step(epochs=1, **({} if statistics is None else {"statistics": statistics}))
        after = state(start(step, work, make_run(folder=str(statistics))))
        running = [name for name in before if "running_" in name]
        learned = [name.replace("running_mean", "weight") for name in running if name.endswith("_mean")]
        assert len(running) == 2 * len(learned) > 0
        assert [not torch.equal(after[name], before[name]) for name in running] == [moved] * len(running)
        assert not any(torch.equal(after[name], before[name]) for name in learned)


@pytest.mark.slow
def test_training_with_still_statistics_that_is_interrupted_goes_on_to_the_same_bits(
    make_frozen_work, make_run, heard, monkeypatch
):
    def train(run):
        return start(make_step(statistics="still", clip=0.1), make_frozen_work(), run)

    whole, plain = train(make_run(folder="whole")), heard.metrics

    def interrupted(values, step):
        plain(values, step)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(heard, "metrics", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(make_run(folder="cut"))
    heard.numbers.clear()
    resumed = train(make_run(folder="cut"))
    assert [step for step, values in heard.numbers if "epoch/train/loss" in values][-1] == 2
    assert not changed(resumed, state(whole))


@pytest.mark.parametrize(
    "freeze", ["encoder", 2, True, {"all_but_last_blocks": 0}, {"all_but_last_blocks": "1"}, {"last": 1}]
)
def test_freezing_in_any_other_way_is_refused_by_name(freeze):
    with pytest.raises(DefinitionError, match=r"freeze is .* expected `features`"):
        make_step(freeze=freeze)


def test_more_blocks_than_there_are_are_refused_before_anything_runs(make_frozen_work):
    step = make_step(freeze={"all_but_last_blocks": 3})
    with pytest.raises(DefinitionError, match=r"is 3; UNet has 2 blocks .*: model\.0, model\.1\.submodule\."):
        step.check(make_frozen_work().predictor)


def test_a_network_without_a_known_head_is_refused_before_anything_runs(make_work):
    predictor = replace(make_work().predictor, network=torch.nn.Conv2d(4, 5, 1))
    make_step().check(predictor)
    with pytest.raises(
        DefinitionError, match=r"freeze: it is not known which part of Conv2d .*method `head\(\)`"
    ):
        make_step(freeze="features").check(predictor)


def test_checking_leaves_the_network_as_it_is(make_frozen_work):
    work = make_frozen_work()
    before = state(work)
    modes = [module.training for module in work.predictor.network.modules()]
    make_step(freeze="features").check(work.predictor)
    assert not changed(work, before)
    assert [module.training for module in work.predictor.network.modules()] == modes
    assert all(parameter.requires_grad for parameter in work.predictor.network.parameters())


def test_a_head_that_cannot_be_trained_is_refused(make_frozen_work):
    predictor = make_frozen_work().predictor
    for name, parameter in predictor.network.named_parameters():
        parameter.requires_grad_(not name.startswith("model.2"))
    make_step().check(predictor)
    with pytest.raises(DefinitionError, match="no parameter that can be trained"):
        make_step(freeze="features").check(predictor)


@pytest.mark.slow
def test_a_frozen_part_takes_no_memory_for_the_way_back(make_frozen_work, make_run, heard):
    needs = []
    for folder, freeze in (("whole", None), ("head", "features")):
        start(make_step(freeze=freeze, epochs=1), make_frozen_work(), make_run(folder=folder))
        needs.append(int(heard.tagged["fit.memory.batch_bytes"]))
    assert needs[1] < needs[0]
