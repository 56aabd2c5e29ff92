from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score, roc_curve

from medseg.figures.classes.roc import RocCurve, roc_and_precision_recall

NAN = float("nan")


def curve(seed=1, size=400, prevalence=0.3, operating=None):
    random = np.random.default_rng(seed)
    truth = random.permutation(np.arange(size) < size * prevalence)
    score = random.normal(size=size) + truth
    fpr, tpr, _ = roc_curve(truth, score)
    precision, recall, _ = precision_recall_curve(truth, score)
    areas = roc_auc_score(truth, score), average_precision_score(truth, score)
    return RocCurve(fpr, tpr, areas[0], recall, precision, areas[1], prevalence, operating)


def line(axes, label):
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return found


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_there_are_two_panels_with_their_areas_and_the_lines_of_guessing():
    one = curve()
    figure = roc_and_precision_recall({"particles": one}, "test")
    figure.draw_without_rendering()
    roc, recalls = figure.axes
    assert labels(roc) == ["chance", f"particles: AUROC {one.auroc:.4f}"]
    assert labels(recalls) == [
        f"particles: average precision {one.average_precision:.4f}",
        "prevalence 0.300",
    ]
    assert set(line(recalls, "prevalence 0.300").get_ydata()) == {0.3}
    assert list(line(roc, "chance").get_ydata()) == [0, 1]


def test_the_curves_drawn_have_the_areas_that_are_written():
    one = curve(size=20_000)
    roc, recalls = roc_and_precision_recall({"a": one}).axes
    drawn = line(roc, f"a: AUROC {one.auroc:.4f}")
    assert np.trapezoid(drawn.get_ydata(), drawn.get_xdata()) == pytest.approx(one.auroc, abs=2e-3)
    steps = line(recalls, f"a: average precision {one.average_precision:.4f}")
    assert steps.get_drawstyle() == "steps-pre"
    area = np.sum(np.diff(steps.get_xdata()) * steps.get_ydata()[1:])
    assert area == pytest.approx(one.average_precision, abs=3e-3)


def test_recall_may_rise_or_fall():
    one = curve()
    turned = replace(one, recall=one.recall[::-1], precision=one.precision[::-1])
    assert np.array_equal(one.steps(), turned.steps())
    assert np.all(np.diff(one.steps()[:, 0]) >= 0)


def test_the_threshold_in_use_is_marked_in_both_panels():
    figure = roc_and_precision_recall({"a": curve(operating=(0.1, 0.6, 0.6, 0.7)), "b": curve(2)})
    for axes, place in zip(figure.axes, ((0.1, 0.6), (0.6, 0.7)), strict=True):
        points = [(*one.get_xdata(), *one.get_ydata()) for one in axes.lines if one.get_marker() == "o"]
        assert points == [place, ()]  # the second one stands for it in the legend
        assert labels(axes)[-1] == "threshold in use"


def test_several_prevalences_have_the_colours_of_their_curves():
    curves = {"a": curve(), "b": curve(prevalence=0.6)}
    recalls = roc_and_precision_recall(curves).axes[1]
    flat = {one.get_ydata()[0]: one for one in recalls.lines if list(one.get_xdata()) == [0, 1]}
    assert set(flat) == {0.3, 0.6}
    for name, one in curves.items():
        label = f"{name}: average precision {one.average_precision:.4f}"
        assert flat[one.prevalence].get_color() == line(recalls, label).get_color()
    assert "prevalence 0.300–0.600" in labels(recalls)


def test_what_is_undefined_is_said():
    none = np.array([])
    figure = roc_and_precision_recall({"blank": RocCurve(none, none, NAN, none, none, NAN, NAN)})
    figure.draw_without_rendering()
    assert [labels(axes)[-1] for axes in figure.axes] == [
        "blank: AUROC undefined",
        "blank: average precision undefined",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 6])
def test_nothing_overlaps_and_nothing_is_cut(number):
    curves = {f"é $a_b$ {one} {'x' * 70}": curve(one, operating=(0, 0, 0, 1)) for one in range(number)}
    figure = roc_and_precision_recall(curves, "heading $x$ " * 30)
    figure.draw_without_rendering()
    parts = [*figure.axes, *figure.texts, *(axes.get_legend() for axes in figure.axes)]
    boxes = [part.get_window_extent() for part in parts]
    boxes += [axes.xaxis.label.get_window_extent() for axes in figure.axes]
    for place, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[place + 1 :])


def test_names_with_signs_of_their_own_are_in_both_legends():
    names = ["_hidden", "__init__", "(normal)", "$x$", "a$b$c_d", "<b>", "`tick`, odd"]
    one = curve()
    roc, recalls = roc_and_precision_recall(dict.fromkeys(names, one)).axes
    assert labels(roc) == ["chance", *(f"{name}: AUROC {one.auroc:.4f}" for name in names)]
    shown = [f"{name}: average precision {one.average_precision:.4f}" for name in names]
    assert labels(recalls) == [*shown, "prevalence 0.300"]


def test_curves_of_two_lengths_are_refused():
    with pytest.raises(ValueError, match="recall and precision are"):
        replace(curve(), recall=np.zeros(3), precision=np.zeros(4))


def test_no_curves_are_refused():
    with pytest.raises(ValueError, match="at least one curve"):
        roc_and_precision_recall({})
