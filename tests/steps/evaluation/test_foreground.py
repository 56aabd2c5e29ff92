from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from medseg.component import build
from medseg.errors import DataError, DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.pictures import PICTURE_SCORES
from medseg.splits.split import Split
from medseg.steps.evaluate import Evaluate
from medseg.steps.evaluation import foreground
from medseg.steps.evaluation.seen import see
from medseg.testing.pictures import shapes, write_emps, write_lgg, write_nuclei, write_picture

FIGURES = ("confusion", "masks", "confusion_images", "roc", "reliability")
TABLES = ("test.csv", "test_groups.csv", "test_summary.csv", "test_confusion.csv")
PIXEL_SCORES = {
    "accuracy": accuracy_score,
    "iou": jaccard_score,
    "dice": f1_score,
    "precision": precision_score,
    "recall": recall_score,
    "f1": f1_score,
}
RANKED = {"auroc": roc_auc_score, "average_precision": average_precision_score, "brier": brier_score_loss}


@pytest.fixture
def drawn():
    """Asked for by tests that look at figures; the others do without, which take seconds."""


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(Evaluate, "_draw", lambda *_: None)


@pytest.fixture
def particles(make_picture_work, tmp_path, blur_out):
    """Six pictures of three articles, all but one of them to be scored."""
    data = blur_out(write_emps(tmp_path / "emps", cases=6, size=(20, 28), seed=6), "images/*")
    return make_picture_work(
        data, "emps", lambda doi: "val" if doi.endswith("01") else "test", threshold=0.7, epochs=4
    )


@pytest.fixture
def patients(make_picture_work, tmp_path, blur_out):
    """Three patients of four slices, the first of which shows no tumour."""
    data = write_lgg(tmp_path / "lgg", patients=3, slices=4, size=(18, 21), seed=3)
    blur_out(data, "**/*[0-9].tif")
    return make_picture_work(data, "lgg", lambda _: "test")


def evaluate(work, run, role="test"):
    step = build(
        {"_target_": "medseg.steps.Evaluate", "role": role},
        at="steps.evaluate",
        kind=Evaluate,
    )
    step.check(work.predictor)
    return step(work, run)


def answers(work, cases):
    """Truth by Pillow alone, and what `predict` says, of all pixels of some cases."""
    truths, chances, predicted = [], [], []
    for case in cases:
        truths.append((np.asarray(Image.open(case.mask)) > 0).ravel())
        found = work.predictor.predict(case, probabilities=True)
        chances.append(found.probabilities[0][:, :, 0].T.ravel())
        predicted.append(found.labels[:, :, 0].T.ravel() == 1)
    return tuple(np.concatenate(each) for each in (truths, chances, predicted))


def assert_scores(row, truth, chances, predicted):
    for name, score in PIXEL_SCORES.items():
        if (name in ("precision",) and not predicted.any()) or (name != "accuracy" and not truth.any()):
            continue
        assert row[name] == pytest.approx(score(truth, predicted)), name
    assert row["specificity"] == pytest.approx(recall_score(~truth, ~predicted))
    if truth.any():
        for name, score in RANKED.items():
            assert row[name] == pytest.approx(score(truth, chances), abs=1e-6), name


@pytest.mark.slow
def test_pictures_are_scored_as_their_predicted_masks_are(particles, make_run):
    run = make_run("evaluate")
    evaluate(particles, run)
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    assert list(table["case"]) == list(particles.split.cases("test"))
    assert set(table["name"]) == {"foreground"}
    for _, row in table.iterrows():
        case = particles.cases[row["case"]]
        assert row["group"] == case.group
        assert_scores(row, *answers(particles, [case]))
    assert 0.1 < table["dice"].mean() < 0.999, "an oracle that says all or nothing proves nothing"


@pytest.mark.slow
def test_a_patient_is_scored_over_all_slices(patients, make_run, heard):
    run = make_run("evaluate")
    evaluate(patients, run)
    table = pd.read_csv(run.folder / "scores" / "test_groups.csv")
    assert len(table) == 3
    assert list(table["images"]) == [4, 4, 4]
    for _, row in table.iterrows():
        cases = [case for case in patients.of("test") if case.group == row["group"]]
        assert len(cases) == 4
        assert_scores(row, *answers(patients, cases))
    ((_, metrics),) = heard.numbers
    assert metrics["test/dice/foreground"] == pytest.approx(table["dice"].mean())
    assert summary(run)["foreground", "dice"]["patients"] == 3
    pictures = pd.read_csv(run.folder / "scores" / "test.csv")
    assert len(pictures) == 12
    assert metrics["test/dice/foreground"] != pytest.approx(pictures["dice"].mean())


def summary(run):
    """Rows of the summary by name and score."""
    rows = pd.read_csv(run.folder / "scores" / "test_summary.csv").to_dict("records")
    return {(row["name"], row["score"]): row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["particles", "patients"])
def test_metrics_are_means_over_groups_and_of_all_pixels_together(kind, make_run, heard, request):
    work = request.getfixturevalue(kind)
    run = make_run("evaluate")
    evaluate(work, run)
    ((step, metrics),) = heard.numbers
    assert step == 0
    assert {key.split("/")[1] for key in metrics} == {"dice", "precision", "recall"}
    rows = summary(run)
    for name, score in (("foreground", "dice"), ("foreground/pooled", "recall")):
        for end in ("", "/low", "/high"):
            assert metrics[f"test/{score}/{name}{end}"] == pytest.approx(rows[name, score][end[1:] or "mean"])
    groups = pd.read_csv(run.folder / "scores" / "test_groups.csv")
    assert len(groups) > 1
    pooled = {name: rows["foreground/pooled", name]["mean"] for name in PICTURE_SCORES}
    assert_scores(pooled, *answers(work, work.of("test")))
    for name in PICTURE_SCORES:
        assert rows["foreground", name]["mean"] == pytest.approx(groups[name].mean()), name
        for of in ("foreground", "foreground/pooled"):
            row = rows[of, name]
            assert row["low"] - 1e-9 <= row["mean"] <= row["high"] + 1e-9
            assert row["patients"] == groups[name].notna().sum()


@pytest.mark.slow
def test_tables_and_figures_are_written_and_recorded(particles, make_run, heard, drawn, monkeypatch):
    counted, draw = [], foreground.confusion_figure
    monkeypatch.setattr(
        foreground, "confusion_figure", lambda *given, unit: counted.append(unit) or draw(*given, unit=unit)
    )
    run = make_run("evaluate")
    work = evaluate(particles, run)
    assert work.tables == {"test": run.folder / "scores" / "test.csv"}
    assert set(heard.artifacts) == {
        *(f"scores/{name}" for name in TABLES),
        *(f"figures/test_{name}.png" for name in FIGURES),
    }
    assert {path.name for path in (run.folder / "scores").iterdir()} == set(TABLES)
    assert {path.name for path in run.figures.iterdir()} == {f"test_{name}.png" for name in FIGURES}
    assert counted == ["pixels"]
    for path in run.figures.iterdir():
        image = np.asarray(Image.open(path))
        assert image.std() > 0
    summary = pd.read_csv(run.folder / "scores" / "test_summary.csv")
    assert set(summary["name"]) == {"foreground", "foreground/pooled"}
    assert set(summary["score"]) == set(PICTURE_SCORES)


def test_the_matrix_counts_all_pixels(particles, make_run):
    run = make_run("evaluate")
    evaluate(particles, run)
    matrix = pd.read_csv(run.folder / "scores" / "test_confusion.csv", index_col=0)
    truth, _, predicted = answers(particles, particles.of("test"))
    np.testing.assert_array_equal(matrix, confusion_matrix(truth, predicted))
    assert list(matrix.index) == list(matrix.columns) == ["background", "foreground"]


@pytest.mark.slow
def test_masks_are_scored_at_the_threshold_of_the_task_and_ranks_are_not(particles, make_run, heard):
    for folder, threshold in (("low", 0.2), ("high", 0.9)):
        predictor = replace(particles.predictor, task=particles.predictor.task.at(threshold))
        evaluate(replace(particles, predictor=predictor), make_run("evaluate", folder=folder))
    (_, tracked_low), (_, tracked_high) = heard.numbers
    low, high = (summary(make_run("evaluate", folder=folder)) for folder in ("low", "high"))
    pooled = "foreground/pooled"
    assert low[pooled, "recall"]["mean"] > high[pooled, "recall"]["mean"]
    assert tracked_low[f"test/recall/{pooled}"] > tracked_high[f"test/recall/{pooled}"]
    assert low[pooled, "specificity"]["mean"] < high[pooled, "specificity"]["mean"]
    for name in ("auroc", "average_precision", "brier", "calibration_error"):
        assert low["foreground", name]["mean"] == high["foreground", name]["mean"]


@pytest.mark.parametrize(("fit", "size"), [("tile", (16, 16)), ("resize", (32, 32)), ("pad", (16, 32))])
def test_scores_are_on_the_grid_of_the_file_however_slices_are_cut(
    make_picture_work, make_run, tmp_path, fit, size
):
    data = write_emps(tmp_path / "emps", cases=2, size=(20, 28), seed=6)
    work = make_picture_work(data, "emps", lambda _: "test", fit=fit, size=size, threshold=0.6)
    run = make_run("evaluate")
    evaluate(work, run)
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    for _, row in table.iterrows():
        truth, chances, predicted = answers(work, [work.cases[row["case"]]])
        assert truth.size == 20 * 28
        assert_scores(row, truth, chances, predicted)
        assert row["truth_pixels"] == truth.sum()


def test_certain_probabilities_can_be_scored_after_resizing(make_picture_work, make_run, tmp_path):
    """Interpolation must not bring them above 1, which the counting of probabilities refuses."""
    import torch

    data = write_emps(tmp_path / "emps", cases=2, size=(20, 28), seed=6)
    work = make_picture_work(data, "emps", lambda _: "test", fit="resize", size=(37, 61))
    with torch.no_grad():
        work.predictor.network.weight.fill_(0.0)
        work.predictor.network.bias.fill_(60.0)
    run = make_run("evaluate")
    evaluate(work, run)
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    assert (table["predicted_pixels"] == 20 * 28).all()
    assert (table["recall"] == 1).all()


def test_touching_objects_that_the_truth_numbers_are_counted_apart(make_picture_work, make_run, tmp_path):
    grey, _ = shapes((20, 28), 1)
    numbers = np.zeros((20, 28), dtype=np.uint16)
    numbers[5:15, 4:12], numbers[5:15, 12:20] = 3, 9
    for kind, truth in (("numbered", numbers), ("plain", np.where(numbers > 0, 255, 0).astype(np.uint8))):
        picture = np.where(numbers > 0, 180, 60 + grey % 7).astype(np.uint8)
        write_picture(tmp_path / kind / "images" / "a.png", picture)
        write_picture(tmp_path / kind / "segmaps" / "a.png", truth)
        work = make_picture_work(tmp_path / kind, "emps", lambda _: "test")
        run = make_run("evaluate", folder=f"run-{kind}")
        evaluate(work, run)
        (row,) = pd.read_csv(run.folder / "scores" / "test.csv").to_dict("records")
        assert row["truth_objects"] == (2 if kind == "numbered" else 1)
        assert row["predicted_objects"] == 1
        assert row["object_recall"] == (0 if kind == "numbered" else 1)
        assert row["dice"] == 1


def test_nuclei_in_files_of_their_own_are_objects(make_picture_work, make_run, tmp_path):
    data = write_nuclei(tmp_path / "nuclei", cases=3, size=(20, 28), seed=2)
    work = make_picture_work(data, "nuclei", lambda _: "test")
    run = make_run("evaluate")
    evaluate(work, run)
    table = pd.read_csv(run.folder / "scores" / "test.csv")
    assert list(table["truth_objects"]) == [len(case.objects) for case in work.of("test")]


def test_what_is_seen_has_rows_and_columns_of_the_file(make_picture_work, tmp_path):
    mask = np.zeros((60, 100), dtype=np.uint8)
    mask[8:52, 10:20] = mask[42:52, 10:46] = 255
    write_picture(tmp_path / "data" / "images" / "a.png", np.where(mask, 180, 60).astype(np.uint8))
    write_picture(tmp_path / "data" / "segmaps" / "a.png", mask)
    for fit in ("pad", "tile", "resize"):
        work = make_picture_work(tmp_path / "data", "emps", lambda _: "test", fit=fit, size=(60, 100))
        (case,) = work.of("test")
        seen = see(case, work.predictor)
        np.testing.assert_array_equal(seen.truth, mask > 0)
        np.testing.assert_array_equal(seen.predicted, mask > 0)
        np.testing.assert_array_equal(seen.objects, mask)
        np.testing.assert_array_equal(seen.probability >= 0.5, mask > 0)
        np.testing.assert_array_equal(seen.image, np.where(mask, 180, 60))
        assert seen.truth.dtype == seen.predicted.dtype == np.bool_
        assert seen.probability.dtype == np.float32


def test_a_colour_picture_is_seen_in_its_colours(make_picture_work, tmp_path):
    data = write_nuclei(tmp_path / "nuclei", cases=1, size=(20, 28), modes=("RGB",), stained=1)
    work = make_picture_work(data, "nuclei", lambda _: "test")
    (case,) = work.of("test")
    image = see(case, work.predictor).image
    stored = np.asarray(Image.open(next(iter(case.images.values())))).astype(float)
    assert image.shape == (20, 28, 3)
    expected = (stored - stored.min()) / (stored.max() - stored.min())
    np.testing.assert_allclose(image / 255, expected, atol=0.01)


def test_another_role_has_other_tables(particles, make_run, heard):
    run = make_run("evaluate")
    work = evaluate(particles, run, role="val")
    assert Evaluate("val").roles == ("val",)
    assert work.tables == {"val": run.folder / "scores" / "val.csv"}
    table = pd.read_csv(work.tables["val"])
    assert list(table["case"]) == list(particles.split.cases("val"))
    assert not any(key.startswith("test/") for key in heard.numbers[0][1])


def test_recalling_points_to_the_tables_without_scoring(particles, make_run):
    run = make_run("evaluate")
    done = evaluate(particles, run)
    recalled = Evaluate().recall(particles, run)
    assert recalled.tables == done.tables


@pytest.mark.slow
def test_scoring_twice_gives_the_same_numbers(particles, make_run, heard):
    for folder in ("one", "two"):
        evaluate(particles, make_run("evaluate", folder=folder))
    assert heard.numbers[0] == heard.numbers[1]


@pytest.mark.slow
def test_pictures_without_foreground_anywhere_are_scored_and_drawn(
    make_picture_work, make_run, tmp_path, heard, drawn
):
    data = write_emps(tmp_path / "emps", cases=3, size=(20, 28))
    for path in (data / "segmaps").iterdir():
        write_picture(path, np.zeros((20, 28), dtype=np.uint8))
    work = make_picture_work(data, "emps", lambda _: "test", threshold=0.999)
    run = make_run("evaluate")
    evaluate(work, run)
    ((_, metrics),) = heard.numbers
    assert "test/recall/foreground" not in metrics
    assert summary(run)["foreground/pooled", "specificity"]["mean"] == 1
    assert len(list(run.figures.iterdir())) == len(FIGURES)


def test_settings_of_another_evaluation_are_refused_before_anything_runs(particles):
    with pytest.raises(DefinitionError, match=r"no distances of BinaryMask on pictures; .*: role, scores\."):
        Evaluate(distances=False).check(particles.predictor)


@pytest.mark.slow
def test_by_slice_only_pictures_of_the_role_are_scored(patients, make_run):
    by_slice = Split(
        "slice", 1, {"val": 0.3, "test": 0.4}, {n: c.group for n, c in patients.cases.items()}, {}
    )
    run = make_run("evaluate")
    evaluate(replace(patients, split=by_slice), run)
    expected = sorted(name for name in patients.cases if by_slice.role(name) == "test")
    assert 0 < len(expected) < len(patients.cases)
    assert sorted(pd.read_csv(run.folder / "scores" / "test.csv")["case"]) == expected


def test_a_role_that_does_not_exist_is_refused():
    with pytest.raises(DefinitionError, match="role"):
        build(
            {"_target_": "medseg.steps.Evaluate", "role": "best"},
            at="steps.evaluate",
            kind=Evaluate,
        )


def test_a_role_without_cases_is_named(particles, make_run):
    with pytest.raises(DataError, match="role train"):
        evaluate(particles, make_run("evaluate"), role="train")


def test_a_case_that_cannot_be_scored_is_told_and_the_others_are_scored(
    particles, make_run, heard, monkeypatch
):
    lost, *others = particles.split.cases("test")
    read = Predictor.read

    def starved(self, case):
        if case.id == lost:
            raise MemoryError
        return read(self, case)

    monkeypatch.setattr(Predictor, "read", starved)
    run = make_run("evaluate")
    evaluate(particles, run)
    assert list(pd.read_csv(run.folder / "scores" / "test.csv")["case"]) == others
    assert heard.tagged["evaluate.unscored"] == f"1 of {len(others) + 1}"
    assert any(f"case {lost}" in text and "does not fit into memory" in text for text in heard.said)


def test_a_case_without_truth_is_refused(particles, make_run):
    bare = {name: replace(case, mask=None) for name, case in particles.cases.items()}
    with pytest.raises(DataError, match="no truth"):
        evaluate(replace(particles, cases=bare), make_run("evaluate"))
