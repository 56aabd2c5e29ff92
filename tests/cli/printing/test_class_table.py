"""The tables that close a run and a prediction of classes of whole images."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from medseg.api.prediction import Predicted, PredictedCase
from medseg.api.result import RunResult
from medseg.cli.printing.class_table import class_score_table
from medseg.cli.printing.predicted import print_predicted
from medseg.learning.scores.classes import ClassScorer
from medseg.learning.tasks.exclusive import OneClass
from medseg.learning.tasks.multilabel import AnyClasses

ODD = ("None", "nan", "[/red]")  # that pandas or rich would take for something else


def written(thing: object, width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, color_system=None).print(thing)
    return stream.getvalue()


def scored(classes: tuple[str, ...], rows: int, *, exclusive: bool = True, seed: int = 0) -> ClassScorer:
    """Images of two patients each, of which somewhat more than half are told rightly."""
    random = np.random.default_rng(seed)
    scorer = ClassScorer(classes, OneClass().with_top(None, len(classes)) if exclusive else AnyClasses())
    for number in range(rows):
        truth = np.zeros(len(classes), dtype=np.uint8)
        truth[number % len(classes)] = 1
        if not exclusive:
            truth = random.integers(0, 2, len(classes)).astype(np.uint8)
        p = random.uniform(0.1, 0.6, len(classes)) + 0.3 * truth
        p = (p / p.sum() if exclusive else p).astype(np.float32)
        scorer.add(f"c{number:03d}", f"p{number // 2:03d}", truth, p)
    return scorer


@pytest.fixture
def result(tmp_path: Path):
    """Make the result of a run that wrote the summary of a scorer."""

    def make(scorer: ClassScorer, *, generated: bool = False) -> RunResult:
        (tmp_path / "scores").mkdir(exist_ok=True)
        scorer.summary(1).to_csv(tmp_path / "scores" / "test_summary.csv", index=False)
        return RunResult("run", tmp_path, "id", "uri", generated, leaking=False)

    return make


def cells(text: str, name: str) -> list[str]:
    """What stands behind a name in its row."""
    (line,) = [line for line in text.splitlines() if line.strip().startswith(f"{name} ")]
    return line.strip().removeprefix(name).split()


def test_scores_of_all_stand_with_their_intervals_and_then_each_class(result):
    scorer = scored(("cat", "dog", "cow"), 60)
    found = {
        (row.name, row.score): row
        for row in scorer.summary(1).to_dict("index").values()
        for row in [_Row(row)]
    }
    text = written(class_score_table(result(scorer), "test"))
    assert text.splitlines()[0].strip() == "test: images"
    told = {
        "accuracy": "accuracy",
        "balanced accuracy": "balanced_accuracy",
        "mean F1": "f1",
        "mean AUROC": "auroc",
        "Cohen's kappa": "cohen_kappa",
        "calibration error": "calibration_error",
    }
    for name, score in told.items():
        row = found["", score]
        between = f"{row.low:.3f}-{row.high:.3f}"
        assert cells(text, name) == [f"{row.mean:.3f}", between, str(row.cases), str(row.patients)]
    for name in scorer.classes:
        shown = [found[name, score].mean for score in ("recall", "specificity", "precision", "f1", "auroc")]
        assert cells(text, name) == ["20", *(f"{each:.3f}" for each in shown)]
    names = [line.split()[0] for line in text.splitlines() if line.split()]
    assert [name for name in names if name in scorer.classes] == ["cat", "dog", "cow"]


class _Row:
    def __init__(self, row: dict) -> None:
        self.__dict__.update(row)


def test_images_that_count_as_patients_are_not_counted_twice(result):
    scorer = ClassScorer(("cat", "dog"), OneClass())
    for number in range(20):
        truth = np.eye(2, dtype=np.uint8)[number % 2]
        scorer.add(f"{number}", f"{number}", truth, np.array([0.6, 0.4], dtype=np.float32))
    assert "patients" not in written(class_score_table(result(scorer), "test"))


def test_of_several_classes_at_once_it_is_told_how_often_all_are_right(result):
    text = written(class_score_table(result(scored(("cat", "dog"), 40, exclusive=False)), "test"))
    assert "all classes right" in text
    assert "Cohen's kappa" not in text


def test_names_are_shown_as_they_are(result):
    text = written(class_score_table(result(scored(ODD, 30), generated=True), "test"))
    assert "test: images, GENERATED DATA" in text
    for name in ODD:
        assert cells(text, name)[0] == "10"


def test_what_is_undefined_is_a_dash(result):
    scorer = ClassScorer(("cat", "dog", "cow"), OneClass())
    for number in range(6):
        truth = np.eye(3, dtype=np.uint8)[number % 2]
        chances = np.array([0.5, 0.3, 0.2] if number < 3 else [0.2, 0.5, 0.3], dtype=np.float32)
        scorer.add(f"{number}", f"{number}", truth, chances)
    text = written(class_score_table(result(scorer), "test"))
    assert cells(text, "cow")[:2] == ["0", "-"]  # no recall of a class that no image has
    assert cells(text, "cow")[-1] == "-"
    assert "nan" not in text


def test_ends_below_nothing_are_no_range_of_dashes(result):
    scorer = ClassScorer(("cat", "dog"), OneClass())
    random = np.random.default_rng(2)
    for number in range(40):
        chance = np.float32(random.uniform(0.1, 0.9))
        pair = np.array([chance, 1 - chance], dtype=np.float32)
        scorer.add(f"{number}", f"{number}", np.eye(2, dtype=np.uint8)[number % 2], pair)
    row = scorer.summary(1).set_index(["name", "score"]).loc[("", "cohen_kappa")]
    assert row["low"] < 0
    text = written(class_score_table(result(scorer), "test"))
    assert f"{row['low']:.3f} to {row['high']:.3f}" in text


@pytest.mark.parametrize("width", [80, 60])
def test_the_table_fits_a_narrow_terminal(result, width):
    text = written(
        class_score_table(result(scored(("cat", "a name that is rather long"), 30)), "test"), width
    )
    assert max(map(len, text.splitlines())) <= width
    assert cells(text, "cat")[0] == "15"
    assert len(cells(text, "calibration error")) == 4


# --- of a prediction


def predicted(classes: tuple[str, ...], said: list[str]) -> Predicted:
    cases = []
    for number, name in enumerate(said):
        chances = {f"probability_{each}": 0.1 * (1 + place) for place, each in enumerate(classes)}
        cases.append(PredictedCase(f"case{number}", None, {"class": name, **chances}, (), 0.5))
    return Predicted(
        tuple(cases), (), {}, pseudonyms=True, title="Classes", noun="", table="classes.csv", first=("class",)
    )


def printed(found: Predicted, width: int = 120) -> str:
    stream, errors = io.StringIO(), io.StringIO()
    console = Console(file=stream, width=width, highlight=False, color_system=None)
    assert print_predicted(console, Console(file=errors), found, Path("out"), show_paths=False) == 0
    assert not errors.getvalue()
    return stream.getvalue()


def test_the_class_and_each_probability_stand_in_a_row():
    text = printed(predicted(("cat", "dog"), ["cat", "dog"]))
    assert cells(text, "case0") == ["cat", "0.100", "0.200", "0.5"]
    assert cells(text, "case1") == ["dog", "0.100", "0.200", "0.5"]
    assert "Wrote classes.csv to out" in text


def test_where_not_all_classes_fit_the_one_that_is_told_has_its_probability():
    classes = tuple(f"a rather long class {number}" for number in range(9))

    text = printed(predicted(classes, [classes[8], f"{classes[0]}; {classes[8]}"]), width=80)

    assert "0.900" in text
    assert "0.100; 0.900" in " ".join(text.split())


def test_of_hundreds_of_images_the_first_are_listed():
    text = printed(predicted(("cat", "dog"), ["cat"] * 300))

    assert len(text.splitlines()) < 60
    assert "And 260 further cases, see classes.csv." in text


def test_no_name_of_a_class_hides_another_column():
    text = printed(predicted(("class", "s", "x_ml", "class_ml"), ["s"]))
    assert cells(text, "case0") == ["s", "0.100", "0.200", "0.300", "0.400", "0.5"]


def test_a_name_in_brackets_is_shown_and_no_style():
    text = printed(predicted(ODD, ["[/red]", "None"]))
    assert cells(text, "case0")[0] == "[/red]"
    assert "nan" in text


def test_without_room_the_class_stays_and_the_rest_is_named():
    classes = tuple(f"class_{number}" for number in range(20))
    text = printed(predicted(classes, ["class_3"]), width=50)
    assert cells(text, "case0")[0] == "class_3"
    assert "Too wide for this terminal, see classes.csv: class_0, class_1" in text
