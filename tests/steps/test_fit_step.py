from __future__ import annotations

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medseg.component import build
from medseg.errors import DataError, DefinitionError, TrainingError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.training.curve_verdict import read_curves
from medseg.steps.fit import Fit
from medseg.steps.step import Step
from medseg.testing.pictures import write_emps, write_picture

ADAM = {"_target_": "torch.optim.Adam", "lr": 0.02}
COSINE = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR"}
FLIP = {"_target_": "monai.transforms.RandFlipd", "keys": ["image", "label"], "prob": 0.5}


def make_step(**given) -> Step:
    spec = {"_target_": "medseg.steps.Fit", "optimiser": ADAM, "epochs": 2, "pictures_every": 0, **given}
    return build(spec, at="steps.fit", kind=Fit)


def start(step, work, run):
    run.place.mkdir(parents=True, exist_ok=True)
    return step(work, run)


def weights(work):
    return work.predictor.network.state_dict()


def equal(one, other):
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.slow
def test_training_leaves_a_better_network_with_its_traces(make_work, make_run, heard):
    run = make_run(augment=[FLIP])
    work = start(make_step(epochs=8, pictures_every=5, schedule=COSINE, clip=5.0), make_work(), run)
    rows = json.loads((run.place / "history.json").read_text())
    assert [row["epoch"] for row in rows] == list(range(1, 9))
    assert rows[-1]["val/score"] > 0.6
    *each, (kept, kept_values) = heard.numbers
    assert [step for step, _ in each] == list(range(1, 9))
    assert all("epoch" not in values for _, values in heard.numbers)
    best = max(rows, key=lambda row: row["val/score"])["epoch"]
    sizes = {"fit.memory.batch_bytes", "fit.memory.free_bytes"}
    took = {"fit.minutes", "fit.memory.taken_bytes"}
    chosen = {"fit.best_epoch", "fit.best_by", "fit.verdict", "val/score.of"}
    assert set(heard.tagged) == {*chosen, *sizes, *took}
    assert heard.tagged["fit.best_epoch"] == str(int(best))
    assert heard.tagged["fit.best_by"].startswith("dice of ")
    assert kept == 0
    assert kept_values["val/score"] == max(row["val/score"] for row in rows)
    assert kept_values["val/loss"] == rows[int(best) - 1]["val/loss"]
    assert {"figures/fit_learning_curves.png", "tables/history.json"} <= set(heard.artifacts)
    assert [a for a in heard.artifacts if "_validation_" in a] == [
        "figures/fit_validation_0001.png",
        "figures/fit_validation_0005.png",
    ]
    assert heard.values["loading.cache_used"] == "memory"
    assert int(heard.tagged["fit.memory.batch_bytes"]) < int(heard.tagged["fit.memory.free_bytes"])
    assert any("kept in memory" in text for text in heard.said)
    assert any(text.startswith(f"Best epoch {int(best)} of 8") for text in heard.said)
    assert not work.predictor.network.training


@pytest.mark.usefixtures("figureless")
def test_how_far_a_training_was_off_from_what_was_expected_is_said(make_work, make_run, heard, monkeypatch):
    seconds = iter([0.0, 1.0, 3.0, 3.0, 4.0, 9.0])  # begun, trained and validated of two epochs
    clock = SimpleNamespace(perf_counter=lambda: next(seconds))
    monkeypatch.setattr("medseg.learning.training.engine.epochs.time", clock)

    start(make_step(expected={"minutes": 0.3, "gib": 64}), make_work(), make_run())

    (said,) = [text for text in heard.said if text.startswith("The training took")]
    assert said.startswith("The training took 9 seconds")
    assert ": 50% of the 0.3 minutes" in said
    assert "64 GiB that the definition expects" in said
    assert heard.tagged["fit.minutes"] == "0.15"


@pytest.mark.parametrize("given", [{"minutes": 1}, {"minutes": 0, "gib": 1}, 3, {"minutes": "1", "gib": 1}])
def test_an_expectation_of_another_form_is_refused(given):
    with pytest.raises(DefinitionError, match="expected is"):
        make_step(expected=given)


@pytest.mark.usefixtures("figureless")
def test_an_epoch_may_hold_a_part_of_the_slices(make_work, make_run, heard):
    run = make_run()
    run = replace(run, loading=run.loading.model_copy(update={"slices_per_epoch": 3}))

    start(make_step(), make_work(), run)

    assert any("Training on cpu: 3 slices" in text for text in heard.said)


@pytest.mark.slow
def test_foreground_is_drawn_of_what_the_manifest_calls_so(make_work, make_run, heard):
    """Healthy brain is a class of its own, and no foreground."""
    start(make_step(epochs=1, foreground_share=0.34), make_work(), make_run())

    told = (
        r"Of each batch of \d+ slices, \d+ are drawn to show foreground, evenly of necrotic_core, oedema, enh"
    )
    assert any(re.match(told, text) for text in heard.said)


@pytest.mark.slow
def test_without_any_foreground_none_is_drawn_which_is_said(make_work, make_run, heard):
    work = make_work()
    bare = {
        name: replace(entry, counts=entry.counts * [1, 1, 0, 0, 0])
        for name, entry in work.store.entries.items()
    }
    work = replace(work, store=replace(work.store, entries=bare))
    start(make_step(epochs=1, foreground_share=0.34), work, make_run())

    assert "No slice for training shows any foreground: foreground_share draws none." in heard.said


@pytest.mark.parametrize("wrong", [-0.5, 2, "third"])
def test_a_share_of_foreground_is_one(wrong):
    with pytest.raises(DefinitionError, match=r"foreground_share is .*expected a number from 0 to 1"):
        make_step(foreground_share=wrong)


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_recalling_gives_the_trained_network_without_training(make_work, make_run):
    run, step = make_run(), make_step()
    done = start(step, make_work(), run)
    fresh = make_work()
    recalled = step.recall(fresh, run)
    assert equal(weights(done), weights(recalled))
    slices = np.random.default_rng(0).normal(size=(2, 4, 32, 32)).astype(np.float32)
    expected = done.predictor.probabilities(slices)
    np.testing.assert_array_equal(recalled.predictor.probabilities(slices), expected)
    np.testing.assert_array_equal(Predictor.load(run.place / "predictor").probabilities(slices), expected)


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_an_interrupted_step_goes_on_and_ends_as_if_it_had_not_been(make_work, make_run, heard, monkeypatch):
    options = {"epochs": 3, "schedule": COSINE, "schedule_each": "iteration", "pictures_every": 1}
    options |= {"foreground_share": 0.34}
    whole = start(make_step(**options), make_work(), make_run(folder="whole", augment=[FLIP]))
    run, plain = make_run(folder="cut", augment=[FLIP]), heard.metrics

    def interrupted(values, step):
        plain(values, step)
        if step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(heard, "metrics", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(make_step(**options), make_work(), run)
    assert not (run.place / "predictor").exists()
    monkeypatch.setattr(heard, "metrics", plain)
    resumed = start(make_step(**options), make_work(), run)
    assert equal(weights(whole), weights(resumed))


@pytest.mark.slow
@pytest.mark.parametrize("cache", ["memory", "disk"])
@pytest.mark.usefixtures("figureless")
def test_where_slices_are_kept_changes_nothing(make_work, make_run, heard, cache):
    auto = start(make_step(epochs=1), make_work(), make_run(folder="auto"))
    other = start(make_step(epochs=1), make_work(), make_run(folder="other", cache=cache))
    assert heard.values["loading.cache_used"] == cache
    assert equal(weights(auto), weights(other))


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_memory_is_divided_once_for_training_and_validation_together(make_work, make_run, monkeypatch):
    """Slices that fill what is free must not be refused because the first role took its part."""
    work = make_work()
    free = [work.store.nbytes("train") + work.store.nbytes("val"), work.store.nbytes("val")]
    monkeypatch.setattr("medseg.steps.feeding.available_memory", lambda: free.pop(0))
    start(make_step(epochs=1), work, make_run(cache="memory"))


def test_a_batch_that_cannot_fit_is_refused_before_training(make_work, make_run, heard, monkeypatch):
    monkeypatch.setattr("medseg.steps.fit.free_memory", lambda _: 2**20)
    with pytest.raises(TrainingError, match=r"loading\.batch_size=\d+ or less"):
        start(make_step(), make_work(), make_run(batch_size=1000))
    assert not heard.numbers


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_augmentation_is_for_training_alone(make_work, make_run):
    noise = {"_target_": "monai.transforms.RandGaussianNoised", "keys": ["image"], "prob": 1.0, "std": 50.0}
    still = {"_target_": "torch.optim.SGD", "lr": 0.0}
    rows = []
    for folder, augment in (("plain", []), ("noisy", [noise])):
        run = make_run(folder=folder, augment=augment)
        start(make_step(epochs=1, optimiser=still), make_work(), run)
        rows.append(json.loads((run.place / "history.json").read_text())[0])
    plain, noisy = rows
    assert plain["train/loss"] != noisy["train/loss"]
    assert plain["val/loss"] == noisy["val/loss"]
    assert plain["val/score"] == noisy["val/score"]


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_weights_by_frequency_come_from_the_training_slices(make_work, make_run, monkeypatch):
    seen = []
    work = make_work(class_weights="frequency")
    plain = type(work.predictor.task).weighted

    def weighted(task, voxels):
        seen.append((voxels, plain(task, voxels).class_weights))
        return plain(task, voxels)

    monkeypatch.setattr(type(work.predictor.task), "weighted", weighted)
    start(make_step(epochs=1), work, make_run())
    counted = sum(
        np.bincount(work.store.read(sample)[1].ravel(), minlength=5) for sample in work.store.role("train")
    )
    voxels, found = seen[0]
    np.testing.assert_array_equal(voxels, counted)
    inverse = 1 / counted
    np.testing.assert_allclose(found, inverse / inverse.mean())


def test_a_role_without_slices_is_named(make_work, make_run):
    work = make_work()
    store = replace(work.store, samples=work.store.role("train"))
    with pytest.raises(DataError, match="role val"):
        start(make_step(), replace(work, store=store), make_run())


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_stopping_early_is_said(make_work, make_run, heard):
    still = {"_target_": "torch.optim.SGD", "lr": 0.0}
    start(make_step(epochs=9, patience=2, optimiser=still), make_work(), make_run())
    assert any("stopped early after 3" in text for text in heard.said)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"patience": 0},
        {"clip": 0.0},
        {"clip": True},
        {"clip": float("inf")},
        {"clip": 10**400},
        {"expected": {"minutes": 10**400, "gib": 1}},
        {"expected": {"minutes": 1, "gib": float("inf")}},
        {"validate_every": 0},
        {"pictures_every": -1},
        {"schedule_each": "minute"},
        {"precision": "half"},
        {"best_by": 3},
    ],
)
def test_settings_out_of_range_are_refused_by_name(wrong):
    with pytest.raises(DefinitionError, match=next(iter(wrong))):
        make_step(**wrong)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimiser": {"_target_": "torch.optim.Adam", "lr": -1.0}}, "Invalid learning rate"),
        ({"schedule": {"_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau"}}, "waits for a score"),
    ],
)
def test_what_cannot_train_is_refused_before_anything_runs(make_work, given, said):
    with pytest.raises(DefinitionError, match=said):
        make_step(**given).check(make_work().predictor)


def test_a_network_that_is_all_frozen_is_refused(make_work):
    predictor = make_work().predictor
    for parameter in predictor.network.parameters():
        parameter.requires_grad_(False)

    with pytest.raises(DefinitionError, match="no parameter that can be trained"):
        make_step().check(predictor)


@pytest.mark.parametrize(
    "given",
    [
        {"optimiser": {"_target_": "torch.optim.LBFGS"}},
        {"schedule": {"_target_": "torch.optim.lr_scheduler.StepLR", "step_size": 0}},
    ],
)
def test_what_fails_at_its_first_step_is_refused_before_anything_runs(make_work, given):
    with pytest.raises(DefinitionError, match="cannot take a step"):
        make_step(**given).check(make_work().predictor)


@pytest.mark.parametrize("given", [{"epochs": 2.5}, {"epochs": "abc"}, {"patience": 1.5}, {"clip": "no"}])
def test_settings_of_another_type_are_refused(given):
    with pytest.raises(DefinitionError, match="expected"):
        make_step(**given)


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_two_trainings_one_after_the_other_are_both_recorded(make_work, make_run, heard):
    """Head first, then all: the second training's epochs follow the first's."""
    run = make_run()
    work = start(make_step(), start_of := make_work(), run.at("head"))
    work = start(make_step(), work, run.at("all"))

    assert [step for step, values in heard.numbers if "epoch/train/loss" in values] == [1, 2, 3, 4]
    # of the weights kept by each: a tracker shows the last
    assert [step for step, values in heard.numbers if "val/score" in values] == [0, 2]
    assert (start_of.epochs, work.epochs) == (0, 4)
    recalled = make_step().recall(make_step().recall(make_work(), run.at("head")), run.at("all"))
    assert recalled.epochs == 4


@pytest.mark.slow
def test_the_verdict_on_the_learning_curves_is_kept_tagged_and_readable(make_work, make_run, heard):
    run = make_run("head")
    work = make_work()
    start(make_step(epochs=5), work, run)

    rows = json.loads((run.place / "history.json").read_text())
    patients = {sample.group for sample in work.store.role("val")}
    wanted = read_curves(rows, "head", patients=len(patients))
    assert ("validated, and others may lead" in wanted.text()) == (len(patients) < 4)
    verdict = json.loads((run.place / "verdict.json").read_text())
    assert verdict == {"kind": wanted.kind, "text": wanted.text(), "next_step": wanted.next_step}
    assert verdict["kind"]
    assert verdict["next_step"]
    assert heard.tagged["head.verdict"] == wanted.text()[:500]


@pytest.mark.slow
def test_a_verdict_is_given_of_one_epoch_too(make_work, make_run, heard):
    run = make_run()
    start(make_step(epochs=1), make_work(), run)

    assert json.loads((run.place / "verdict.json").read_text())["text"].startswith(
        heard.tagged["fit.verdict"]
    )


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_the_best_weights_are_those_of_the_least_loss_where_that_is_asked_for(make_work, make_run, heard):
    run = make_run()
    work = start(make_step(epochs=4, best_by="loss"), make_work(), run)

    rows = json.loads((run.place / "history.json").read_text())
    best = min(rows, key=lambda row: row["val/loss"])
    assert heard.tagged["fit.best_epoch"] == str(int(best["epoch"]))
    assert heard.tagged["fit.best_by"] == "loss"
    assert heard.tagged["val/score.of"] == f"dice of {', '.join(work.predictor.task.select)}"
    (said,) = [text for text in heard.said if f"validation score {best['val/score']:.3f}" in text]
    assert said.endswith("; the epoch was chosen by loss).")
    assert not work.predictor.network.training


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_a_binary_mask_learns_on_pictures(make_picture_work, make_run, tmp_path):
    """The same step, without a word of what kind the task or the files are."""
    data = write_emps(tmp_path / "emps", cases=6, size=(24, 32), seed=4)
    roles = {"01": "train", "02": "train", "03": "val"}
    work = make_picture_work(data, "emps", lambda doi: roles[doi[-2:]])
    task = BinaryMask(work.predictor.task.classes, class_weights="frequency")
    with torch.no_grad():
        work.predictor.network.weight.fill_(0.0)
        work.predictor.network.bias.fill_(0.0)
    run = make_run(batch_size=2)
    begun = replace(work, predictor=replace(work.predictor, task=task))
    done = start(make_step(epochs=6, best_by="loss", pictures_every=6), begun, run)

    rows = json.loads((run.place / "history.json").read_text())
    assert rows[-1]["val/loss"] < rows[0]["val/loss"]
    assert "val/dice/foreground" in rows[0]
    assert Predictor.load(run.place / "predictor").task.spec() == done.predictor.task.spec()


def test_a_score_that_the_validation_masks_do_not_define_is_said_and_not_recorded(
    make_picture_work, make_run, heard, tmp_path
):
    data = write_emps(tmp_path / "emps", cases=4, size=(16, 16), seed=4)
    for name in ("emps03.png", "emps04.png"):  # of the article that is validated on
        write_picture(data / "segmaps" / name, np.zeros((16, 16), np.uint8))
    work = make_picture_work(data, "emps", lambda doi: {"01": "train", "02": "val"}[doi[-2:]], size=(16, 16))
    with torch.no_grad():  # nothing is foreground, after an epoch either
        work.predictor.network.weight.fill_(0.0)
        work.predictor.network.bias.fill_(-50.0)

    start(make_step(epochs=1), work, make_run(batch_size=2))

    assert "validation score not defined (dice of foreground)" in heard.said[-2]
    recorded = {key for _, values in heard.numbers for key in values}
    assert {"val/loss", "epoch/val/loss"} <= recorded
    assert not {"val/score", "epoch/val/score"} & recorded


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_the_best_weights_are_those_of_a_score_that_is_named(make_work, make_run, heard):
    run = make_run()
    start(make_step(epochs=3, best_by="iou"), make_work(), run)

    rows = json.loads((run.place / "history.json").read_text())
    assert heard.tagged["fit.best_epoch"] == str(int(max(rows, key=lambda row: row["val/iou"])["epoch"]))
    assert heard.tagged["fit.best_by"] == "iou"
    names = [key.removeprefix("val/iou/") for key in rows[0] if key.startswith("val/iou/")]
    assert set(names) >= {"healthy", "whole_tumour"}
    for name in names:  # of one case, IoU follows from Dice
        dice = rows[0][f"val/dice/{name}"]
        assert rows[0][f"val/iou/{name}"] == pytest.approx(dice / (2 - dice))


def test_a_score_that_is_not_known_cannot_choose(make_work):
    with pytest.raises(DefinitionError, match="best_by: no score is called 'luck'; known are f1, dice"):
        make_step(best_by="luck").check(make_work().predictor)
    rule = {"_target_": "medseg.learning.AveragePrecisionOrF2"}
    with pytest.raises(DefinitionError, match="best_by: average_precision or f2 are scores of the classes"):
        make_step(best_by=rule).check(make_work().predictor)


@pytest.mark.usefixtures("figureless")
def test_the_weights_of_every_epoch_are_kept_and_can_be_started_from(make_work, make_run, heard):
    run = make_run()
    done = start(make_step(keep="every"), make_work(), run)
    files = sorted((run.place / "epochs").iterdir())
    assert [file.name for file in files] == ["epoch-0001.safetensors", "epoch-0002.safetensors"]
    assert any(text.startswith("The weights of every epoch are kept: 2 files") for text in heard.said)
    spec = {"_target_": "medseg.steps.StartFrom", "weights": str(files[1])}
    again = start(build(spec, at="steps.start", kind=None), make_work(), make_run("start", "other"))
    best = int(heard.tagged["fit.best_epoch"])
    assert equal(weights(again), weights(done)) is (best == 2)


def test_another_word_for_what_is_kept_is_refused():
    with pytest.raises(DefinitionError, match="keep is 'all', expected best or every"):
        make_step(keep="all")
