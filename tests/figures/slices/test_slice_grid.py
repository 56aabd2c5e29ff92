from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.overlay import overlay
from medseg.figures.slices.slice_grid import SliceView, slice_grid

CLASSES = ["outside", "core", "oedema"]


def view(title="case 1", shape=(20, 30), **changes):
    random = np.random.default_rng(1)
    told = {
        "channels": {"flair": random.random(shape), "t1": random.random(shape)},
        "truth": random.integers(3, size=shape),
        "predicted": random.integers(3, size=shape),
    }
    return SliceView(title=title, **(told | changes))


def pictures(figure):
    return [picture for axes in figure.axes for picture in axes.images]


def texts(figure):
    return [text.get_text() for text in figure.texts]


def test_a_row_shows_every_channel_then_truth_then_prediction():
    figure = slice_grid([view("first"), view("second")], CLASSES, heading="validation")
    assert len(pictures(figure)) == 2 * 4
    assert texts(figure) == ["validation", "flair", "t1", "truth", "prediction", "first", "second"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == CLASSES[1:]


@pytest.mark.parametrize(
    ("changes", "columns"),
    [
        ({"predicted": None}, ["flair", "t1", "truth"]),
        ({"truth": None}, ["flair", "t1", "prediction"]),
        ({"truth": None, "predicted": None}, ["flair", "t1"]),
    ],
)
def test_columns_without_labels_are_not_drawn(changes, columns):
    figure = slice_grid([view("row", **changes)], CLASSES)
    assert texts(figure) == [*columns, "row"]
    assert len(pictures(figure)) == len(columns)


def test_views_that_lack_what_others_have_leave_its_place_empty():
    other = view(
        "second", channels={"t2": np.random.default_rng(2).random((9, 9))}, truth=None, predicted=None
    )
    figure = slice_grid([view("first"), other], CLASSES)
    assert texts(figure)[:5] == ["flair", "t1", "t2", "truth", "prediction"]
    assert len(pictures(figure)) == 4 + 1


def test_truth_and_prediction_lie_over_the_first_channel():
    one = view()
    shown = [np.asarray(picture.get_array()) for picture in pictures(slice_grid([one], CLASSES))]
    assert np.array_equal(shown[2], overlay(one.channels["flair"], one.truth, 3))
    assert np.array_equal(shown[3], overlay(one.channels["flair"], one.predicted, 3))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (2.0, 1.0), (0.5, 1.5), (9.0, 1.0), (0.2, 4.0)])
def test_pixels_keep_their_shape(spacing):
    figure = slice_grid([view(spacing=spacing)], CLASSES)
    figure.draw_without_rendering()
    for picture in pictures(figure):
        box = picture.get_window_extent()
        assert box.height / box.width == pytest.approx(20 * spacing[0] / (30 * spacing[1]), rel=0.02)


def test_nothing_overlaps_and_nothing_is_cut():
    views = [view("first"), view("second", shape=(40, 20)), view("third", shape=(10, 60))]
    figure = slice_grid(views, CLASSES, heading="patients")
    figure.draw_without_rendering()
    parts = [*pictures(figure), *figure.texts, *figure.legends]
    boxes = [part.get_window_extent().padded(-0.5) for part in parts]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not box.count_overlaps(boxes[number + 1 :])


def test_colour_pictures_are_shown_as_they_are():
    picture = np.random.default_rng(3).integers(256, size=(8, 8, 3)).astype(np.uint8)
    figure = slice_grid([view(channels={"image": picture}, truth=None, predicted=None)], CLASSES)
    assert np.array_equal(np.asarray(pictures(figure)[0].get_array()), picture)


def test_names_with_signs_of_mathematics_are_shown_as_written():
    figure = slice_grid([view("$5 \\frac")], CLASSES, heading="$a_b$ $")
    figure.draw_without_rendering()
    assert "$5 \\frac" in texts(figure)


@pytest.mark.parametrize("views", [[], [SliceView("blank", {})]])
def test_a_grid_of_nothing_is_refused(views):
    with pytest.raises(ValueError, match="at least one"):
        slice_grid(views, CLASSES)


def test_the_legend_says_what_is_hatched_where_something_is():
    truth = np.zeros((20, 24), dtype=np.uint8)
    truth[:, 12:] = 255
    picture = np.random.default_rng(2).random((20, 24))
    for labels, named in ((truth, True), (truth % 255, False)):
        (legend,) = slice_grid([SliceView("a", {"t1": picture}, labels)], CLASSES).legends
        assert ("not annotated" in [text.get_text() for text in legend.get_texts()]) == named
