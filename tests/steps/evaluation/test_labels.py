from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from sklearn import metrics

from medseg.component import build
from medseg.errors import DataError, DefinitionError, ModelError
from medseg.images.formats import NIFTI
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.steps.evaluate import Evaluate
from medseg.testing.labelled import write_class_folders, write_labelled_table
from medseg.testing.pictures import write_picture

SIDES = ("left", "right")
ROUND = ("10_x", "2_y", "é (a)")
TAGS = ("low", "b")  # one of which is also what ends the key of an interval
TABLES = ("test.csv", "test_summary.csv", "test_confusion.csv")
FIGURES = {"test_curves", "test_reliability", "test_mistakes", "test_confusion", "test_attention"}


@pytest.fixture
def drawn(monkeypatch):
    """The figures by the name of their files; tests that do not ask for them do without, which take seconds."""
    figures = {}

    def keep(figure, path):
        figure.draw_without_rendering()
        figures[path.stem] = figure
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        return path

    monkeypatch.setattr("medseg.steps.evaluate.save_figure", keep)
    return figures


@pytest.fixture(autouse=True)
def undrawn(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(Evaluate, "_draw", lambda *_: None)


@pytest.fixture(scope="session")
def sides(tmp_path_factory):
    """Eight pictures of discs at the left or the right, three of them in the folder of the other class."""
    folder = write_class_folders(tmp_path_factory.mktemp("sides"), SIDES, cases=4)
    for name, other, number in (("left", "right", 1), ("right", "left", 2), ("right", "left", 3)):
        shutil.move(folder / name / f"{number:04d}.png", folder / other / f"was_{name}_{number}.png")
    return folder


@pytest.fixture(scope="session")
def ring(tmp_path_factory):
    """Twelve pictures of three classes, whose discs lie anywhere."""
    return write_class_folders(tmp_path_factory.mktemp("ring"), ROUND, cases=4, learnable=False, seed=1)


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
    """Fourteen pictures of five patients with any of two classes; of four the table is wrong."""
    folder = write_labelled_table(tmp_path_factory.mktemp("tagged"), TAGS, cases=14, many=True, patients=5)
    lines = (folder / "labels.csv").read_text(encoding="utf-8").splitlines()
    for row in (3, 6, 7, 12):
        head, first, second = lines[row].rsplit(",", 2)
        lines[row] = f"{head},{1 - int(first)},{second}"
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def make_step(role="test", **given):
    spec = {"_target_": "medseg.steps.Evaluate", "role": role, **given}
    return build(spec, at="steps.evaluate", kind=Evaluate)


def evaluate(work, run, role="test", **given):
    step = make_step(role, **given)
    step.check(work.predictor)
    return step(work, run)


def table(run, role="test"):
    return pd.read_csv(run.folder / "scores" / f"{role}.csv", keep_default_na=False, dtype={"case": str})


def summary(run, role="test"):
    found = pd.read_csv(run.folder / "scores" / f"{role}_summary.csv", keep_default_na=False)
    return found.set_index(["name", "score"])


def value(run, score, name=""):
    written = summary(run).loc[(name, score), "mean"]
    return float("nan" if written == "" else written)


def columns(frame, classes):
    return frame[[f"probability_{name}" for name in classes]].to_numpy()


def texts(figure):
    return [text.get_text() for text in figure.texts]


# --- what is said of each image


def cut(picture, fit):
    """The slices of a picture of 24 x 32, written down by hand."""
    if fit == "pad":  # the middle of it
        return [picture[:, 2:22, 4:28]]
    if fit == "tile":  # four of 16 x 16, whose upper and lower ones overlap
        return [picture[:, row : row + 16, column : column + 16] for row in (0, 8) for column in (0, 16)]
    for axis in (1, 2):  # twice as large; linear between the middles of pixels
        side = picture.shape[axis]
        place = np.clip((np.arange(2 * side) + 0.5) / 2 - 0.5, 0, side - 1)
        picture = np.apply_along_axis(
            lambda line, place=place: np.interp(place, np.arange(len(line)), line), axis, picture
        )
    return [picture]


SIZES = {"pad": (20, 24), "tile": (16, 16), "resize": (48, 64)}


@pytest.mark.parametrize("fit", SIZES)
@pytest.mark.parametrize("colours", [False, True])
def test_probabilities_are_those_of_the_network_on_the_slices_of_the_file(
    make_class_work, make_run, sides, fit, colours
):
    work = make_class_work(sides, SIDES, colours=colours, fit=fit, size=SIZES[fit], overlap=0.0)
    evaluate(work, make_run())
    frame = table(make_run())
    assert frame["case"].tolist() == sorted(work.cases)
    for row in frame.to_dict("records"):
        path = next(iter(work.cases[row["case"]].images.values()))
        with Image.open(path) as image:
            picture = np.asarray(image.convert("RGB" if colours else "L"), dtype=float)
        picture = np.moveaxis(picture, 2, 0) if colours else picture[None]
        with torch.no_grad():
            logits = work.predictor.network(torch.tensor(np.stack(cut(picture, fit)), dtype=torch.float32))
        expected = torch.softmax(logits.double(), dim=1).mean(dim=0).numpy()
        assert [row["probability_left"], row["probability_right"]] == pytest.approx(expected, abs=1e-5)
        assert row["predicted"] == SIDES[expected.argmax()]
        assert row["confidence"] == pytest.approx(expected.max(), abs=1e-5)
        assert row["truth"] == path.parent.name
        assert row["correct"] == (row["truth"] == row["predicted"])
    assert 0 < frame["correct"].sum() < len(frame)


def test_a_blank_picture_is_told_too(make_class_work, make_run, sides, tmp_path):
    data = shutil.copytree(sides, tmp_path / "data")
    write_picture(data / "left" / "blank.png", np.full((24, 32), 90, np.uint8))
    work = make_class_work(data, SIDES)
    evaluate(work, make_run())
    blank = table(make_run()).set_index("case").loc[_named(work, "blank")]
    assert blank["confidence"] == 0.5
    assert blank["predicted"] == "left"  # the first of equals


def _named(work, stem):
    return next(case.id for case in work.cases.values() if next(iter(case.images.values())).stem == stem)


# --- scores


@pytest.mark.parametrize(("classes", "data"), [(SIDES, "sides"), (ROUND, "ring")])
def test_scores_are_those_of_scikit_learn_on_the_columns_of_the_table(
    make_class_work, make_run, request, classes, data
):
    run = make_run()
    work = evaluate(make_class_work(request.getfixturevalue(data), classes), run)
    assert work.tables == {"test": run.folder / "scores" / "test.csv"}
    frame = table(run)
    truth, said, p = frame["truth"], frame["predicted"], columns(frame, classes)
    of = {"labels": list(classes), "zero_division": np.nan}
    expected = {
        "accuracy": metrics.accuracy_score(truth, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(truth, said),
        "cohen_kappa": metrics.cohen_kappa_score(truth, said),
        "f1": metrics.f1_score(truth, said, average="macro", **of),
        "f2": metrics.fbeta_score(truth, said, beta=2, average="macro", **of),
        "log_loss": metrics.log_loss(truth, p.astype(np.float32), labels=list(classes)),
        "auroc": np.mean([metrics.roc_auc_score(truth == name, p[:, k]) for k, name in enumerate(classes)]),
    }
    assert {score: value(run, score) for score in expected} == pytest.approx(expected, abs=1e-5)
    matrix = pd.read_csv(run.folder / "scores" / "test_confusion.csv", index_col="truth")
    assert matrix.columns.tolist() == matrix.index.tolist() == list(classes)
    assert np.array_equal(matrix, metrics.confusion_matrix(truth, said, labels=list(classes)))
    for k, name in enumerate(classes):
        assert value(run, "recall", name) == metrics.recall_score(truth, said, labels=[name], average="macro")
        assert value(run, "support", name) == (truth == name).sum()
        ranked = metrics.average_precision_score(truth == name, p[:, k])
        assert value(run, "average_precision", name) == pytest.approx(ranked, abs=1e-6)


@pytest.mark.slow
def test_images_with_several_classes_or_none_are_scored_class_by_class(make_class_work, make_run, tagged):
    run = make_run()
    work = make_class_work(tagged, TAGS, many=True)
    evaluate(work, run)
    frame = table(run)
    truth = np.array([[name in each.split("; ") for name in TAGS] for each in frame["truth"]])
    p = columns(frame, TAGS)
    assert set(frame["truth"]) == {"", "low", "b", "low; b"} == set(frame["predicted"])
    assert truth.tolist() == [[name in work.cases[case].labels for name in TAGS] for case in frame["case"]]
    assert frame["predicted"].tolist() == [
        "; ".join(name for name, there in zip(TAGS, row, strict=True) if there) for row in p >= 0.5
    ]
    expected = {
        "subset_accuracy": metrics.accuracy_score(truth, p >= 0.5),
        "hamming_loss": metrics.hamming_loss(truth, p >= 0.5),
        "f1": metrics.f1_score(truth, p >= 0.5, average="macro"),
        "f1_micro": metrics.f1_score(truth, p >= 0.5, average="micro"),
        "auroc": metrics.roc_auc_score(truth, p),
    }
    assert {score: value(run, score) for score in expected} == pytest.approx(expected, abs=1e-6)
    assert 0 < expected["subset_accuracy"] < 1
    assert not (run.folder / "scores" / "test_confusion.csv").exists()
    groups = {work.cases[case].group for case in frame["case"]}
    assert summary(run).loc[("", "subset_accuracy"), "patients"] == len(groups) == 5


@pytest.mark.slow
def test_the_threshold_of_the_task_decides_for_prediction_table_scores_and_figures(
    make_class_work, make_run, drawn, tagged
):
    work = make_class_work(tagged, TAGS, many=True)
    evaluate(work, make_run())
    halves = table(make_run())
    at = float(np.sort(columns(halves, TAGS)[columns(halves, TAGS) >= 0.5])[1])  # one that matters
    work = replace(work, predictor=replace(work.predictor, task=ImageTags(TAGS, threshold=at)))
    run = make_run(folder="other")
    evaluate(work, run)
    frame = table(run)
    p = columns(frame, TAGS).astype(np.float32)
    assert np.array_equal(p, columns(halves, TAGS).astype(np.float32))
    assert ((p >= 0.5) != (p >= np.float32(at))).any()
    said = ["; ".join(n for n, there in zip(TAGS, row, strict=True) if there) for row in p >= np.float32(at)]
    assert frame["predicted"].tolist() == said
    predictor = work.predictor
    asked = [predictor.classify(predictor.read_image(work.cases[case])).names for case in frame["case"]]
    assert ["; ".join(names) for names in asked] == said
    truth = np.array([[name in each.split("; ") for name in TAGS] for each in frame["truth"]])
    assert value(run, "f1") == pytest.approx(metrics.f1_score(truth, p >= np.float32(at), average="macro"))
    wrong = frame[~frame["correct"]].sort_values("confidence", ascending=False)
    shown = [
        f"{row.truth or 'none'} → {row.predicted or 'none'}, {row.confidence:.3f}"
        for row in wrong.itertuples()
    ]
    assert texts(drawn["test_mistakes"])[2:] == shown


def test_scores_are_recorded_by_role_score_and_class_once(make_class_work, make_run, heard, tagged):
    evaluate(make_class_work(tagged, TAGS, many=True, epochs=7), make_run())
    ((step, recorded),) = heard.numbers
    assert step == 0
    assert heard.artifacts == ["scores/test.csv", "scores/test_summary.csv"]
    for score, name in (("f1", ""), ("recall", "low"), ("recall", "b")):
        key = "/".join(filter(None, ["test", score, "class low" if name == "low" else name]))
        row = summary(make_run()).loc[(name, score)]
        assert [recorded[key + end] for end in ("", "/low", "/high")] == pytest.approx(
            [float(row[each]) for each in ("mean", "low", "high")]
        )
    assert not any(np.isnan(each) for each in recorded.values())


def test_scores_of_validation_are_called_so(make_class_work, make_run, heard, sides):
    work = make_class_work(sides, SIDES, lambda case: "val" if case.labels == ("left",) else "test")
    done = evaluate(work, make_run(), "val")
    assert list(done.tables) == ["val"]
    assert {key.split("/")[0] for key in heard.numbers[0][1]} == {"val"}
    assert set(table(make_run(), "val")["truth"]) == {"left"}


def test_settings_reach_the_scores(make_class_work, make_run, ring):
    evaluate(make_class_work(ring, ROUND), make_run(), top_k=2, beta=0.5)
    frame = table(make_run())
    places = frame["truth"].map(ROUND.index)
    expected = metrics.top_k_accuracy_score(places, columns(frame, ROUND), k=2)
    assert value(make_run(), "top_2_accuracy") == pytest.approx(expected)
    expected = metrics.fbeta_score(frame["truth"], frame["predicted"], beta=0.5, average="macro")
    assert value(make_run(), "f0.5") == pytest.approx(expected)


@pytest.mark.slow
def test_a_class_that_no_test_image_has_is_told_and_left_out(make_class_work, make_run, heard, drawn, ring):
    work = make_class_work(ring, ROUND, lambda case: "train" if case.labels == ("2_y",) else "test")
    evaluate(work, make_run())
    assert "test: no image has 2_y: left out of means over classes." in heard.said
    assert np.isnan(value(make_run(), "recall", "2_y"))
    lacking = {f"test/{score}/2_y{end}" for score in ("recall", "auroc") for end in ("", "/low", "/high")}
    assert not lacking & set(heard.numbers[0][1])
    frame = table(make_run())
    assert "2_y" in set(frame["predicted"])
    recalls = metrics.recall_score(frame["truth"], frame["predicted"], labels=["10_x", "é (a)"], average=None)
    assert value(make_run(), "balanced_accuracy") == pytest.approx(recalls.mean())
    assert set(drawn) == FIGURES


@pytest.mark.slow
def test_one_class_alone_and_one_patient_are_scored_as_far_as_they_can_be(
    make_class_work, make_run, heard, drawn, sides
):
    work = make_class_work(sides, SIDES, lambda case: "test" if case.labels == ("left",) else "train")
    one = replace(work, cases={name: replace(case, group="p") for name, case in work.cases.items()})
    evaluate(one, make_run())
    assert value(make_run(), "accuracy") == value(make_run(), "recall", "left")
    assert np.isnan(value(make_run(), "auroc"))
    assert "test: all images are of one patient: there are no intervals." in heard.said
    assert set(drawn) == FIGURES


# --- a run that was interrupted


@pytest.mark.slow
def test_recalled_is_what_a_call_gave_and_another_call_gives_the_same(
    make_class_work, make_run, heard, monkeypatch, ring
):
    whole, cut_off = make_run(folder="whole"), make_run(folder="cut")
    done = evaluate(make_class_work(ring, ROUND), whole)
    plain = heard.metrics

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(heard, "metrics", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluate(make_class_work(ring, ROUND), cut_off)
    monkeypatch.setattr(heard, "metrics", plain)
    fresh = make_class_work(ring, ROUND)
    recalled = make_step().recall(fresh, cut_off)
    again = evaluate(fresh, cut_off)
    assert again.tables == recalled.tables
    assert make_step().recall(fresh, whole).tables == done.tables
    assert heard.numbers[0] == heard.numbers[1]
    for name in TABLES:
        assert (whole.folder / "scores" / name).read_bytes() == (
            cut_off.folder / "scores" / name
        ).read_bytes()


# --- figures


@pytest.mark.slow
@pytest.mark.parametrize("room", [16, 3])
def test_the_surest_mistakes_are_shown_the_surest_first(
    make_class_work, make_run, drawn, monkeypatch, ring, room
):
    monkeypatch.setattr("medseg.steps.evaluation.labels._MISTAKES", room)
    monkeypatch.setattr("medseg.steps.evaluation.labels._LOOKED_AT", room)
    evaluate(make_class_work(ring, ROUND), make_run())
    frame = table(make_run())
    wrong = frame[~frame["correct"]].sort_values("confidence", ascending=False)
    said = [f"{row.truth} → {row.predicted}, {row.confidence:.3f}" for row in wrong.itertuples()]
    count = f"all mistakes ({len(wrong)})" if room == 16 else f"3 of {len(wrong)} mistakes"
    assert len(wrong) > 3
    assert texts(drawn["test_mistakes"])[1:] == [
        f"{count} among 12 pictures, the surest first",
        *said[:room],
    ]
    looked = texts(drawn["test_attention"])
    assert looked[looked.index("misses") + 1 :] == said[:room]


@pytest.mark.slow
def test_mistakes_about_several_classes_go_by_the_confidence_of_the_table(
    make_class_work, make_run, drawn, tagged
):
    evaluate(make_class_work(tagged, TAGS, many=True), make_run())
    frame = table(make_run())
    wrong = frame[~frame["correct"]].sort_values("confidence", ascending=False)
    assert texts(drawn["test_mistakes"])[2:] == [
        f"{row.truth or 'none'} → {row.predicted or 'none'}, {row.confidence:.3f}"
        for row in wrong.itertuples()
    ]
    assert set(drawn) == FIGURES - {"test_confusion"}


@pytest.mark.slow
def test_where_it_looked_is_shown_of_the_surest_hit_of_each_class_and_of_the_surest_misses(
    make_class_work, make_run, drawn, sides
):
    evaluate(make_class_work(sides, SIDES), make_run())
    frame = table(make_run()).sort_values("confidence", ascending=False)
    hits = frame[frame["correct"]].drop_duplicates("truth")
    written = texts(drawn["test_attention"])
    middle = written.index("misses")
    assert written[1] == "hits"
    assert written[2:middle] == [
        f"{row.truth} → {row.truth}, {row.confidence:.3f}" for row in hits.itertuples()
    ]
    assert written[middle + 1 :] == [
        f"{row.truth} → {row.predicted}, {row.confidence:.3f}"
        for row in frame[~frame["correct"]].itertuples()
    ]
    assert len(hits) == 2


@pytest.mark.slow
def test_a_network_that_looks_nowhere_gives_all_other_figures_and_says_so(
    make_class_work, make_run, heard, drawn, sides
):
    work = make_class_work(sides, SIDES)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24 * 32, 2)).eval()
    for weights in network.parameters():
        torch.nn.init.constant_(weights, 1e-3)
    evaluate(replace(work, predictor=replace(work.predictor, network=network)), make_run())
    assert set(drawn) == FIGURES - {"test_attention"}
    (said,) = [text for text in heard.said if "looked" in text]
    assert said.startswith("No picture of where the network looked: Sequential has no feature map")
    assert not said.endswith("..")


@pytest.mark.slow
def test_an_error_of_a_model_while_other_figures_are_drawn_is_none_of_where_it_looked(
    make_class_work, make_run, drawn, monkeypatch, sides
):
    def failed(*_, **__):
        raise ModelError("on purpose")

    monkeypatch.setattr("medseg.steps.evaluation.labels.mistake_grid", failed)
    with pytest.raises(ModelError, match="on purpose"):
        evaluate(make_class_work(sides, SIDES), make_run())


# --- what cannot be scored


def test_by_slice_each_picture_is_scored_in_its_own_role_alone(make_class_work, make_run, ring):
    work = make_class_work(ring, ROUND, by={"val": 0.3, "test": 0.3})
    evaluate(work, make_run())
    expected = sorted(name for name in work.cases if work.split.role(name, 0) == "test")
    assert 0 < len(expected) < len(work.cases)
    assert (
        table(make_run())["case"].tolist()
        == expected
        == sorted({each.case for each in work.store.role("test")})
    )


def test_by_slice_volumes_have_no_class_of_their_own(make_class_work, make_run, sides):
    work = make_class_work(sides, SIDES, by={"test": 0.5})
    preparation = replace(work.predictor.preparation, files=NIFTI)
    volumes = replace(work, predictor=replace(work.predictor, preparation=preparation))
    with pytest.raises(DataError, match=r"Set split\.by=group"):
        evaluate(volumes, make_run())


def test_a_role_without_images_is_refused(make_class_work, make_run, sides):
    with pytest.raises(DataError, match=r"no images the role val\. Change split\.val"):
        evaluate(make_class_work(sides, SIDES), make_run(), "val")


def test_an_image_without_a_class_is_refused(make_class_work, make_run, sides):
    work = make_class_work(sides, SIDES)
    unknown = {name: replace(case, labels=None) for name, case in work.cases.items()}
    with pytest.raises(DataError, match="an image has no class"):
        evaluate(replace(work, cases=unknown), make_run())


def test_a_network_whose_answers_are_no_numbers_is_refused(make_class_work, make_run, sides):
    work = make_class_work(sides, SIDES)
    torch.nn.init.constant_(work.predictor.network.features[0].weight, float("nan"))
    (first, *_) = work.of("test")
    with pytest.raises(ModelError, match=f"^{first.id}: the network returned NaN or infinity"):
        evaluate(work, make_run())
    assert not (make_run().folder / "scores").exists()


@pytest.mark.parametrize(
    ("task", "given", "said"),
    [
        (
            ImageClasses(SIDES),
            {"distances": False},
            "no distances of ImageClasses on pictures.*: role, top_k, beta",
        ),
        (
            ClassMasks(("a", "b"), select=["b"]),
            {"top_k": 2},
            "no top_k of ClassMasks on pictures.*: role, distances",
        ),
        (ImageClasses(SIDES), {"top_k": 2}, "top_k is 2 of 2 classes; of two there is none"),
        (ImageClasses(ROUND), {"top_k": 3}, r"top_k is 3 of 3 classes; expected 2\.\.2"),
        (ImageTags(TAGS), {"top_k": 2}, "top_k is of exclusive classes"),
    ],
)
def test_what_does_not_suit_the_task_is_refused_before_anything_runs(
    make_class_work, sides, task, given, said
):
    predictor = replace(make_class_work(sides, SIDES).predictor, task=task)
    with pytest.raises(DefinitionError, match=said):
        make_step(**given).check(predictor)


@pytest.mark.parametrize(
    "given",
    [
        {"role": "all"},
        {"top_k": 1},
        {"top_k": 2.0},
        {"top_k": True},
        {"beta": 0},
        {"beta": float("nan")},
        {"beta": "2"},
        {"beta": True},
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(make_class_work, sides, given):
    (name,) = given
    with pytest.raises(DefinitionError, match=f"{name} is .*expected"):
        make_step(**given).check(make_class_work(sides, SIDES).predictor)
