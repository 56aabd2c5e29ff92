from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.class_names import key_name
from medseg.figures.learning_curves import learning_curves
from medseg.figures.palette import inks, strokes

CLASSES = ["outside", "core"]
ODD = ["Tumour (grade 2)", "_hidden", "(normal)", "$x$", "<b>", "low", "`tick`, odd", "a$b$c_d"]
NAN = float("nan")


def history(epochs=6):
    return [
        {
            "epoch": epoch,
            "train/loss": 1 / epoch,
            "val/loss": 1.2 / epoch,
            "val/dice/outside": 0.9,
            "val/dice/core": 0.5,
            "val/dice/whole": 0.6,
            "val/score": 0.8 - 0.01 * (epoch - 4) ** 2,
            "learning_rate": 1e-3 / epoch,
            "slices_per_second": 40.0,
        }
        for epoch in range(1, epochs + 1)
    ]


def curve(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def labels(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_there_are_panels_for_losses_learning_rate_and_scores():
    figure = learning_curves(history(), CLASSES)
    figure.draw_without_rendering()
    losses, rates, scores = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["Loss", "Learning rate", "Validation dice"]
    assert labels(losses)[:2] == ["training", "validation"]
    assert labels(scores)[:4] == ["outside", "core", "whole", "selection score"]
    assert curve(losses, "training").get_ydata() == pytest.approx([1 / epoch for epoch in range(1, 7)])
    assert len(curve(rates, "learning rate").get_xdata()) == 6


def test_of_classes_of_images_the_recall_alone_is_drawn():
    others = {f"val/{score}/core": 0.3 for score in ("precision", "f2", "f2_always", "average_precision")}
    rows = [{"epoch": epoch, "val/recall/core": 0.4, "val/score": 0.4, **others} for epoch in (1, 2)]
    scores = learning_curves(rows, CLASSES).axes[2]
    assert scores.get_title() == "Validation recall"
    assert labels(scores)[:2] == ["core", "selection score"]


def test_the_best_epoch_is_marked_in_every_panel():
    for axes in learning_curves(history()).axes:
        assert list(curve(axes, "best: epoch 4 (0.800)").get_xdata()) == [4, 4]


def test_classes_have_their_colours_and_regions_are_dashed():
    scores = learning_curves(history(), CLASSES).axes[2]
    assert np.allclose(curve(scores, "core").get_color(), inks(2)[1])
    assert curve(scores, "core").get_linestyle() == "-"
    assert curve(scores, "whole").get_linestyle() == "--"


def test_epochs_without_a_value_are_skipped():
    rows = history()
    rows[1]["val/dice/core"] = NAN
    rows[3]["val/score"] = NAN
    del rows[4]["val/loss"]
    losses, _, scores = learning_curves(rows, CLASSES).axes
    assert list(curve(scores, "core").get_xdata()) == [1, 3, 4, 5, 6]
    assert list(curve(losses, "validation").get_xdata()) == [1, 2, 3, 4, 6]
    assert curve(losses, "best: epoch 3 (0.790)")


def test_what_was_never_recorded_is_said():
    figure = learning_curves([{"epoch": 1, "train/loss": 0.5}])
    figure.draw_without_rendering()
    said = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert said == [[], ["not recorded"], ["not recorded"]]


@pytest.mark.slow
@pytest.mark.parametrize("epochs", [1, 3, 200])
def test_any_length_is_drawn_with_the_legend_inside_the_figure(epochs):
    figure = learning_curves(history(epochs), CLASSES)
    figure.draw_without_rendering()
    box = figure.axes[2].get_legend().get_window_extent()
    assert box.x1 <= figure.bbox.x1 + 1
    assert box.x0 >= figure.axes[2].get_window_extent().x1


def test_several_kinds_of_score_are_told_apart_in_the_legend():
    rows = [row | {"val/recall/core": 0.4} for row in history()]
    scores = learning_curves(rows, CLASSES).axes[2]
    assert {"dice core", "recall core"} <= set(labels(scores))
    assert scores.get_title() == "Validation scores"


def test_an_empty_history_is_refused():
    with pytest.raises(ValueError, match="at least one epoch"):
        learning_curves([])


def test_classes_of_whole_images_have_no_background_and_the_colours_of_their_roc_curves():
    scores = learning_curves(history(), CLASSES, background=False).axes[2]
    for place, name in enumerate(CLASSES, start=1):
        assert np.allclose(curve(scores, name).get_color(), inks(3)[place])
        assert curve(scores, name).get_linestyle() == "-"
    assert curve(scores, "whole").get_linestyle() == "--"


def of_classes(names, score="recall"):
    """A history whose classes are called as trackers call them."""
    return [
        {"epoch": epoch, "val/score": 0.5, **{f"val/{score}/{key_name(name)}": epoch / 9 for name in names}}
        for epoch in (1, 2, 3)
    ]


def test_classes_are_called_by_their_names_and_not_by_the_keys_of_their_scores():
    figure = learning_curves(of_classes(ODD), ODD, background=False)
    figure.savefig(io.BytesIO())
    scores = figure.axes[2]
    assert labels(scores)[: len(ODD)] == ODD
    assert labels(scores)[len(ODD)] == "selection score"
    for name, look in zip(ODD, strokes(len(ODD)), strict=True):
        assert curve(scores, name).get_color() == look["color"]


def test_classes_with_a_background_are_called_by_their_names_too():
    classes = ["outside", "low"]
    scores = learning_curves(of_classes(classes, "dice"), classes).axes[2]
    assert labels(scores)[:2] == classes
    assert np.allclose(curve(scores, "low").get_color(), inks(2)[1])
    assert curve(scores, "low").get_linestyle() == "-"


def test_a_letter_that_no_font_has_is_written_as_its_code(monkeypatch):
    monkeypatch.setattr("medseg.figures.lettering._family_with", lambda _: None)
    figure = learning_curves(of_classes(["日本"]), ["日本"], heading="日", background=False)
    figure.savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error
    assert labels(figure.axes[2])[0] == "[U+65E5][U+672C]"
    assert figure.get_suptitle() == "[U+65E5]"


@pytest.mark.parametrize("count", [1, 30])
def test_names_of_any_length_leave_the_panels_their_room(count):
    names = [f"{place} {'x' * 90} {place}" for place in range(count)]
    figure = learning_curves(of_classes(names), names, background=False)
    figure.draw_without_rendering()
    assert len(set(labels(figure.axes[2])[:count])) == count
    for axes in figure.axes:
        panel = axes.get_window_extent()
        assert panel.width > 2.3 * figure.dpi
        assert panel.height > 2.3 * figure.dpi
    box = figure.axes[2].get_legend().get_window_extent()
    assert box.x1 <= figure.bbox.x1 + 1
    assert box.y0 >= 0
    assert box.y1 <= figure.bbox.y1
