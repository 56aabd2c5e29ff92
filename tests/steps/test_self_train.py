from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from medseg.component import Allowed, build
from medseg.errors import DataError, DefinitionError, ModelError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.selftraining.rounds import KEPT
from medseg.learning.selftraining.rules import ThresholdSchedule
from medseg.learning.tasks.temperature import best_temperature
from medseg.learning.training import fit as training
from medseg.learning.training.loading import Loading
from medseg.steps.features.embed import Embed
from medseg.steps.features.probe import Probe
from medseg.steps.fit import Fit
from medseg.steps.rounds.asked import by_network, predictions
from medseg.steps.rounds.kept import is_sound, keep_made
from medseg.steps.self_train import SelfTrain
from medseg.steps.step import Run, Work

SIDES = ("left", "right")
RULE = {"_target_": "medseg.learning.ThresholdSchedule", "first": 0.51, "last": 0.52, "rounds": 2}
FIT = {
    "_target_": "medseg.steps.Fit",
    "epochs": 2,
    "optimiser": {"_target_": "torch.optim.Adam", "lr": 1.0e-2},
    "pictures_every": 0,
}
PROBE = {"_target_": "medseg.steps.Probe", "strengths": [0.01], "folds": 3}
NOISE = {"_target_": "monai.transforms.RandGaussianNoised", "keys": ["image"], "prob": 1.0}


def make_step(**given):
    spec = {"_target_": "medseg.steps.SelfTrain", "rule": RULE, "learn": FIT, **given}
    return build(spec, at="steps.self_train", kind=None)


def start(step, work, run):
    step.check(work.predictor)
    run.place.mkdir(parents=True, exist_ok=True)
    return step(work, run)


def weights(work):
    return {name: each.clone() for name, each in work.predictor.network.state_dict().items()}


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


def rounds_of(run):
    return json.loads((run.place / "rounds.json").read_text())


def predicted(run, number):
    return pd.read_parquet(run.place / f"round_{number:02d}" / "predicted.parquet")


def run_at(folder, heard, step="self_train"):
    loading, cpu = Loading(batch_size=8, workers=0), torch.device("cpu")
    return Run(folder, step, 5, cpu, loading, heard, heard, Allowed())


def own(work):
    """The work with a network of its own."""
    predictor = work.predictor
    return replace(work, predictor=replace(predictor, network=deepcopy(predictor.network)))


def files(run):
    kept = (path for path in sorted(run.place.rglob("*")) if path.is_file())
    return {
        path.relative_to(run.place).as_posix(): path.read_bytes()
        for path in kept
        if path.suffix in {".csv", ".parquet", ".safetensors"} or path.name == "rounds.json"
    }


def of_few(case):
    """Of 14 pictures of each class, by their number: 5 to train, 3 to validate, 1 to test, 5 without a label."""
    number = int(next(iter(case.images.values())).stem)
    return "train" if number <= 5 else "val" if number <= 8 else "test" if number <= 9 else "unlabelled"


@pytest.fixture(scope="session")
def started(make_feature_work, tmp_path_factory, listener):
    """Features of few cases, and a network that tells the classes, but for a leaning to the left."""
    run = run_at(tmp_path_factory.mktemp("started"), listener(), "embed")
    work = Embed()(make_feature_work(of_few), run)
    work = Probe(3, [0.01])(work, run.at("probe"))
    margins = predictions(work, run, by_network(work), ThresholdSchedule(0.1, 0.1, 1), 1)["probability_left"]
    odds = np.log(margins / (1 - margins))
    with torch.no_grad():
        layer = work.predictor.network.get_submodule("classifier")
        layer.bias += torch.tensor([0.5, -0.5]) * -float(odds.quantile(0.3))
    return work


@pytest.fixture
def few(started):
    """The same with a network of its own, as often as one asks."""
    return lambda: own(started)


@pytest.fixture
def one_round(few, make_run):
    return few(), make_run("self_train")


@contextmanager
def watched():
    """The work that each round learns from."""
    seen, plain = [], Fit.__call__

    def call(step, work, run):
        seen.append(work)
        return plain(step, work, run)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Fit, "__call__", call)
        yield seen


@pytest.fixture
def taught():
    with watched() as seen:
        yield seen


@pytest.fixture(autouse=True)
def undrawn(monkeypatch):
    """Pictures are drawn by the run that is made once, before this, alone."""

    def blank(_, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    for place in ("training.concluding", "features.probe", "rounds.concluding"):
        monkeypatch.setattr(f"medseg.steps.{place}.save_figure", blank)
    monkeypatch.setattr("medseg.steps.training.concluding.learning_curves", lambda *_, **__: None)


WHOLE = {"patience": 9, "weight": 0.7, "key": "scanner"}


def with_key(work, *, turned=False):
    """The work, whose cases hold in a column what they show, or the other class."""
    cases = {}
    for case in work.cases.values():
        name = next(iter(case.images.values())).parent.name
        told = SIDES[1 - SIDES.index(name)] if turned else name
        cases[case.id] = replace(case, extra={"scanner": told})
    return replace(work, cases=cases)


@dataclass
class Whole:
    """A self-training that nobody interrupted; never change it."""

    given: Work
    before: dict
    run: Run
    done: Work
    taught: list
    heard: Any


@pytest.fixture(scope="session")
def whole(started, tmp_path_factory, listener):
    heard, given = listener(), with_key(own(started))
    run = run_at(tmp_path_factory.mktemp("whole"), heard)
    before = weights(given)
    with watched() as taught:
        done = start(make_step(**WHOLE), given, run)
    return Whole(given, before, run, done, taught, heard)


def test_rounds_learn_from_labels_and_their_own_acceptances_alone(whole):
    rounds = rounds_of(whole.run)
    learned = [each for each in rounds if each["epochs"]]
    assert rounds[0]["outcome"] == "start"
    assert len(whole.taught) == len(learned) == 2
    labelled = list(whole.given.store.role("train"))
    for each, seen in zip(learned, whole.taught, strict=True):
        added = [sample for sample in seen.store.role("train") if sample.pseudo]
        assert [sample for sample in seen.store.role("train") if not sample.pseudo] == labelled
        assert len(added) == sum(each["accepted"].values()) > 0
        assert {sample.weight for sample in added} == {0.7}
        table = predicted(whole.run, each["number"])
        accepted = table[table["accepted"]].set_index("case")["label"]
        assert {sample.case: sample.labels for sample in added} == {
            case: (name,) for case, name in accepted.items()
        }
        for role in ("val", "test"):
            assert seen.store.role(role) == whole.given.store.role(role)
    assert whole.done.store is whole.given.store
    assert whole.done.epochs == sum(each["epochs"] for each in rounds)


def test_the_best_weights_are_left_and_recalled(whole):
    rounds = rounds_of(whole.run)
    best = int(whole.heard.tagged["self_train.best_round"])
    scores = [each["quality"]["score"] for each in rounds if each["quality"]]
    assert rounds[best]["quality"]["score"] == max(scores)
    kept = Predictor.load(whole.run.place / f"round_{best:02d}" / "predictor") if best else None
    assert equal(weights(whole.done), kept.network.state_dict() if kept else whole.before)
    fresh = own(whole.given)
    recalled = make_step().recall(fresh, whole.run)
    assert equal(weights(recalled), weights(whole.done))
    assert recalled.epochs == whole.done.epochs


def disputed(work):
    """The work, of whose validation images one has the class of the others: no network is right of all."""
    one = next(each for each in work.store.role("val") if each.labels == ("left",))
    samples = tuple(replace(each, labels=("right",)) if each is one else each for each in work.store.samples)
    return replace(work, store=replace(work.store, samples=samples))


def fitting_temperature(predictor, work):
    samples, task = work.store.role("val"), predictor.task
    logits = predictor.logits(np.stack([work.store.image(each) for each in samples]))
    truth = np.array([[name in each.labels for name in task.classes] for each in samples])
    return best_temperature(task, list(logits[:, None]), truth)


def test_each_network_predicts_at_the_temperature_that_fits_its_weights(few, make_run):
    run, given, work = make_run("self_train"), disputed(few()), disputed(few())
    done = start(make_step(learn=PROBE, rule=RULE | {"first": 0.5, "last": 0.5}), work, run)

    rounds, found = rounds_of(run), done.predictor.task.temperature
    assert found == pytest.approx(fitting_temperature(done.predictor, given), rel=1e-3)
    assert found != pytest.approx(given.predictor.task.temperature, rel=0.01)
    assert make_step().recall(own(given), run).predictor.task.temperature == found
    for number in (1, 2):
        best = max(each["number"] for each in rounds[:number] if each["outcome"] in KEPT)
        asked = Predictor.load(run.place / f"round_{best:02d}" / "predictor") if best else given.predictor
        samples = given.store.role("unlabelled")
        logits = asked.logits(np.stack([given.store.image(each) for each in samples]))
        temperature = fitting_temperature(asked, given)
        sure = torch.softmax(torch.from_numpy(logits) / temperature, dim=1).amax(dim=1)
        np.testing.assert_allclose(predicted(run, number)["probability"], sure, rtol=1e-2)
        if best:
            assert asked.task.temperature == pytest.approx(temperature, rel=1e-3)


def test_what_each_round_gave_is_recorded(whole):
    heard, run = whole.heard, whole.run
    by_round = {step: values for step, values in heard.numbers if "self_train/score" in values}
    assert set(by_round) == {0, 1, 2}
    assert by_round[1]["self_train/threshold"] == pytest.approx(0.51)
    named = {"accepted/left", "accepted/right", "calibration_error", "precision_of_accepted"}
    assert {f"self_train/{name}" for name in named} <= set(by_round[1])
    curves = [step for step, values in heard.numbers if "epoch/train/loss" in values]
    assert curves == [1, 2, 3, 4]
    assert {"tables/self_train_rounds.csv", "figures/self_train_rounds.png"} <= set(heard.artifacts)
    for name in ("rounds", "probabilities"):
        assert imread(run.figures / f"self_train_{name}.png").size
    verdict = json.loads((run.place / "confirmation_bias.json").read_text())
    assert heard.tagged["self_train.verdict"] == verdict["text"]
    assert heard.tagged["val/score.of"] == whole.done.predictor.task.select
    assert verdict["text"] in heard.said
    assert list(pd.read_csv(run.place / "self_train_rounds.csv")["round"]) == [0, 1, 2]


def test_the_labels_of_the_best_round_are_kept(whole):
    best = int(whole.heard.tagged["self_train.best_round"])
    path = whole.run.place / "self_train_weak_labels.parquet"
    assert path.exists() == (best > 0)
    if best:
        table = predicted(whole.run, best)
        assert list(pd.read_parquet(path)["case"]) == list(table.loc[table["accepted"], "case"])


class Cut(KeyboardInterrupt):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_what_is_killed_within_or_between_rounds_goes_on_to_the_same_end(
    whole, few, make_run, heard, monkeypatch, epoch
):
    cut, plain = make_run("self_train"), heard.metrics

    def interrupted(values, number):
        plain(values, number)
        if "epoch/train/loss" in values and number == epoch:
            raise Cut

    monkeypatch.setattr(heard, "metrics", interrupted)
    with pytest.raises(Cut):
        start(make_step(**WHOLE), with_key(few()), cut)
    monkeypatch.setattr(heard, "metrics", plain)
    resumed = start(make_step(**WHOLE), with_key(few()), cut)

    assert equal(weights(resumed), weights(whole.done))
    assert files(cut) == files(whole.run)


@pytest.mark.slow
def test_what_is_done_is_concluded_again_without_learning(whole, make_run, taught):
    """As where a figure of a run is damaged."""
    run = make_run("self_train")
    shutil.copytree(whole.run.place, run.place)
    done = start(make_step(**WHOLE), own(with_key(whole.given)), run)

    assert not taught
    assert files(run) == files(whole.run)
    assert done.epochs == whole.done.epochs


@pytest.mark.slow
def test_the_key_decides_nothing(whole, few, make_run):
    run = make_run("self_train")
    done = start(make_step(**WHOLE), with_key(few(), turned=True), run)

    assert equal(weights(done), weights(whole.done))
    table = predicted(run, 1)
    accepted = table[table["accepted"]]
    truth = [next(iter(whole.given.cases[case].images.values())).parent.name for case in accepted["case"]]
    right = np.mean(np.array(truth) == accepted["label"])
    assert right > 0
    assert rounds_of(whole.run)[1]["precision"] == pytest.approx(right)
    assert rounds_of(run)[1]["precision"] == pytest.approx(1 - right)


@pytest.mark.slow
def test_an_interrupted_round_keeps_what_it_accepted(few, make_run, heard, monkeypatch, taught):
    """On a GPU a network may predict a little otherwise the second time."""
    run = make_run("self_train")
    monkeypatch.setattr(training.Checkpoints, "save", lambda *_: (_ for _ in ()).throw(Cut()))
    with pytest.raises(Cut):
        start(make_step(), few(), run)
    monkeypatch.undo()
    place = run.place / "round_01" / "predicted.parquet"
    table = pd.read_parquet(place)
    table.loc[table.index[table["accepted"]][:1], "accepted"] = False
    table.to_parquet(place)
    keep_made(place.parent)
    start(make_step(), few(), run)

    assert sum(rounds_of(run)[1]["accepted"].values()) == table["accepted"].sum()


@pytest.mark.slow
def test_the_probe_learns_in_rounds_too(few, make_run):
    run = make_run("self_train")
    probed = few()
    step = make_step(learn=PROBE, rule=RULE | {"first": 0.5, "last": 0.5, "rounds": 1})
    assert step.needs == ("features",)
    before = weights(probed)
    start(step, probed, run)
    round_one = Predictor.load(run.place / "round_01" / "predictor").network.state_dict()

    changed = {name for name, each in round_one.items() if not torch.equal(each, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_the_probe_predicts_from_features_as_the_network_does(few):
    work = few()
    samples = [*work.store.role("val"), *work.store.role("unlabelled")]
    np.testing.assert_allclose(Probe().asker(work)(samples), by_network(work)(samples), atol=1e-5)


@pytest.mark.slow
def test_predicted_images_may_be_augmented_in_another_way(few, make_run):
    found = {}
    for name, given in (("plain", None), ("noisy", [NOISE])):
        run = make_run("self_train", folder=name)
        start(make_step(learn=FIT | {"pseudo_augment": given}), few(), run)
        found[name] = json.loads((run.place / "round_01" / "history.json").read_text())[0]["train/loss"]

    assert found["plain"] != found["noisy"]


@pytest.mark.slow
def test_views_are_the_mean_of_what_the_whole_network_says_of_augmented_images(few, make_run):
    rule = {"_target_": "medseg.learning.Agreement", "rule": RULE | {"rounds": 1}, "augment": [NOISE]}
    step = make_step(learn=PROBE, rule=rule | {"views": 3, "deviation": 0.2})
    given, found = few(), []
    plain = predictions(given, make_run("plain"), by_network(given), ThresholdSchedule(0.51, 0.51, 1), 1)
    for folder in ("one", "again"):
        run = make_run("self_train", folder=folder)
        start(step, few(), run)
        found.append(predicted(run, 1))
    table = found[0]
    pd.testing.assert_frame_equal(table, found[1])
    assert (table["deviation"] > 0).any()
    assert table.loc[table["accepted"], "deviation"].max() <= 0.2
    assert not np.allclose(table["probability_left"], plain["probability_left"], atol=1e-6)
    np.testing.assert_allclose(table["probability_left"] + table["probability_right"], 1, rtol=1e-6)


def test_views_that_cannot_be_made_are_refused(few):
    flip = {"_target_": "monai.transforms.Resized", "keys": ["image"], "spatial_size": [8, 8]}
    rule = {"_target_": "medseg.learning.Agreement", "rule": RULE, "augment": [flip]}
    with pytest.raises(DefinitionError, match=r"rule\.augment\.0 \(Resized\) turns images"):
        make_step(rule=rule).check(few().predictor)


def test_a_round_of_one_class_teaches_nothing_and_is_said(one_round, heard, taught):
    work, run = one_round
    with torch.no_grad():
        work.predictor.network.get_submodule("classifier").bias.copy_(torch.tensor([30.0, -30.0]))
    start(make_step(rule=RULE | {"rounds": 1}), work, run)

    assert rounds_of(run)[1]["outcome"] == "one class"
    assert not taught
    assert any("of one class alone" in text for text in heard.said)


def test_nothing_accepted_ends_it(one_round, heard, taught):
    work, run = one_round
    with torch.no_grad():
        work.predictor.network.get_submodule("classifier").weight.zero_()
    start(make_step(rule=RULE | {"first": 0.99, "last": 1.0}), work, run)

    assert [each["outcome"] for each in rounds_of(run)] == ["start", "nothing"]
    assert heard.tagged["self_train.ended"] == "round 1 accepted nothing"
    assert not taught


def test_a_network_that_is_not_calibrated_learns_nothing(one_round, heard, taught):
    work, run = one_round
    start(make_step(stop_calibration=1e-6), work, run)

    assert [each["outcome"] for each in rounds_of(run)] == ["start"]
    assert "stop_calibration" in heard.tagged["self_train.ended"]
    assert not taught


def test_probabilities_that_are_nan_are_refused(one_round):
    work, run = one_round
    with torch.no_grad():
        work.predictor.network.get_submodule("classifier").bias.fill_(float("nan"))

    with pytest.raises(ModelError, match="validation images: the network returned NaN"):
        start(make_step(), work, run)


def test_no_image_without_a_label_is_refused(make_feature_work, make_run):
    assert "unlabelled" in make_step().roles  # so that a run refuses it before anything is done
    work = make_feature_work(lambda case: "val" if case.id.endswith(("1", "2")) else "train")

    with pytest.raises(DataError, match="predicting the unlabelled: there are none"):
        start(make_step(), work, make_run("self_train"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "kept", "named", "again", "anew"),
    [
        ("round_01/predicted.parquet", -1, "files of round 1", "from the first on", 2),
        ("round_02/predictor/weights.safetensors", None, "files of round 2", "after round 1", 1),
        ("round_02/predictor/model.json", -9, "files of round 2", "after round 1", 1),
        ("rounds.json", -9, "rounds.json", "from the first on", 2),
        ("rounds.json", None, "rounds.json", "from the first on", 2),
    ],
)
def test_damaged_rounds_are_made_again_after_the_last_that_is_sound(
    whole, few, make_run, taught, heard, file, kept, named, again, anew
):
    run = make_run("self_train")
    shutil.copytree(whole.run.place, run.place)
    content = (run.place / file).read_bytes()
    (run.place / file).unlink()
    if kept is not None:
        (run.place / file).write_bytes(content[:kept])
    start(make_step(**WHOLE), with_key(few()), run)

    assert f"Damaged or half made: {named}. Rounds are made again {again}." in heard.said
    assert len(taught) == anew
    assert files(run) == files(whole.run)


def test_predictions_of_an_interrupted_round_that_are_damaged_are_made_again(one_round, heard, monkeypatch):
    work, run = one_round
    monkeypatch.setattr(SelfTrain, "_taught", lambda *_: (_ for _ in ()).throw(Cut()))
    for damage in (b"no table", b""):
        with pytest.raises(Cut):
            start(make_step(), own(work), run)
        place = run.place / "round_01"
        assert is_sound(place)
        (place / "predicted.parquet").write_bytes(damage)
    heard.said.clear()
    with pytest.raises(Cut):
        start(make_step(), own(work), run)

    assert is_sound(place)
    (said,) = [text for text in heard.said if text.startswith("Damaged")]
    assert said == "Damaged or half made: files of round 1. Rounds are made again from the first on."


def test_a_round_that_was_killed_before_it_had_predicted_is_begun_in_silence(one_round, heard, monkeypatch):
    work, run = one_round
    monkeypatch.setattr("medseg.steps.self_train.predictions", lambda *_: (_ for _ in ()).throw(Cut()))
    for _ in range(2):
        with pytest.raises(Cut):
            start(make_step(), own(work), run)

    assert not any("Damaged" in text for text in heard.said)


@pytest.mark.parametrize("content", ['[{"number": 3, "outcome": "start"}]', "[", "{}", '[{"number": "0"}]'])
def test_what_is_no_list_of_rounds_is_begun_again(one_round, heard, monkeypatch, content):
    work, run = one_round
    monkeypatch.setattr(SelfTrain, "_taught", lambda *_: (_ for _ in ()).throw(Cut()))
    (run.place / "round_01").mkdir(parents=True)
    (run.place / "rounds.json").write_text(content)
    with pytest.raises(Cut):
        start(make_step(), work, run)

    assert [each["outcome"] for each in rounds_of(run)] == ["start"]
    assert any("Damaged or half made: rounds.json" in text for text in heard.said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rule": {"_target_": "medseg.learning.ImageClasses", "classes": ["a", "b"]}},
        {"rule": RULE | {"first": 1.5}},
        {"rule": RULE | {"rounds": 0}},
        {"learn": {"_target_": "medseg.steps.Evaluate", "role": "test"}},
        {"continued": {"_target_": "medseg.steps.Embed"}},
        {"weight": 0},
        {"patience": 0},
        {"stop_calibration": 2},
        {"key": 3},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(DefinitionError, match=next(iter(wrong))):
        make_step(**wrong)


def test_a_key_that_is_no_column_is_refused(few):
    with pytest.raises(DefinitionError, match="key is 'truth', and the columns"):
        make_step(key="truth").check(few().predictor)


def test_a_task_of_label_maps_is_refused(make_work):
    with pytest.raises(DefinitionError, match=r"medseg\.steps\.SelfTrain is for the task"):
        make_step().check(make_work().predictor)


def test_an_augmentation_that_changes_shapes_is_refused_before_anything_runs(few):
    crop = {"_target_": "monai.transforms.CenterSpatialCropd", "keys": ["image"], "roi_size": [8, 8]}
    with pytest.raises(DefinitionError, match=r"pseudo_augment\.0 \(CenterSpatialCropd\) turns images"):
        make_step(learn=FIT | {"pseudo_augment": [crop]}).check(few().predictor)


def test_the_step_is_public():
    from medseg import steps

    assert steps.SelfTrain is SelfTrain
