from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from medseg.figures.classes.class_curves import class_curves
from medseg.figures.classes.roc import RocCurve
from medseg.figures.palette import strokes

NONE = np.array([])
UNDEFINED = RocCurve(NONE, NONE, float("nan"), NONE, NONE, float("nan"), 0.0)


def curves(number, images=400):
    """One class against the rest; later ones are told apart better."""
    random = np.random.default_rng(1)
    truth = random.integers(0, number, images)
    made = {}
    for index in range(number):
        score = random.normal(size=images) + (truth == index) * (0.5 + 3 * index / number)
        fpr, tpr, _ = roc_curve(truth == index, score)
        precision, recall, _ = precision_recall_curve(truth == index, score)
        made[f"class {index}"] = RocCurve(
            fpr,
            tpr,
            roc_auc_score(truth == index, score),
            recall,
            precision,
            average_precision_score(truth == index, score),
            float((truth == index).mean()),
        )
    return made


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_each_class_has_both_areas_in_the_legend_in_the_order_of_the_classes():
    made = curves(6)
    roc, recalls = class_curves(made, heading="test").axes
    assert labels(roc) == ["chance", *(f"{name}: AUROC {one.auroc:.4f}" for name, one in made.items())]
    assert labels(recalls)[:6] == [
        f"{name}: average precision {one.average_precision:.4f}" for name, one in made.items()
    ]


def test_the_prevalences_of_many_classes_are_a_band():
    made = curves(6)
    recalls = class_curves(made).axes[1]
    guesses = sorted(one.prevalence for one in made.values())
    assert labels(recalls)[-1] == f"prevalences {guesses[0]:.3f}–{guesses[-1]:.3f}"
    (band,) = recalls.patches
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((guesses[0], guesses[-1]))


@pytest.mark.slow
def test_of_too_many_classes_the_worst_are_drawn_and_the_rest_is_counted():
    made = curves(30, 1500)
    figure = class_curves({**made, "absent": UNDEFINED}, heading="test")
    worst = sorted(made, key=lambda name: made[name].auroc)
    assert labels(figure.axes[0])[1:] == [f"{name}: AUROC {made[name].auroc:.4f}" for name in worst[:12]]
    assert len(labels(figure.axes[1])) == 13
    rest = f"18 of AUROC {made[worst[12]].auroc:.4f} or higher, 1 whose AUROC is undefined"
    note = f"the 12 of 31 classes with the lowest AUROC; left out: {rest}"
    assert texts(figure) == ["test", note]


def test_undefined_classes_fill_what_room_there_is():
    made = {**curves(3), "absent": UNDEFINED, "missing": UNDEFINED}
    figure = class_curves(made, most=4)
    assert labels(figure.axes[0])[-1] == "absent: AUROC undefined"
    assert texts(figure) == ["the 4 of 5 classes with the lowest AUROC; left out: 1 whose AUROC is undefined"]
    assert len(labels(class_curves(made).axes[0])) == 6


def test_curves_of_one_colour_are_broken_differently():
    looks = [
        (one.get_color(), str(one.get_linestyle()))
        for one in class_curves(curves(12, 900)).axes[0].lines
        if one.get_label() != "chance"
    ]
    assert len(looks) == len(set(looks)) == 12
    assert len({colour for colour, _ in looks}) == 7


@pytest.mark.slow
def test_a_class_looks_the_same_whether_all_are_drawn_or_some():
    made = curves(30, 1500)
    roc, recalls = class_curves(made).axes
    looks = dict(zip(made, strokes(30), strict=True))
    for axes in (roc, recalls):
        drawn = {one.get_label().split(":")[0]: one.get_color() for one in axes.lines}
        shown = [name for name in drawn if name in made]
        assert len(shown) == 12
        assert [drawn[name] for name in shown] == [looks[name]["color"] for name in shown]


def test_the_note_counts_the_classes_of_the_legend_whatever_they_are_called():
    made = {f"_{name}": one for name, one in curves(13).items()}
    figure = class_curves(made)
    assert texts(figure)[0].startswith("the 12 of 13 classes")
    assert len([label for label in labels(figure.axes[0]) if "AUROC" in label]) == 12


@pytest.mark.slow
@pytest.mark.parametrize("number", [2, 12, 30])
def test_nothing_overlaps_and_nothing_is_cut(number):
    made = {f"{name} é 猫 $a_b$ {'x' * 70} {name}": one for name, one in curves(number).items()}
    figure = class_curves(made, heading="heading $x$ " * 30)
    figure.draw_without_rendering()
    parts = [*figure.axes, *figure.texts, *(axes.get_legend() for axes in figure.axes)]
    boxes = [part.get_window_extent() for part in parts]
    boxes += [axes.xaxis.label.get_window_extent() for axes in figure.axes]
    boxes += [axes.title.get_window_extent() for axes in figure.axes]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])


def test_shortened_names_stay_different_and_are_alike_in_both_legends():
    made = {f"{'x' * 40}{name}{'x' * 40}": one for name, one in curves(4).items()}
    figure = class_curves(made)
    roc, recalls = ([label.split(": ")[:-1] for label in labels(axes)] for axes in figure.axes)
    assert roc[1:] == recalls[:4]
    assert [place for place, _ in roc[1:]] == ["1", "2", "3", "4"]


def test_room_for_no_class_is_refused():
    with pytest.raises(ValueError, match="1 or more"):
        class_curves(curves(2), most=0)
    with pytest.raises(ValueError, match="at least one curve"):
        class_curves({})
