from __future__ import annotations

import numpy as np
import pytest

from medseg.figures.confusion import confusion_figure, short


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


@pytest.mark.parametrize("size", [1, 5, 14, 40])
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
    with pytest.raises(ValueError, match=r"wanted \(3, 3\)"):
        confusion_figure(np.zeros((2, 2), int), ["a", "b", "c"])
