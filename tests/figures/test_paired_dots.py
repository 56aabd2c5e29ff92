from __future__ import annotations

import warnings

import numpy as np
import pytest

from medseg.figures.paired_dots import paired_dots

A, B = np.array([0.5, 0.6, np.nan, 0.9]), np.array([0.7, 0.6, np.nan, 0.8])


def drawn(**changed):
    return paired_dots(
        **{
            "pairs": {"oedema": (A, B)},
            "sides": ("A", "B"),
            "larger_is_better": True,
            "heading": "dice",
            **changed,
        }
    )


def joined(figure):
    return sorted(
        (round(float(line.get_ydata()[0]), 3), round(float(line.get_ydata()[-1]), 3), line.get_linestyle())
        for line in figure.axes[0].lines
        if line.get_linestyle() in ("-", "--")
    )


def test_each_patient_is_a_line_and_one_who_got_worse_a_broken_one():
    assert joined(drawn()) == [(0.5, 0.7, "-"), (0.6, 0.6, "-"), (0.9, 0.8, "--")]
    assert drawn().axes[0].get_xlabel() == "1 of 3 worse"


def test_of_a_distance_more_is_worse():
    assert [style for *_, style in joined(drawn(larger_is_better=False))] == ["--", "-", "-"]


def test_every_name_has_a_panel_and_the_rest_of_the_grid_is_empty():
    figure = drawn(pairs={f"region {place}": (A, B) for place in range(6)})
    assert [axes.get_title() for axes in figure.axes if axes.get_visible()] == [
        f"region {p}" for p in range(6)
    ]
    assert len(figure.axes) == 8


def test_where_no_patient_has_a_score_the_panel_says_so():
    nothing = np.full(3, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = drawn(pairs={"rare": (nothing, nothing)})
    assert figure.axes[0].get_xlabel() == "in no patient"


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        drawn(pairs={})
    with pytest.raises(ValueError, match="the same ones twice"):
        drawn(pairs={"oedema": (A, B[:2])})
