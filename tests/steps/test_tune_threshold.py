from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medseg.component import build
from medseg.errors import DataError, DefinitionError, RunError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.probability_counts import ProbabilityCounts
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.region_masks import RegionMasks
from medseg.steps.step import Step
from medseg.steps.tune_threshold import TuneThreshold
from medseg.testing.pictures import write_emps, write_lgg

ROLES = ("train", "val", "val", "test", "test")


def role(group):
    """Of the article or patient, by its number."""
    return ROLES[int(group.split("_")[2] if "LG" in group else group.rsplit(".", 1)[1]) - 1]


@pytest.fixture(scope="module")
def written(tmp_path_factory, blur_out):
    """Ten pictures of five articles; never change them, copy them."""
    data = write_emps(tmp_path_factory.mktemp("emps"), cases=10, size=(20, 28), seed=6)
    return blur_out(data, "images/*")


@pytest.fixture
def work(make_picture_work, written):
    return make_picture_work(written, "emps", role, epochs=7)


@pytest.fixture
def unwritten(monkeypatch):
    """Leave tables and figures out where the threshold alone is looked at: drawing takes longest."""
    monkeypatch.setattr(TuneThreshold, "_write", lambda *_: None)


def tune(work, run, **given) -> Step:
    spec = {"_target_": "medseg.steps.TuneThreshold", **given}
    step = build(spec, at="steps.threshold", kind=TuneThreshold)
    step.check(work.predictor)
    return step(work, run)


def truth_of(case):
    """(H, W), read with Pillow alone."""
    return np.asarray(Image.open(case.mask)) > 0


def pixels(work, which):
    """Truth and float32 probability of all pixels of each group in a role."""
    found = {}
    for case in work.of(which):
        chances = work.predictor.predict(case, probabilities=True).probabilities[0][:, :, 0].T
        truths, probabilities = found.setdefault(case.group, ([], []))
        truths.append(truth_of(case).ravel())
        probabilities.append(chances.ravel())
    return {group: tuple(np.concatenate(each) for each in pair) for group, pair in found.items()}


def f1(truth, predicted):
    both, sums = (truth & predicted).sum(), truth.sum() + predicted.sum()
    return 2 * both / sums if sums else np.nan


def iou(truth, predicted):
    either = (truth | predicted).sum()
    return (truth & predicted).sum() / either if either else np.nan


def recall(truth, predicted):
    return (truth & predicted).sum() / truth.sum() if truth.any() else np.nan


def accuracy(truth, predicted):
    return (truth == predicted).mean()


BRUTE = {"f1": f1, "iou": iou, "accuracy": accuracy, "recall": recall}


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
@pytest.mark.parametrize("score", list(BRUTE))
@pytest.mark.parametrize("over", ["pooled", "groups"])
def test_no_threshold_is_better_and_its_score_is_that_of_trying_all(work, make_run, heard, score, over):
    run = make_run("threshold")
    done = tune(work, run, score=score, over=over)
    groups = pixels(work, "val")
    assert len(groups) == 2
    if over == "pooled":
        groups = {"all": tuple(np.concatenate(each) for each in zip(*groups.values(), strict=True))}

    def at(threshold):
        return float(np.nanmean([BRUTE[score](t, p >= np.float32(threshold)) for t, p in groups.values()]))

    tried = {float(t): at(t) for t in np.unique(np.concatenate([p for _, p in groups.values()]))}
    assert len(tried) > 50
    threshold = done.predictor.task.threshold
    assert at(threshold) == pytest.approx(max(tried.values()), abs=1e-12)
    ((step, metrics),) = heard.numbers
    assert step == 7
    assert metrics == {
        "threshold/value": threshold,
        f"threshold/{score}": pytest.approx(at(threshold)),
        f"threshold/{score}_at_half": pytest.approx(at(0.5)),
    }
    table = pd.read_csv(run.place / "thresholds.csv")
    np.testing.assert_allclose(table["threshold"], np.arange(11) / 10)
    np.testing.assert_allclose(table[score], [at(t / 10) for t in range(11)])


@pytest.mark.slow
def test_the_search_finds_more_than_a_half_gives(work, make_run, heard):
    """Otherwise the tests above would prove nothing."""
    done = tune(work, make_run("threshold"))
    ((_, metrics),) = heard.numbers
    assert metrics["threshold/f1"] > metrics["threshold/f1_at_half"] + 0.01
    assert done.predictor.task.threshold != 0.5


def shuffled(mask):
    return np.random.default_rng(1).permutation(mask.ravel()).reshape(mask.shape)


def inverted(mask):
    return np.where(mask > 0, 0, 1).astype(np.uint16)


def emptied(mask):
    return np.zeros_like(mask)


def spoilt(written, tmp_path, change, which, reference):
    """A copy of the data in which the truths of a role are changed."""
    data = tmp_path / "spoilt"
    shutil.copytree(written, data)
    for case in reference.of(which):
        path = data / "segmaps" / case.mask.name
        Image.fromarray(change(np.asarray(Image.open(path)))).save(path)
    return data


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
@pytest.mark.parametrize("change", [shuffled, inverted, emptied])
@pytest.mark.parametrize("which", ["test", "train"])
@pytest.mark.parametrize("over", ["pooled", "groups"])
def test_other_truths_than_those_of_validation_never_change_the_threshold(
    make_picture_work, make_run, written, work, tmp_path, change, which, over
):
    expected = tune(work, make_run("threshold"), over=over).predictor.task.threshold
    data = spoilt(written, tmp_path, change, which, work)
    other = make_picture_work(data, "emps", role)
    assert any((truth_of(case) != truth_of(work.cases[case.id])).any() for case in other.of(which))
    found = tune(other, make_run("threshold", folder="other"), over=over)
    assert found.predictor.task.threshold == expected


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
@pytest.mark.parametrize("change", [shuffled, inverted])
def test_truths_of_validation_do_change_it(make_picture_work, make_run, written, work, tmp_path, change):
    expected = tune(work, make_run("threshold")).predictor.task.threshold
    other = make_picture_work(spoilt(written, tmp_path, change, "val", work), "emps", role)
    assert tune(other, make_run("threshold", folder="other")).predictor.task.threshold != expected


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
def test_no_file_of_a_test_case_is_needed(make_picture_work, make_run, written, work, tmp_path):
    expected = tune(work, make_run("threshold")).predictor.task.threshold
    data = tmp_path / "gone"
    shutil.copytree(written, data)
    other = make_picture_work(data, "emps", role)
    for case in (*other.of("test"), *other.of("train")):
        for path in case.files.values():
            path.unlink()
    assert tune(other, make_run("threshold", folder="other")).predictor.task.threshold == expected


@pytest.mark.usefixtures("unwritten")
def test_validation_cases_alone_are_read(work, make_run, monkeypatch):
    read = []
    plain = Predictor.read
    monkeypatch.setattr(Predictor, "read", lambda self, case: read.append(case.id) or plain(self, case))
    tune(work, make_run("threshold"))
    assert sorted(read) == list(work.split.cases("val"))
    assert TuneThreshold().roles == ("val",)


@pytest.mark.slow
@pytest.mark.usefixtures("unwritten")
@pytest.mark.parametrize(("fit", "size"), [("tile", (16, 16)), ("resize", (20, 28)), ("resize", (16, 40))])
def test_probabilities_are_those_of_whole_files_however_they_are_cut(
    make_picture_work, make_run, written, work, fit, size
):
    expected = tune(work, make_run("threshold")).predictor.task.threshold
    run = make_run("threshold", folder="other")
    done = tune(make_picture_work(written, "emps", role, fit=fit, size=size), run)
    groups = pixels(done, "val")
    truth, chances = (np.concatenate(each) for each in zip(*groups.values(), strict=True))
    best = max(f1(truth, chances >= t) for t in np.unique(chances))
    assert f1(truth, chances >= np.float32(done.predictor.task.threshold)) == pytest.approx(best, abs=1e-12)
    if size != (16, 40):  # nothing is interpolated
        assert done.predictor.task.threshold == pytest.approx(expected, abs=0.02)


@pytest.mark.slow
def test_the_slices_of_a_patient_are_one_group(make_picture_work, make_run, tmp_path, heard, blur_out):
    data = write_lgg(tmp_path / "lgg", patients=5, slices=3, size=(16, 18), seed=2)
    blur_out(data, "**/*[0-9].tif")
    work = make_picture_work(data, "lgg", role)
    done = tune(work, make_run("threshold"), over="groups")
    groups = pixels(work, "val")
    assert [truth.size for truth, _ in groups.values()] == [3 * 16 * 18] * 2
    thresholds = np.unique(np.concatenate([chances for _, chances in groups.values()]))
    best = max(np.mean([f1(t, p >= each) for t, p in groups.values()]) for each in thresholds)
    assert heard.numbers[0][1]["threshold/f1"] == pytest.approx(best)
    at = np.float32(done.predictor.task.threshold)
    assert np.mean([f1(t, p >= at) for t, p in groups.values()]) == pytest.approx(best)


@pytest.mark.usefixtures("unwritten")
def test_the_threshold_is_left_in_the_task_and_nothing_else_is_changed(work, make_run):
    done = tune(work, make_run("threshold"))
    assert work.predictor.task.threshold == 0.5
    assert done.predictor.task.spec() == {
        **work.predictor.task.spec(),
        "threshold": done.predictor.task.threshold,
    }
    assert replace(done.predictor, task=work.predictor.task) == work.predictor
    assert replace(done, predictor=work.predictor) == work


@pytest.mark.usefixtures("unwritten")
def test_a_saved_model_has_the_threshold_and_predicts_with_it(work, make_run, tmp_path):
    done = tune(work, make_run("threshold"))
    loaded = Predictor.load(done.predictor.save(tmp_path / "model"))
    assert loaded.task.threshold == done.predictor.task.threshold
    for case in work.of("test"):
        found = loaded.predict(case, probabilities=True)
        wanted = found.probabilities[0] >= np.float32(loaded.task.threshold)
        np.testing.assert_array_equal(found.labels == 1, wanted)
    assert any((loaded.predict(c).labels != work.predictor.predict(c).labels).any() for c in work.of("test"))


@pytest.mark.usefixtures("unwritten")
def test_recalling_gives_the_same_threshold_without_reading(work, make_run, monkeypatch):
    run = make_run("threshold")
    done = tune(work, run)
    monkeypatch.setattr(Predictor, "read", None)
    recalled = TuneThreshold().recall(work, run)
    assert recalled.predictor.task.threshold == done.predictor.task.threshold
    saved = json.loads((run.place / "threshold.json").read_text())
    assert saved == {"threshold": done.predictor.task.threshold}


@pytest.mark.slow
def test_what_was_found_is_recorded_drawn_and_said(work, make_run, heard):
    run = make_run("threshold")
    threshold = tune(work, run).predictor.task.threshold
    assert heard.artifacts == ["tables/thresholds.csv", "figures/threshold_curve.png"]
    assert (run.figures / "threshold_curve.png").read_bytes().startswith(b"\x89PNG")
    assert heard.tagged == {"threshold.threshold": f"{threshold:.6g}", "threshold.role": "val"}
    assert any(f"Threshold {threshold:.4f}" in text and "4 validation cases" in text for text in heard.said)


def test_a_task_without_a_threshold_is_refused_before_anything_runs(make_work):
    with pytest.raises(DefinitionError, match=r"RegionMasks, got ClassMasks"):
        TuneThreshold().check(make_work().predictor)


@pytest.mark.parametrize("wrong", [{"score": "luck"}, {"over": "cases"}])
def test_settings_that_do_not_exist_are_refused_by_name(wrong):
    with pytest.raises(DefinitionError, match=next(iter(wrong))):
        build({"_target_": "medseg.steps.TuneThreshold", **wrong}, at="steps.threshold", kind=TuneThreshold)


def test_a_validation_case_without_truth_is_refused(work, make_run):
    bare = {name: replace(case, mask=None) for name, case in work.cases.items()}
    with pytest.raises(DataError, match="no truth"):
        tune(replace(work, cases=bare), make_run("threshold"))


@pytest.mark.slow
def test_without_any_foreground_to_search_by_the_threshold_stays_and_that_is_said(
    make_picture_work, make_run, heard, written, work, tmp_path
):
    """Such masks are legal, and must not throw a training away."""
    other = make_picture_work(spoilt(written, tmp_path, emptied, "val", work), "emps", role, threshold=0.3)
    run = make_run("threshold")
    assert tune(other, run).predictor.task.threshold == 0.3
    assert TuneThreshold().recall(work, run).predictor.task.threshold == 0.3
    assert any("stays at 0.3" in text and "no foreground pixel" in text for text in heard.said)
    assert heard.tagged == {"threshold.threshold": "0.3", "threshold.role": "none: not searched"}
    assert not heard.numbers
    assert not heard.artifacts


def test_the_class_of_masks_of_several_classes_is_no_binary_mask(work, make_run):
    other = replace(work.predictor, task=ClassMasks(("background", "foreground")))
    with pytest.raises(DefinitionError, match="Take the step out, or change the task"):
        tune(replace(work, predictor=other), make_run("threshold"))


def test_by_slice_only_validation_slices_are_searched(make_work, make_run, monkeypatch):
    seen = {}

    def keep(groups, **_):
        seen.update(groups)
        raise DataError("enough is known.")

    monkeypatch.setattr("medseg.steps.tune_threshold.search", keep)
    work = make_work(by="slice")
    predictor = replace(work.predictor, network=torch.nn.Conv2d(4, 1, 1).eval(), task=BinaryMask())
    work = replace(work, predictor=predictor)
    tune(work, make_run("threshold"))
    every, wanted = 0, 0
    for case in work.of("val"):
        rows, columns, slices = predictor.read(case).label.shape
        every += rows * columns * slices
        wanted += rows * columns * sum(work.split.role(case.id, place) == "val" for place in range(slices))
    assert sum(counts.foreground + counts.background for counts in seen.values()) == wanted
    assert 0 < wanted < every


@pytest.mark.parametrize(
    "kept", ["5", "{}", '{"threshold": "x"}', '{"threshold": [1]}', '{"threshold": 1.5}', "null"]
)
def test_a_kept_threshold_that_is_none_is_refused(make_run, kept):
    run = make_run("threshold")
    run.place.mkdir(parents=True, exist_ok=True)
    (run.place / "threshold.json").write_text(kept)

    with pytest.raises(RunError, match=r"threshold\.json of the run is damaged"):
        TuneThreshold().recall(
            SimpleNamespace(predictor=SimpleNamespace(task=BinaryMask(["no", "yes"]))), run
        )


REGIONS = {"head": [1, 2, 3, 4], "whole": [2, 3, 4], "core": [2, 4], "active": [4]}
CLASSES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")


@pytest.fixture
def of_regions(make_work):
    """An untrained network with a logit for each region, far from 0.5."""
    work = make_work()
    task = RegionMasks(CLASSES, REGIONS)
    spec = {**work.predictor.network_spec, "out_channels": 4}
    torch.manual_seed(1)
    network = build(spec, at="network", kind=torch.nn.Module)
    return replace(work, predictor=replace(work.predictor, network=network, network_spec=spec, task=task))


@pytest.mark.slow
def test_each_region_gets_the_threshold_that_is_best_for_it_alone(of_regions, make_run, heard):
    run = make_run("threshold")
    done = tune(of_regions, run, score="iou")
    found = done.predictor.task.cuts

    read = {name: ([], []) for name in found}
    for case in of_regions.of("val"):
        stored = np.asarray(nibabel.load(case.mask).dataobj)
        chances = of_regions.predictor.predict(case, probabilities=True).probabilities
        images = np.stack([np.asarray(nibabel.load(path).dataobj) for path in case.images.values()])
        head = (stored > 0) | (images != 0).any(axis=0)
        truths = {
            "head": head,
            "whole": stored > 0,
            "core": np.isin(stored, (1, 4)),
            "active": stored == 4,
        }
        for name, chance in zip(found, chances, strict=True):
            read[name][0].append(truths[name].ravel())
            read[name][1].append(chance.ravel())
    (numbers,) = [{key: value for _, each in heard.numbers for key, value in each.items()}]
    for name, (truths, chances) in read.items():
        truth, chance = np.concatenate(truths), np.concatenate(chances)
        value = iou(truth, chance >= np.float32(found[name]))
        tried = np.quantile(chance, np.linspace(0, 1, 60))
        assert value >= max(iou(truth, chance >= each) for each in tried) - 1e-9
        assert numbers[f"threshold/{name}/iou"] == pytest.approx(value)
        assert numbers[f"threshold/{name}/value"] == found[name]
        assert (run.place / f"thresholds_{name}.csv").is_file()
    assert len(set(found.values())) == 4
    again = TuneThreshold("iou").recall(of_regions, run)
    assert again.predictor.task == done.predictor.task
    assert done.predictor.task.regions == of_regions.predictor.task.regions


def test_a_region_without_foreground_keeps_its_threshold(of_regions, make_run, heard, unwritten):
    task = replace_cuts(of_regions.predictor.task, active=0.7)
    bare = replace(of_regions, predictor=replace(of_regions.predictor, task=task))

    def without(case, work, task):
        return {
            name: ProbabilityCounts.of(np.array([0.2, 0.6], np.float32), np.array([name != "active", False]))
            for name in task.cuts
        }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medseg.steps.tune_threshold._counted", without)
        done = tune(bare, make_run("threshold"))
    assert done.predictor.task.cuts["active"] == 0.7
    assert done.predictor.task.cuts["whole"] != 0.7


def replace_cuts(task, **cuts):
    return task.with_cuts({**task.cuts, **cuts})


def test_a_threshold_of_nothing_is_the_least_that_a_region_may_have():
    task = RegionMasks(("no", "yes"), {"all": [1]}).with_cuts({"all": 0.0})
    assert 0 < task.thresholds[0] < 1e-30
    assert task.decide(np.array([[0.0, 1e-20]], np.float32)).tolist() == [0, 1]


@pytest.mark.parametrize("kept", ["{}", '{"thresholds": {"a": 0.5}}', '{"thresholds": 3}'])
def test_kept_thresholds_of_other_regions_are_refused(make_run, kept):
    run = make_run("threshold")
    run.place.mkdir(parents=True, exist_ok=True)
    (run.place / "threshold.json").write_text(kept)
    task = RegionMasks(("no", "rim", "core"), {"whole": [1, 2], "inner": [2]})
    with pytest.raises(RunError, match="damaged"):
        TuneThreshold().recall(SimpleNamespace(predictor=SimpleNamespace(task=task)), run)
