from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.classes.confusion import confusion_figure, short


def test_cells_show_the_share_of_the_true_class_and_the_count():
    figure = confusion_figure(
        np.array([[1_200_000, 400_000], [0, 7]]), ["background", "vessel"], unit="pixels"
    )
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.texts] == ["75.0%\n1.2M", "25.0%\n400k", "0.0%\n0", "100.0%\n7"]
    assert np.asarray(axes.images[0].get_array())[0].tolist() == [0.75, 0.25]
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert [tick.get_text() for tick in ticks] == ["background", "vessel"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("truth", "predicted")
    assert "pixels" in axes.get_title()


def test_a_class_that_truth_lacks_has_no_shares():
    figure = confusion_figure(np.array([[3, 1], [0, 0]]), ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts][2:] == ["–\n0", "–\n0"]

    axes = figure.axes[0]
    assert axes.get_xlabel() == "predicted\n(grey rows: no voxels are of this class)"
    assert np.asarray(axes.images[0].get_array().mask).tolist() == [[False, False], [True, True]]


@pytest.mark.slow
def test_of_many_classes_both_numbers_are_shown_where_there_are_any():
    counts = np.diag(np.arange(30) * 50)
    counts[3, 4] = 50
    texts = np.array([text.get_text() for text in confusion_figure(counts, [*"x" * 30]).axes[0].texts])
    texts = texts.reshape(30, 30)
    assert set(texts[0]) == {"–"}  # without truth
    assert texts[3, 3:6].tolist() == ["75.0%\n150", "25.0%\n50", "0"]
    assert texts[29, 29] == "100.0%\n1.4k"


def test_the_heading_stands_above_the_title_on_the_figure():
    figure = confusion_figure(np.eye(2, dtype=int), ["a", "b"], unit="pictures", heading="é $a_b$ " * 30)
    figure.draw_without_rendering()
    title = figure.axes[0].title
    assert title.get_text().endswith("\nConfusion: share of each true class (pictures)")
    box = title.get_window_extent()
    assert (box.x0, box.y1) >= (0, 0)
    assert box.x1 <= figure.bbox.x1
    assert box.y1 <= figure.bbox.y1


LONG = "Thorax in zwei Ebenen {} é 猫 $a_b$ bei liegendem Patienten"


@pytest.mark.slow
@pytest.mark.parametrize("heading", ["", "test"])
@pytest.mark.parametrize(
    ("size", "name"),
    [(1, "{}"), (2, "{}"), (12, "class {}"), (1, LONG), (2, LONG), (6, LONG), (30, LONG)],
)
def test_nothing_is_cut_and_names_stay_different(size, name, heading):
    counts = np.eye(size, dtype=int)
    counts[0] = 0
    names = [name.format(index) for index in range(size)]
    figure = confusion_figure(counts, names, heading=heading)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for part in figure.axes:
        box = part.get_tightbbox()
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
    for ticks in (axes.get_xticklabels(), axes.get_yticklabels()):
        assert len({tick.get_text() for tick in ticks}) == size
    sides = axes.get_window_extent()
    assert sides.width == pytest.approx(sides.height)
    assert sides.width / figure.dpi / size > 0.5  # inches of a cell


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 5, 14, 30, 40])
def test_texts_stay_inside_their_cells(size):
    counts = np.full((size, size), 123_456)
    figure = confusion_figure(counts, [f"class {index}" for index in range(size)])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / size
    assert all(text.get_window_extent().width < cell for text in axes.texts if text.get_text())


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (999, "999"),
        (1000, "1k"),
        (1249, "1.2k"),
        (99_949, "99.9k"),
        (99_950, "100k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (1_200_000, "1.2M"),
        (40_000_000, "40M"),
        (3_100_000_000, "3.1G"),
        (7_000_000_000_000_000, "7000T"),
    ],
)
def test_counts_are_written_short(count, text):
    assert short(count) == text


def test_a_matrix_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"expected \(3, 3\)"):
        confusion_figure(np.zeros((2, 2), int), ["a", "b", "c"])
    with pytest.raises(ValueError, match="expected counts"):
        confusion_figure(np.array([[1, -1], [0, 0]]), ["a", "b"])
    with pytest.raises(ValueError, match="for the classes given"):
        confusion_figure(np.zeros((0, 0), int), [])


def test_the_name_of_an_only_class_stands_below_the_middle_of_its_column():
    figure = confusion_figure(np.array([[3]]), ["_only $x$ class"])
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (label,) = axes.get_xticklabels()
    assert label.get_text() == "_only $x$ class"
    boxes = [part.get_window_extent() for part in (label, axes)]
    middles = [(box.x0 + box.x1) / 2 for box in boxes]
    assert middles[0] == pytest.approx(middles[1], abs=2)
