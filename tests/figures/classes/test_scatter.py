from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.figures.classes.scatter import scatter

POINTS = np.random.default_rng(0).normal(size=(30, 2))


def draw(groupings, **given):
    return scatter(POINTS, groupings, axes=("PCA 1", "PCA 2"), **given)


def legends(figure):
    return [[text.get_text() for text in panel.get_legend().get_texts()] for panel in figure.axes]


def test_each_panel_shows_the_same_points_in_its_groups():
    figure = draw(
        {"cluster": [10, 2] * 15, "label": ["yes"] * 10 + [None] * 20}, missing={"label": "no label"}
    )
    assert [panel.get_title() for panel in figure.axes] == ["cluster", "label"]
    assert legends(figure) == [["2 (15)", "10 (15)"], ["no label (20)", "yes (10)"]]
    for panel in figure.axes:
        drawn = np.concatenate([np.stack(line.get_data(), axis=1) for line in panel.lines])
        np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(POINTS, axis=0))
        assert (panel.get_xlabel(), panel.get_ylabel()) == ("PCA 1", "PCA 2")


def test_what_there_is_too_much_of_is_called_other_and_no_case_is_lost():
    names = ["a"] * 5 + [f"rare {number:02d}" for number in range(25)]
    ((*first, last),) = legends(draw({"source": names}))
    assert first[0] == "a (5)"
    assert len(first) == 11
    assert last == "other (15 groups) (15)"


def test_names_of_any_signs_and_length_are_shown_as_they_are():
    figure = draw({"$x_1$": ["_hidden", "$a$", "é" * 200] * 10}, heading="any " * 90)
    assert legends(figure)[0][:2] == ["$a$ (10)", "_hidden (10)"]
    figure.savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error


@pytest.mark.parametrize("groupings", [{}, {"label": ["a"] * 29}])
def test_no_panel_and_other_numbers_are_refused(groupings):
    with pytest.raises(ValueError, match="expected"):
        draw(groupings)
