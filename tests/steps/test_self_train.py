from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.image import imread

from medseg.component import Allowed, build
from medseg.errors import DataError, DefinitionError, ModelError, RunError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.selftraining.rules import ThresholdSchedule
from medseg.learning.training import fit as training
from medseg.learning.training.loading import Loading
from medseg.progress import Silent
from medseg.recorder import NoRecord
from medseg.steps.features.embed import Embed
from medseg.steps.features.probe import Probe
from medseg.steps.rounds.asked import predictions
from medseg.steps.self_train import SelfTrain
from medseg.steps.step import Run

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


def files(run):
    kept = (path for path in sorted(run.place.rglob("*")) if path.is_file())
    return {
        path.relative_to(run.place).as_posix(): path.read_bytes()
        for path in kept
        if path.suffix in {".csv", ".parquet", ".safetensors"} or path.name == "rounds.json"
    }


@pytest.fixture
def taught(monkeypatch):
    """The work that each round learns from."""
    from medseg.steps.fit import Fit

    seen, plain = [], Fit.__call__

    def call(step, work, run):
        seen.append(work)
        return plain(step, work, run)

    monkeypatch.setattr(Fit, "__call__", call)
    return seen


def of_few(case):
    """Of 14 pictures of each class, by their number: 5 to train, 3 to validate, 1 to test, 5 without a label."""
    number = int(next(iter(case.images.values())).stem)
    return "train" if number <= 5 else "val" if number <= 8 else "test" if number <= 9 else "unlabelled"


@pytest.fixture(scope="session")
def started(make_feature_work, tmp_path_factory):
    """Features of few cases, and a network that tells the classes, but for a leaning to the left."""
    run = Run(
        tmp_path_factory.mktemp("started"),
        "embed",
        5,
        torch.device("cpu"),
        Loading(batch_size=8),
        NoRecord(),
        Silent(),
        Allowed(),
    )
    work = Embed()(make_feature_work(of_few), run)
    work = Probe(3, [0.01])(work, run.at("probe"))
    margins = predictions(work, run, ThresholdSchedule(0.1, 0.1, 1), 1)["probability_left"]
    odds = np.log(margins / (1 - margins))
    with torch.no_grad():
        layer = work.predictor.network.get_submodule("classifier")
        layer.bias += torch.tensor([0.5, -0.5]) * -float(odds.quantile(0.3))
    return work


@pytest.fixture
def few(started):
    """The same with a network of its own, as often as one asks."""
    return lambda: replace(
        started, predictor=replace(started.predictor, network=deepcopy(started.predictor.network))
    )


@pytest.fixture
def one_round(few, make_run):
    return few(), make_run("self_train")


@pytest.mark.slow
def test_rounds_learn_from_labels_and_their_own_acceptances_alone(few, make_run, heard, taught):
    work, run = few(), make_run("self_train")
    before = weights(work)
    done = start(make_step(weight=0.5, patience=9), work, run)

    rounds = rounds_of(run)
    assert rounds[0]["outcome"] == "start"
    learned = [each for each in rounds if each["epochs"]]
    assert len(taught) == len(learned) > 0
    own = list(work.store.role("train"))
    for each, seen in zip(learned, taught, strict=True):
        added = [sample for sample in seen.store.role("train") if sample.pseudo]
        assert [sample for sample in seen.store.role("train") if not sample.pseudo] == own
        assert len(added) == sum(each["accepted"].values())
        assert {sample.weight for sample in added} == {0.5}
        place = run.place / f"round_{each['number']:02d}" / "predicted.parquet"
        table = pd.read_parquet(place)
        accepted = table[table["accepted"]].set_index("case")["label"]
        assert {sample.case: sample.labels for sample in added} == {
            case: (name,) for case, name in accepted.items()
        }
        for role in ("val", "test"):
            assert seen.store.role(role) == work.store.role(role)
    assert done.store is work.store
    assert done.epochs == sum(each["epochs"] for each in rounds)

    best = max(rounds, key=lambda each: each["quality"] is not None and each["quality"]["score"])
    assert heard.tagged["self_train.best_round"].isdigit()
    kept = rounds[int(heard.tagged["self_train.best_round"])]
    assert kept["quality"]["score"] == best["quality"]["score"]
    expected = (
        Predictor.load(run.place / f"round_{kept['number']:02d}" / "predictor").network.state_dict()
        if kept["number"]
        else before
    )
    assert equal(weights(done), dict(expected))
    recalled = make_step().recall(few(), run)
    assert equal(weights(recalled), weights(done))
    assert recalled.epochs == done.epochs


@pytest.mark.slow
def test_what_each_round_gave_is_recorded(few, make_run, heard):
    run = make_run("self_train")
    start(make_step(), few(), run)

    by_round = {step: values for step, values in heard.numbers if "self_train/score" in values}
    assert by_round[1]["self_train/threshold"] == pytest.approx(0.51)
    assert {"self_train/accepted/left", "self_train/accepted/right", "self_train/calibration_error"} <= set(
        by_round[1]
    )
    curves = [step for step, values in heard.numbers if "epoch/train/loss" in values]
    assert curves == list(range(1, len(curves) + 1))
    assert {"tables/self_train_rounds.csv", "figures/self_train_rounds.png"} <= set(heard.artifacts)
    for name in ("rounds", "probabilities"):
        assert imread(run.figures / f"self_train_{name}.png").size
    verdict = json.loads((run.place / "verdict.json").read_text())
    assert heard.tagged["self_train.verdict"] == verdict["text"]
    assert verdict["text"] in heard.said
    table = pd.read_csv(run.place / "self_train_rounds.csv")
    assert list(table["round"]) == list(range(len(rounds_of(run))))


class Cut(KeyboardInterrupt):
    pass


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_what_is_killed_within_or_between_rounds_goes_on_to_the_same_end(
    few, make_run, heard, monkeypatch, epoch
):
    step = {"patience": 9, "weight": 0.7}
    whole = make_run("self_train", folder="whole")
    expected = start(make_step(**step), few(), whole)
    cut, plain = make_run("self_train", folder="cut"), heard.metrics

    def interrupted(values, number):
        plain(values, number)
        if "epoch/train/loss" in values and number == epoch:
            raise Cut

    monkeypatch.setattr(heard, "metrics", interrupted)
    with pytest.raises(Cut):
        start(make_step(**step), few(), cut)
    monkeypatch.setattr(heard, "metrics", plain)
    resumed = start(make_step(**step), few(), cut)

    assert equal(weights(resumed), weights(expected))
    assert files(cut) == files(whole)


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
    start(make_step(), few(), run)

    assert sum(rounds_of(run)[1]["accepted"].values()) == table["accepted"].sum()


@pytest.mark.slow
def test_the_key_decides_nothing(few, make_run, heard):
    truth = {}
    ends = []
    for turned in (False, True):
        work = few()
        cases = {}
        for case in work.cases.values():
            name = next(iter(case.images.values())).parent.name
            truth[case.id] = name
            told = name if not turned else SIDES[1 - SIDES.index(name)]
            cases[case.id] = replace(case, extra={"scanner": told})
        run = make_run("self_train", folder=f"run_{turned}")
        done = start(make_step(key="scanner"), replace(work, cases=cases), run)
        ends.append((weights(done), rounds_of(run)[1]["precision"]))
        table = pd.read_parquet(run.place / "round_01" / "predicted.parquet")
        accepted = table[table["accepted"]]
        right = np.mean(
            [truth[case] == name for case, name in zip(accepted["case"], accepted["label"], strict=True)]
        )
        assert ends[-1][1] == pytest.approx(1 - right if turned else right)
    assert equal(ends[0][0], ends[1][0])
    assert ends[0][1] + ends[1][1] == pytest.approx(1)


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


@pytest.mark.slow
def test_predicted_images_may_be_augmented_in_another_way(few, make_run):
    found = {}
    for name, given in (("plain", None), ("noisy", [NOISE])):
        run = make_run("self_train", folder=name)
        start(make_step(learn=FIT | {"pseudo_augment": given}), few(), run)
        found[name] = json.loads((run.place / "round_01" / "history.json").read_text())[0]["train/loss"]

    assert found["plain"] != found["noisy"]


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


def test_damaged_rounds_are_known_as_such(one_round):
    work, run = one_round
    run.place.mkdir(parents=True)
    (run.place / "rounds.json").write_text('[{"number": 3, "outcome": "start"}]')

    with pytest.raises(RunError, match=r"rounds\.json of the run is damaged"):
        start(make_step(), work, run)


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
