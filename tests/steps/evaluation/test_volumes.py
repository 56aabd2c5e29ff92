from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import confusion_matrix, f1_score, jaccard_score, precision_score, recall_score

from medseg.errors import DataError, DefinitionError, RunError
from medseg.learning.scores.added.slice_statistics import SliceStatistics
from medseg.learning.scores.counts import confusions
from medseg.learning.scores.tables import read_scores
from medseg.steps.evaluate import Evaluate

STORED = {1: 2, 2: 3, 4: 4}
NAMES = {
    "outside": [0],
    "healthy": [1],
    "necrotic_core": [2],
    "oedema": [3],
    "enhancing": [4],
    "whole_tumour": [2, 3, 4],
}


class ByIntensity(torch.nn.Module):
    """Takes the class from how bright FLAIR and T1ce are: right here and there, and never random."""

    def forward(self, image):
        flair, t1ce = image[:, 0], image[:, 2]
        outside = (image == 0).all(dim=1)
        logits = torch.stack(
            [10.0 * outside, 3.5 - flair, t1ce * 0 + 0.2, flair - t1ce, t1ce + flair - 1], dim=1
        )
        return logits.float()


@pytest.fixture
def make_scored(make_work, make_run):
    def make(role="test", distances=True, **kinds):
        work = make_work(**kinds)
        work = replace(work, predictor=replace(work.predictor, network=ByIntensity()))
        run = make_run("evaluate")
        return Evaluate(role, distances=distances)(work, run), run

    return make


def truth_and_prediction(work, case):
    """Class indices on the file's grid: the truth read with nibabel alone, the prediction as labels."""
    stored = np.asarray(nibabel.load(case.mask).dataobj)
    channels = [np.asarray(nibabel.load(path).dataobj) for path in case.images.values()]
    truth = np.where(np.any(np.stack(channels) != 0, axis=0), 1, 0)
    for value, index in STORED.items():
        truth[stored == value] = index
    return truth, work.predictor.predict(case).labels


@pytest.mark.slow
@pytest.mark.parametrize("role", ["test", "val"])
@pytest.mark.usefixtures("figureless")
def test_scores_are_those_of_the_predicted_label_maps(make_scored, role):
    work, run = make_scored(role)
    table = pd.read_csv(run.folder / "scores" / f"{role}.csv")
    assert work.tables == {role: run.folder / "scores" / f"{role}.csv"}
    assert sorted(table["case"].unique()) == list(work.split.cases(role))
    for case in work.of(role):
        truth, predicted = truth_and_prediction(work, case)
        for name, members in NAMES.items():
            row = table[(table["case"] == case.id) & (table["name"] == name)].iloc[0]
            t, p = np.isin(truth, members).ravel(), np.isin(predicted, members).ravel()
            expected = {"dice": f1_score(t, p), "f1": f1_score(t, p), "iou": jaccard_score(t, p)}
            expected["recall"] = recall_score(t, p)
            expected["specificity"] = recall_score(~t, ~p)
            if p.any():
                expected["precision"] = precision_score(t, p)
            for score, value in expected.items():
                assert row[score] == pytest.approx(value), (name, score)
            assert row["volume_truth_ml"] == pytest.approx(t.sum() / 1000)
            assert row["volume_difference_ml"] == pytest.approx((int(p.sum()) - int(t.sum())) / 1000)
    dice = table[table["name"] == "whole_tumour"]["dice"]
    assert 0.05 < dice.mean() < 1, "an oracle that says all or nothing proves nothing"


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_metrics_are_means_over_patients_and_the_matrix_is_pooled(make_scored, heard):
    work, run = make_scored()
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    ((step, metrics),) = heard.numbers
    assert step == 0
    for name in NAMES:
        of_name = table[table["name"] == name]
        assert metrics[f"test/dice/{name}"] == pytest.approx(of_name["dice"].mean())
    chosen = table[table["name"].isin(work.predictor.task.select)]
    of_patients = chosen.groupby("group")["dice"].mean()
    assert metrics["test/dice/mean"] == pytest.approx(of_patients.mean())
    assert metrics["test/dice/mean/low"] == pytest.approx(of_patients.min())  # of two patients
    assert not [key for key in metrics if key.split("/")[1] != "dice"]
    matrix = pd.read_csv(run.folder / "scores" / "test_confusion.csv", index_col=0)
    pairs = [truth_and_prediction(work, case) for case in work.of("test")]
    truth, predicted = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted, labels=range(5)))
    assert list(matrix.index) == list(matrix.columns) == list(work.predictor.task.classes)


@pytest.mark.slow
def test_tables_and_figures_are_written_and_recorded(make_scored, heard):
    _, run = make_scored()
    assert set(heard.artifacts) == {
        *(f"scores/test{end}.csv" for end in ("", "_summary", "_confusion")),
        *(f"figures/test_{name}.png" for name in ("confusion", "dice", "slices", "worst_1", "worst_2")),
        *(f"figures/test_worst_{place}.json" for place in (1, 2)),
    }
    summary = pd.read_csv(run.folder / "scores" / "test_summary.csv")
    assert {"dice", "iou", "hd95", "volume_difference_ml"} <= set(summary["score"])
    assert set(summary["name"]) == {*NAMES, "mean"}
    for path in run.figures.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_distances_can_be_left_out(make_scored):
    _, run = make_scored(distances=False)
    assert pd.read_csv(run.folder / "scores" / "test.csv")["hd95"].isna().all()


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_all_slices_count_also_those_that_are_not_stored(make_scored):
    few, run = make_scored(keep={"contains": "foreground", "draw": 2})
    first = (run.folder / "scores" / "test.csv").read_bytes()
    every, run = make_scored(keep="all")
    assert (run.folder / "scores" / "test.csv").read_bytes() == first
    assert len(few.store.samples) < len(every.store.samples)


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_split_by_slice_only_slices_of_the_role_are_scored(make_scored):
    work, run = make_scored(by="slice")
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    assert table["hd95"].isna().all()
    voxels = 0
    for case in work.of("test"):
        truth, predicted = truth_and_prediction(work, case)
        # BraTS stores slices along its last axis from inferior to superior, as medseg counts them
        mine = [k for k in range(truth.shape[2]) if work.split.role(case.id, k) == "test"]
        rows = table[table["case"] == case.id].set_index("name")
        if not mine:
            assert rows.empty
            continue
        voxels += truth[..., mine].size
        assert len(mine) < truth.shape[2]
        for name, members in NAMES.items():
            t, p = (np.isin(labels[..., mine], members).ravel() for labels in (truth, predicted))
            if t.any() or p.any():
                assert rows.loc[name, "dice"] == pytest.approx(f1_score(t, p))
            assert rows.loc[name, "volume_truth_ml"] == pytest.approx(t.sum() / 1000)
    matrix = pd.read_csv(run.folder / "scores" / "test_confusion.csv", index_col=0)
    assert matrix.to_numpy().sum() == voxels


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_recalling_gives_the_same_tables_without_predicting(make_scored, make_work):
    work, run = make_scored()
    fresh = make_work()

    class Never(torch.nn.Module):
        def forward(self, image):
            raise AssertionError("predicted again")

    fresh = replace(fresh, predictor=replace(fresh.predictor, network=Never()))
    recalled = Evaluate("test").recall(fresh, run)
    assert recalled.tables == work.tables
    pd.testing.assert_frame_equal(pd.read_csv(recalled.tables["test"]), pd.read_csv(work.tables["test"]))


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_two_roles_have_their_own_tables(make_scored):
    work, run = make_scored("val")
    both = Evaluate("test")(work, run)
    assert set(both.tables) == {"val", "test"}
    assert both.tables["val"] != both.tables["test"]


@pytest.mark.slow
def test_a_perfect_network_scores_one(make_work, make_run, monkeypatch):
    work = make_work()
    plain = type(work.predictor).predict_volume

    def perfect(predictor, volume, **options):
        return replace(plain(predictor, volume, **options), labels=volume.geometry.from_ras(volume.label))

    monkeypatch.setattr(type(work.predictor), "predict_volume", perfect)
    done = Evaluate("test")(work, make_run("evaluate"))
    table = pd.read_csv(done.tables["test"])
    assert (table["dice"] == 1).all()
    assert (table["hd95"] == 0).all()


def test_a_role_without_patients_is_named(make_work, make_run):
    work = make_work(roles={f"Brats_00{i}": "train" for i in range(1, 6)})
    with pytest.raises(DataError, match="role test"):
        Evaluate("test")(work, make_run("evaluate"))


def test_a_case_without_a_truth_cannot_be_scored(make_work, make_run):
    work = make_work()
    cases = {name: replace(case, mask=None) for name, case in work.cases.items()}
    with pytest.raises(DataError, match="no truth"):
        Evaluate("test")(replace(work, cases=cases), make_run("evaluate"))


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match="'tset'"):
        Evaluate("tset")


@pytest.mark.usefixtures("figureless")
def test_a_table_of_slices_counts_every_slice_of_every_case(make_work, make_run, heard):
    work = make_work()
    work = replace(work, predictor=replace(work.predictor, network=ByIntensity()))
    run, statistic = make_run("evaluate"), SliceStatistics("whole_tumour")
    Evaluate("test", distances=False, tables=[statistic])(work, run)
    planes = [
        np.concatenate([each.transpose(2, 0, 1) for each in both])
        for both in zip(*(truth_and_prediction(work, case) for case in work.of("test")), strict=True)
    ]
    task = work.predictor.task
    expected = statistic.table(confusions(*planes, 5), task.classes, task.regions)
    found = pd.read_csv(run.folder / "scores" / "test_slice_statistics.csv")
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=1e-9)
    kept = {key: value for _, values in heard.numbers for key, value in values.items()}
    row = expected[(expected["name"] == "whole_tumour") & (expected["score"] == "f1")].iloc[0]
    assert kept["test/slice_statistics/f1/whole_tumour"] == pytest.approx(row["mean"])


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ("slices", "expected a list of objects"),
        ([object()], "expected a list of objects"),
        ([SliceStatistics("whole_tumour"), SliceStatistics("oedema")], "'slice_statistics', which is taken"),
        ([SliceStatistics("oedema", name="summary")], "'summary', which is taken"),
        ([SliceStatistics("oedema", name="slice_counts")], "'slice_counts', which is taken"),
        ([SliceStatistics("core")], "binary is 'core'"),
    ],
)
def test_tables_that_are_none_are_refused_beforehand(make_work, tables, expected):
    with pytest.raises(DefinitionError, match=expected):
        Evaluate("test", tables=tables).check(make_work().predictor)


@pytest.fixture
def tables_of(make_work, tmp_path):
    """Make the evaluation of some cases with a table of slices, and its tables as they are read again."""
    work = make_work()
    predictor = replace(work.predictor, network=ByIntensity())

    def make(*names):
        step = Evaluate("test", distances=False, tables=[SliceStatistics("whole_tumour")])
        evaluation, found = step.evaluation(predictor), {}
        for name in names:
            evaluation.keep(evaluation.asked(work.cases[name], None))
        for ending, table in (evaluation.tables(1) if names else {}).items():
            path = tmp_path / f"{'_'.join(names)}{ending}.csv"
            table.to_csv(path, index=table.index.name is not None)
            found[ending] = read_scores(path)
        return evaluation, found

    return make


def test_tables_of_slices_of_folds_that_are_put_together_are_those_of_all_their_cases(tables_of):
    parts = [tables_of(name)[1] for name in ("Brats_004", "Brats_005")]
    evaluation, _ = tables_of()
    parts = [{ending: part[ending] for ending in evaluation.parts} for part in parts]
    pooled = evaluation.pooled(parts, 1).tables
    together, expected = tables_of("Brats_004", "Brats_005")

    assert pooled.keys() == expected.keys() >= {"_slice_statistics", "_slice_counts"}
    pd.testing.assert_frame_equal(pooled["_slice_statistics"], expected["_slice_statistics"])
    metrics = evaluation.metrics(pooled, "folds")
    assert "folds/slice_statistics/f1/whole_tumour" in metrics
    assert metrics == pytest.approx(together.metrics(expected, "folds"))


def test_counts_of_slices_in_two_folds_are_refused(tables_of):
    evaluation, part = tables_of("Brats_004")
    with pytest.raises(RunError, match="two folds tested the same case"):
        evaluation.pooled([part, part], 1)
