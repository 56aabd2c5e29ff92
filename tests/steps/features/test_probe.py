from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medseg.errors import DataError, DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.steps.features.probe import Probe

FEW = [1.0e-3, 0.1, 10.0]
ROUND = ("a", "b", "c")


def points(frame):
    return frame.drop(columns=["case", "group", "role"]).to_numpy(float)


def search_of(work, frame, folds=5):
    """The same by scikit-learn alone, from the saved file."""
    train = frame[frame["role"] == "train"]
    truth = [work.predictor.task.classes.index(work.cases[case].labels[0]) for case in train["case"]]
    return GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=10_000)),
        {"logisticregression__C": FEW},
        scoring="neg_log_loss",
        cv=StratifiedGroupKFold(folds, shuffle=True, random_state=5),
    ).fit(points(train), truth, groups=train["group"])


def images_of(work, frame):
    rows = {(sample.case, sample.role): sample for sample in work.store.samples}
    return np.stack([work.store.image(rows[key]) for key in zip(frame["case"], frame["role"], strict=True)])


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.usefixtures("undrawn")
def test_the_network_gives_the_probabilities_of_scikit_learn(make_feature_work, make_run, take, classes):
    work = make_feature_work(classes=ROUND[:classes])
    work = take(work, make_run("embed"), "Embed")
    frame = work.artifacts["features"].read()
    done = take(work, make_run("probe"), "Probe", strengths=FEW)
    expected = search_of(work, frame).predict_proba(points(frame))
    found = done.predictor.probabilities(images_of(work, frame).astype(np.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.ptp(expected[:, 0]) > 0.2  # they are not all alike


@pytest.mark.usefixtures("undrawn")
def test_what_is_saved_and_recalled_is_an_ordinary_model(embedded, make_run, take):
    run = make_run("probe")
    images = images_of(embedded, embedded.artifacts["features"].read()).astype(np.float32)
    done = take(embedded, run, "Probe", strengths=FEW)
    expected = done.predictor.probabilities(images)
    fresh = replace(embedded, predictor=replace(embedded.predictor, network=torch.nn.Identity()))
    recalled = Probe().recall(fresh, run)
    np.testing.assert_array_equal(recalled.predictor.probabilities(images), expected)
    np.testing.assert_array_equal(Predictor.load(run.place / "predictor").probabilities(images), expected)
    case = done.of("test")[0]
    assert done.predictor.classify(done.predictor.read_image(case)).names == case.labels


@pytest.mark.usefixtures("undrawn")
def test_only_the_last_layer_changes(embedded, make_run, take):
    before = {name: each.clone() for name, each in embedded.predictor.network.state_dict().items()}
    take(embedded, make_run("probe"), "Probe", strengths=FEW)
    after = embedded.predictor.network.state_dict()
    changed = {name for name, each in after.items() if not torch.equal(each, before[name])}
    assert changed == {"classifier.weight", "classifier.bias"}


def test_c_its_curve_and_the_scores_are_recorded(embedded, make_run, take, heard):
    task = ImageClasses(embedded.predictor.task.classes, "auroc")
    work = replace(embedded, predictor=replace(embedded.predictor, task=task), epochs=7)
    run, frame = make_run("probe"), work.artifacts["features"].read()
    take(work, run, "Probe", strengths=FEW)
    search = search_of(work, frame)
    assert {step for step, values in heard.numbers if "probe/C" in values or "val/loss" in values} == {7}
    found = {name: value for _, values in heard.numbers for name, value in values.items()}
    assert found["probe/C"] == search.best_params_["logisticregression__C"]
    assert found["probe/log_loss"] == pytest.approx(-search.best_score_)
    assert heard.tagged["probe.C"] == f"{found['probe/C']:g}"
    for role in ("train", "val"):
        part = frame[frame["role"] == role]
        truth = np.array(
            [work.predictor.task.classes.index(work.cases[case].labels[0]) for case in part["case"]]
        )
        chances = search.predict_proba(points(part))
        assert found[f"{role}/loss"] == pytest.approx(log_loss(truth, chances), abs=1e-5)
        assert found[f"{role}/score"] == pytest.approx(roc_auc_score(truth, chances[:, 1]))
    curve = pd.read_csv(run.place / "probe_curve.csv")
    np.testing.assert_allclose(curve["C"], FEW)
    np.testing.assert_allclose(curve["log_loss"], -search.cv_results_["mean_test_score"])
    files = {"tables/probe_curve.csv", "tables/probe_features.csv", "figures/probe_curve.png"}
    assert files <= set(heard.artifacts)
    listed = pd.read_csv(run.place / "probe_features.csv")
    train = points(frame[frame["role"] == "train"])
    np.testing.assert_allclose(listed["mean"][listed["used"]], train.mean(axis=0)[listed["used"]])


@pytest.mark.usefixtures("undrawn")
def test_test_cases_and_unlabelled_ones_count_for_nothing(make_feature_work, make_run, take):
    found = []
    for folder, drop in (("all", ()), ("fewer", ("test", "unlabelled"))):
        work = make_feature_work()
        samples = tuple(each for each in work.store.samples if each.role not in drop)
        work = replace(work, store=replace(work.store, samples=samples))
        work = take(work, make_run("embed", folder=folder), "Embed")
        done = take(work, make_run("probe", folder=folder), "Probe", strengths=FEW)
        found.append(done.predictor.network.classifier.weight.detach().clone())
    assert torch.allclose(*found, atol=1e-6)


@pytest.mark.usefixtures("undrawn")
def test_it_works_without_validation_cases(make_feature_work, make_run, take, heard):
    work = take(make_feature_work(lambda _: "train"), make_run("embed"), "Embed")
    take(work, make_run("probe"), "Probe", strengths=FEW)
    found = {name for _, values in heard.numbers for name in values}
    assert "train/score" in found
    assert "val/score" not in found


@pytest.mark.usefixtures("undrawn")
def test_the_end_of_what_was_tried_is_said(embedded, make_run, take, heard):
    take(embedded, make_run("probe"), "Probe", strengths=[1e-9, 1e-8])
    assert any("the best C is at the end" in text for text in heard.said)


@pytest.mark.usefixtures("undrawn")
def test_settings_of_the_loss_that_do_not_count_are_said(embedded, make_run, take, heard):
    task = ImageClasses(embedded.predictor.task.classes, label_smoothing=0.1)
    work = replace(embedded, predictor=replace(embedded.predictor, task=task))
    take(work, make_run("probe"), "Probe", strengths=FEW)
    assert any("task.label_smoothing do not count" in text for text in heard.said)


def test_another_task_is_refused_before_anything_runs(make_feature_work):
    predictor = make_feature_work().predictor
    with pytest.raises(DefinitionError, match=r"ImageClasses, and the task is ImageTags. .*Fit"):
        Probe().check(replace(predictor, task=ImageTags(predictor.task.classes)))


def test_another_head_is_refused_before_anything_runs(make_feature_work):
    predictor = make_feature_work().predictor
    layers = (torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    network = torch.nn.Sequential(*layers, torch.nn.Linear(2, 2), torch.nn.Sigmoid())
    with pytest.raises(
        DefinitionError, match=r"does not end with one linear layer .* what 4 gives .*Networks that do"
    ):
        Probe().check(replace(predictor, network=network))


@pytest.mark.usefixtures("undrawn")
def test_features_of_another_layer_are_refused(make_feature_work, make_run, take):
    work = take(make_feature_work(), make_run("embed"), "Embed", layer="features.0")
    with pytest.raises(DefinitionError, match=r"are of the layer features.0, .* set steps.embed.layer=null"):
        take(work, make_run("probe"), "Probe")


@pytest.mark.usefixtures("undrawn")
def test_features_of_other_weights_are_refused(embedded, make_run, take):
    with torch.no_grad():
        embedded.predictor.network.classifier.weight.zero_()  # which features do not depend on
    take(embedded, make_run("probe"), "Probe", strengths=FEW)
    with torch.no_grad():
        next(embedded.predictor.network.features.parameters()).mul_(2)
    with pytest.raises(DefinitionError, match=r"other weights than when steps.embed .* Put a step Embed"):
        take(embedded, make_run("probe"), "Probe")


@pytest.mark.usefixtures("undrawn")
def test_features_that_are_not_there_are_refused(make_feature_work, make_run, take):
    with pytest.raises(DefinitionError, match="no features yet"):
        take(make_feature_work(), make_run("probe"), "Probe")


@pytest.mark.parametrize(
    ("role", "folds", "said"),
    [
        (
            lambda case: "train" if case.labels == ("left",) else "val",
            5,
            "no training case has the class 'right'",
        ),
        (
            lambda case: "train" if case.position % 7 == 0 else "val",
            5,
            r"5 folds need 5 patients .* Set folds to 2",
        ),
    ],
)
@pytest.mark.usefixtures("undrawn")
def test_too_few_training_cases_are_refused(make_feature_work, make_run, take, role, folds, said):
    work = take(make_feature_work(role), make_run("embed"), "Embed")
    with pytest.raises(DataError, match=said):
        take(work, make_run("probe"), "Probe", folds=folds)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"folds": 1}, "folds is 1"),
        ({"folds": True}, "folds is True"),
        ({"strengths": []}, r"strengths is \[\]"),
        ({"strengths": [0]}, r"strengths is \[0\]"),
        ({"strengths": [1, 1]}, "expected different numbers"),
        ({"strengths": "1"}, "strengths is '1'"),
        ({"strengths": [float("inf")]}, "strengths is"),
        ({"strengths": [10**400]}, "strengths is"),
    ],
)
def test_settings_that_cannot_be_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Probe(**given)
