from __future__ import annotations

import io
from itertools import pairwise

import pytest
from matplotlib.figure import Figure

from medseg.figures.legend import class_legend, legend_height, write_legend

ODD = ["_hidden", "(normal)", "$x$", "a$b$c_d", "<b>", "`tick`, odd", "{x} 50%", "__init__", "é"]


def said(legend):
    return [text.get_text() for text in legend.get_texts()]


@pytest.mark.parametrize("names", [ODD, ODD[:1], []])
def test_a_legend_says_every_label_as_it_is_in_the_order_of_what_was_drawn(names):
    axes = Figure().subplots()
    lines = [line for name in names for line in axes.plot((0, 1), (0, 1), label=name)]
    legend = write_legend(axes, lines, 3, loc="upper left")
    axes.figure.draw_without_rendering()
    assert said(legend) == names
    assert not any(text.get_parse_math() for text in legend.get_texts())


def test_a_legend_shortens_what_is_too_long_and_has_no_bare_boxes():
    axes = Figure().subplots()
    (line,) = axes.plot((0, 1), (0, 1), label="a \U0010fffd " + "x" * 90 + " end")
    legend = write_legend(axes, [line], 2.5)
    axes.figure.savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error
    assert said(legend)[0].startswith("a [U+10FFFD]")
    assert said(legend)[0].endswith(" end")
    assert legend.get_texts()[0].get_window_extent().width <= 2.5 * axes.figure.dpi


def test_a_legend_of_classes_says_each_name_but_that_of_class_zero():
    figure = Figure(figsize=(6, 6))
    class_legend(figure, ["background", *ODD], top=4)
    assert said(figure.legends[0]) == ODD


def test_without_classes_there_is_no_legend():
    figure = Figure()
    assert class_legend(figure, ["background"], top=2) == 0
    assert not figure.legends


@pytest.mark.slow
@pytest.mark.parametrize("width", [4, 12])
@pytest.mark.parametrize("count", [1, 2, 9, 30])
@pytest.mark.parametrize("name", ["a_long_class_name", "猫" * 12, "x" * 120])
def test_a_legend_fits_its_figure_and_the_height_it_announces(width, count, name):
    classes = [f"{index}_{name}_{index}" for index in range(count)]
    height = 9.0
    figure = Figure(figsize=(width, height))
    taken = class_legend(figure, classes, top=8.0)
    assert taken == legend_height(classes, width)
    figure.draw_without_rendering()
    shown = [text for legend in figure.legends for text in said(legend)]
    assert len(shown) == len(set(shown)) == count - 1
    assert shown == classes[1:] or name != "a_long_class_name"
    for legend in figure.legends:
        box = legend.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y0 >= (8.0 - taken) * figure.dpi - 1
        lines = sorted({round(text.get_window_extent().y0) for text in legend.get_texts()})
        assert all(upper - lower > 8 for lower, upper in pairwise(lines))
