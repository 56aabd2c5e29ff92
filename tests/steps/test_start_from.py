from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from medseg.component import build
from medseg.errors import DefinitionError, ModelError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.transfer.weights import tensors_digest, weights_digest
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


@pytest.mark.parametrize(("about", "named"), [({"run": "emps-1"}, {"start.run": "emps-1"}), ({}, {})])
def test_the_run_that_a_saved_model_is_of_is_named(make_work, make_run, heard, tmp_path, about, named):
    given = make_work()
    replace(given.predictor, about=about).save(tmp_path / "model")
    start(StartFrom(str(tmp_path / "model")), make_work(), make_run("start"))

    digest = weights_digest(tmp_path / "model")
    assert heard.tagged == {"start.weights": digest, "start.part": "all", **named}


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


@pytest.mark.slow
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
    with pytest.raises(ModelError, match=rf"{name} \(got \(1, 2, 3\), expected"):
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


class Bringing(torch.nn.Sequential):
    """Brings weights for three channels and seven classes, under the name that they are published by."""

    def __init__(self, in_channels=4, out_channels=5):
        super().__init__(torch.nn.Conv2d(in_channels, 6, 3, padding=1), torch.nn.Conv2d(6, out_channels, 1))

    def head(self):
        return self[1]

    def own_weights(self):
        torch.manual_seed(21)
        return {f"published.{key}": value for key, value in Bringing(3, 7).state_dict().items()}

    def renamed(self, weights):
        return {key.removeprefix("published."): value for key, value in weights.items()}


@pytest.fixture
def grey(make_work, monkeypatch):
    """Work of one channel, with a network that brings weights."""
    work = make_work()
    monkeypatch.setattr(Predictor, "inputs", property(lambda _: ("t1",)))
    spec = {"_target_": "torch.nn.Conv2d"}  # never built: nothing is recalled
    network = Bringing(1, 5)
    return replace(work, predictor=replace(work.predictor, network=network, network_spec=spec))


def test_a_network_brings_its_own_weights_which_are_named_by_their_digest(grey, make_run, heard):
    brought = grey.predictor.network.own_weights()
    before = state(grey)
    step = StartFrom("own", part="features")
    step.check(grey.predictor)
    assert equal(state(grey), before)
    after = state(start(step, grey, make_run("start")))
    torch.testing.assert_close(after["0.weight"], brought["published.0.weight"].sum(1, keepdim=True))
    assert torch.equal(after["0.bias"], brought["published.0.bias"])
    assert torch.equal(after["1.weight"], before["1.weight"])
    digest = tensors_digest(grey.predictor.network.renamed(brought))
    assert heard.tagged == {
        "start.weights": "own",
        "start.weights_digest": digest,
        "start.part": "features",
    }
    assert heard.values == {"start.loaded": 2, "start.left": 2}
    line = f"Starting from the network's own weights {digest}: 2 of 4 tensors loaded"
    assert any(text.startswith(line) for text in heard.said)
    assert any(
        "the filters of 0.weight summed over the 3 channels of the file" in text for text in heard.said
    )


def test_the_published_names_of_a_file_are_known_to_the_network(grey, make_run, tmp_path):
    brought = grey.predictor.network.own_weights()
    save_file(brought, tmp_path / "published.safetensors")
    step = StartFrom(str(tmp_path / "published.safetensors"), part="features")
    after = state(start(step, grey, make_run("start")))
    torch.testing.assert_close(after["0.weight"], brought["published.0.weight"].sum(1, keepdim=True))


def test_own_weights_for_other_classes_are_not_taken_whole(grey):
    with pytest.raises(
        ModelError, match=r"1\.weight \(got \(7, 6, 1, 1\), expected \(5, 6, 1, 1\)\).*features or enc"
    ):
        StartFrom("own").check(grey.predictor)


def test_a_network_that_brings_none_is_refused_with_advice(make_work):
    with pytest.raises(ModelError, match=r"UNet brings no weights of its own.*weights: PATH"):
        StartFrom("own").check(make_work().predictor)


@pytest.mark.slow
def test_a_check_fetches_no_weights_of_timm_and_a_run_fetches_them_once(grey, make_run, monkeypatch):
    from medseg.learning.networks import TimmNetwork
    from medseg.learning.networks.timm_names import import_timm

    timm = import_timm()
    torch.manual_seed(5)
    network, plain = TimmNetwork("MobileNetV2", 1, 5, size=[32, 32]), timm.create_model
    published = plain("mobilenetv2_100")
    asked = []

    def counted(name, *, pretrained):
        asked.append(pretrained)
        return published if pretrained else plain(name, pretrained=False)

    monkeypatch.setattr(timm, "create_model", counted)
    work = replace(grey, predictor=replace(grey.predictor, network=network))
    StartFrom("own", "features").check(work.predictor)
    with pytest.raises(
        ModelError, match=r"model\.classifier\.weight \(got \(1000, 1280\), expected \(5, 1280\)\)"
    ):
        StartFrom("own").check(work.predictor)
    assert not any(asked)
    asked.clear()
    start(StartFrom("own", "features"), work, make_run("start"))
    assert asked == [True]
    assert torch.equal(network.model.conv_head.weight, published.conv_head.weight)


def other_classes(folder, names):
    described = json.loads((folder / "model.json").read_text())
    described["task"]["classes"] = names
    (folder / "model.json").write_text(json.dumps(described))


@pytest.fixture
def saved(make_work, tmp_path):
    work = make_work()
    work.predictor.save(tmp_path / "model")
    return tmp_path / "model", list(work.predictor.task.classes)


@pytest.mark.parametrize("file", ["", "weights.safetensors"])
@pytest.mark.parametrize("change", [lambda names: names[::-1], lambda names: [*names[:-1], "x"]])
def test_a_model_of_other_classes_is_refused_with_both_lists(make_work, make_run, saved, file, change):
    folder, classes = saved
    other_classes(folder, change(classes))
    for part in ("encoder", "features"):
        StartFrom(str(folder / file), part).check(make_work().predictor)
    step = StartFrom(str(folder / file))
    for attempt in (lambda: step.check(make_work().predictor), lambda: step(make_work(), make_run("start"))):
        with pytest.raises(DefinitionError) as caught:
            attempt()
        assert str(change(classes)) in str(caught.value)
        assert str(classes) in str(caught.value)
        assert str(folder) not in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"task": 3}', '{"task": {"classes": 3}}'])
def test_a_damaged_description_beside_the_weights_is_refused(make_work, saved, text):
    (saved[0] / "model.json").write_text(text)
    with pytest.raises(ModelError, match=r"model\.json beside the given weights is damaged"):
        StartFrom(str(saved[0])).check(make_work().predictor)


def test_features_of_a_network_without_a_known_head_are_refused(make_work, given):
    predictor = replace(make_work().predictor, network=torch.nn.Conv2d(4, 5, 1))
    with pytest.raises(DefinitionError, match=r"which part of Conv2d are its features"):
        StartFrom(str(given[0]), "features").check(predictor)
