from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from medseg.component import build
from medseg.errors import ModelError
from medseg.learning.predictor import Predictor
from medseg.learning.weights import weights_digest
from medseg.steps.fit import Fit
from medseg.steps.start_from import StartFrom


def state(work):
    return {name: value.clone() for name, value in work.predictor.network.state_dict().items()}


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def other_weights(work, seed=9):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.rand(value.shape, generator=generator) for name, value in state(work).items()}


@pytest.fixture
def given(make_work, tmp_path):
    weights = other_weights(make_work())
    save_file(weights, tmp_path / "given.safetensors")
    return tmp_path / "given.safetensors", weights


def start(step, work, run):
    run.place.mkdir(parents=True)
    return step(work, run)


def test_the_network_starts_from_the_file_and_the_file_is_named_by_its_digest(
    make_work, make_run, heard, given
):
    file, weights = given
    run = make_run("start")
    work = start(StartFrom(str(file)), make_work(), run)
    assert equal(state(work), weights)
    assert heard.tagged == {"start.weights": weights_digest(file), "start.part": "all"}
    assert heard.values == {"start.loaded": len(weights), "start.left": 0}
    assert any(f"{len(weights)} of {len(weights)} tensors loaded" in text for text in heard.said)
    everything = repr((heard.tagged, heard.values, heard.said, heard.numbers, heard.artifacts))
    assert str(file.parent) not in everything
    assert "given" not in everything.replace("given weights", "")


def test_recalling_needs_no_file(make_work, make_run, given):
    file, weights = given
    run, step = make_run("start"), StartFrom(str(file))
    start(step, make_work(), run)
    file.unlink()
    fresh = make_work()
    assert equal(state(step.recall(fresh, run)), weights)


def test_only_the_way_down_is_taken_where_asked(make_work, make_run, heard, given):
    file, weights = given
    work = make_work()
    before = state(work)
    after = state(start(StartFrom(str(file), part="encoder"), work, make_run("start")))
    down = {name for name in after if name.startswith(("model.0.", "model.1."))}
    assert down
    assert down < after.keys()
    for name, value in after.items():
        assert torch.equal(value, (weights if name in down else before)[name]), name
    assert heard.values == {"start.loaded": len(down), "start.left": len(after) - len(down)}


def test_training_goes_on_from_there(make_work, make_run, given):
    """With a rate of nothing, what training leaves is what it started from."""
    file, weights = given
    run = make_run("start")
    work = start(StartFrom(str(file)), make_work(), run)
    still = {"_target_": "torch.optim.SGD", "lr": 0.0}
    spec = {"_target_": "medseg.steps.Fit", "optimiser": still, "epochs": 1, "pictures_every": 0}
    work = start(build(spec, at="steps.fit", kind=Fit), work, run.at("fit"))
    parameters = dict(work.predictor.network.named_parameters())
    assert equal({name: value.detach() for name, value in parameters.items()}, weights)


def test_a_saved_model_of_this_program_can_be_started_from(make_work, make_run, tmp_path):
    work = make_work()
    replace(work.predictor).save(tmp_path / "model")
    fresh = make_work()
    with torch.no_grad():
        for parameter in fresh.predictor.network.parameters():
            parameter.zero_()
    started = start(StartFrom(str(tmp_path / "model")), fresh, make_run("start"))
    assert equal(state(started), state(work))
    assert equal(Predictor.load(make_run("start").place / "predictor").network.state_dict(), state(work))


def test_a_relative_path_counts_from_the_working_folder(make_work, make_run, given, monkeypatch):
    file, weights = given
    monkeypatch.chdir(file.parent)
    assert equal(state(start(StartFrom(file.name), make_work(), make_run("start"))), weights)


def test_checking_leaves_the_network_as_it_is(make_work, given):
    work = make_work()
    before = state(work)
    for part in ("all", "encoder"):
        StartFrom(str(given[0]), part).check(work.predictor)
    assert equal(state(work), before)


def test_a_file_that_does_not_fit_is_refused_before_anything_runs(make_work, given):
    file, weights = given
    name = next(iter(weights))
    save_file(weights | {name: torch.zeros(1, 2, 3)}, file)
    with pytest.raises(ModelError, match=rf"{name} \(met \(1, 2, 3\), wanted"):
        StartFrom(str(file)).check(make_work().predictor)


def test_a_file_that_is_not_there_is_refused_before_anything_runs(make_work, tmp_path):
    with pytest.raises(ModelError, match="no file") as caught:
        StartFrom(str(tmp_path / "gone.pt")).check(make_work().predictor)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"weights": ""}, "weights"),
        ({"weights": 3}, "weights"),
        ({"weights": "a.pt", "part": "half"}, "part"),
    ],
)
def test_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ValueError, match=named):
        StartFrom(**wrong)


def test_it_needs_no_patients():
    assert StartFrom("a.pt").roles == ()
