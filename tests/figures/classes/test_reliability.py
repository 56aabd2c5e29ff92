from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve

from medseg.figures.classes.reliability import reliability_diagram

NAN = float("nan")
MEANS = np.array([0.1, NAN, 0.7, 0.9])
OBSERVED = np.array([0.2, NAN, 0.5, 1.0])
COUNT = np.array([5000, 0, 1, 40])


def draw(means=MEANS, observed=OBSERVED, count=COUNT, **changes):
    told = {"calibration_error": 0.0321, "brier": 0.1}
    return reliability_diagram(means, observed, count, **(told | changes))


def line(figure, label):
    (found,) = [one for one in figure.axes[0].lines if one.get_label() == label]
    return found


def test_filled_bins_are_points_against_the_diagonal():
    figure = draw(name="particles")
    figure.draw_without_rendering()
    assert line(figure, "particles").get_xdata().tolist() == [0.1, 0.7, 0.9]
    assert line(figure, "particles").get_ydata().tolist() == [0.2, 0.5, 1.0]
    assert list(line(figure, "perfect calibration").get_ydata()) == [0, 1]
    gaps = [sorted(segment[:, 1]) for segment in figure.axes[0].collections[0].get_segments()]
    assert gaps == [[0.1, 0.2], [0.5, 0.7], [0.9, 1.0]]


def test_points_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    p = random.random(5000)
    truth = random.random(5000) < p**2
    places = np.minimum((p * 10).astype(int), 9)
    count = np.bincount(places, minlength=10)
    figure = draw(np.bincount(places, p) / count, np.bincount(places, truth) / count, count)
    observed, means = calibration_curve(truth, p, n_bins=10)
    assert line(figure, "foreground").get_xdata() == pytest.approx(means)
    assert line(figure, "foreground").get_ydata() == pytest.approx(observed)


def test_the_histogram_below_has_the_counts_on_a_logarithmic_scale():
    below = draw().axes[1]
    assert below.get_yscale() == "log"
    assert [bar.get_y() + bar.get_height() for bar in below.patches] == [5000, 1, 40]
    assert [bar.get_x() for bar in below.patches] == [0, 0.5, 0.75]
    bottom, top = below.get_ylim()
    assert bottom < 1
    assert top > 5000


def test_bins_of_other_widths_are_drawn_where_they_are():
    edges = np.array([0, 0.3, 0.6, 0.8, 1])
    bars = draw(edges=edges).axes[1].patches
    assert [bar.get_x() for bar in bars] == [0, 0.6, 0.8]
    assert [bar.get_width() for bar in bars] == pytest.approx([0.3, 0.2, 0.2])


def test_calibration_error_and_brier_score_are_written():
    title = draw(heading="test", brier=NAN).axes[0].get_title()
    assert title == "test\ncalibration error 0.0321     Brier score undefined"


def test_without_pixels_that_is_said():
    figure = draw(count=np.zeros(4, int))
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[1].texts] == ["no pixels"]


def test_what_is_counted_has_a_name():
    figure = draw(unit="pictures")
    assert figure.axes[1].get_ylabel() == "pictures (log)"
    figure = draw(count=np.zeros(4, int), unit="pictures")
    assert [text.get_text() for text in figure.axes[1].texts] == ["no pictures"]


@pytest.mark.parametrize("name", ["_hidden", "$x$", "a, b"])
def test_the_legend_says_what_is_predicted_as_it_is_called(name):
    legend = draw(name=name).axes[0].get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["perfect calibration", name]


def test_texts_of_any_length_and_signs_stay_on_the_figure():
    figure = draw(heading="é $a_b$ \\frac " * 20, name="$x_1$ " * 40)
    figure.draw_without_rendering()
    for part in (figure.axes[0].title, figure.axes[0].get_legend()):
        box = part.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1


@pytest.mark.parametrize(
    "changes",
    [
        {"means": MEANS[:3]},
        {"observed": OBSERVED[:3]},
        {"count": np.array([], int), "means": np.array([]), "observed": np.array([])},
        {"edges": np.linspace(0, 1, 4)},
    ],
)
def test_arrays_of_several_lengths_are_refused(changes):
    with pytest.raises(ValueError, match="expected"):
        draw(**changes)


@pytest.mark.parametrize("wrong", [1.2, -0.1, NAN])
def test_a_filled_bin_outside_zero_and_one_is_refused(wrong):
    with pytest.raises(ValueError, match="outside"):
        draw(means=np.array([wrong, NAN, 0.7, 0.9]))
