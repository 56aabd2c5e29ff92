from __future__ import annotations

import io

import numpy as np
import pytest

from medseg.figures.score_bars import score_bars

NAN = float("nan")


def summary():
    import pandas as pd

    columns = ["name", "score", "mean", "median", "std", "low", "high", "patients"]
    rows = [
        ("core", "dice", 0.7, 0.75, 0.1, 0.6, 0.8, 12),
        ("oedema", "dice", NAN, NAN, NAN, NAN, NAN, 0),
        ("whole", "dice", 1.0, 1.0, NAN, NAN, NAN, 1),
        ("core", "hd95", 9.0, 8.0, 1.0, 5.0, 14.0, 12),
        ("core", "volume_difference_ml", -3.0, -2.0, 1.0, -5.0, 1.0, 12),
    ]
    return pd.DataFrame(rows, columns=columns)


def test_each_name_has_its_mean_its_interval_and_its_number_of_patients():
    figure = score_bars(summary())
    figure.draw_without_rendering()
    axes = figure.axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["core", "oedema", "whole"]
    assert [text.get_text() for text in axes.texts] == [
        "0.700  (n = 12)",
        "undefined in every patient",
        "1.000  (n = 1)",
    ]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 1.0]
    whiskers = axes.collections[0].get_segments()
    (whisker,) = whiskers  # one patient has no interval
    assert whisker[:, 0].tolist() == pytest.approx([0.6, 0.8])


def test_each_patient_is_a_dot_on_its_bar_and_the_title_says_so():
    values = {"core": np.array([0.2, 0.7, 0.7, 1.3]), "whole": np.array([1.0]), "unknown": np.array([0.5])}
    figure = score_bars(summary(), heading="test: Dice", patients=values, noun="group")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert [sorted(line.get_xdata()) for line in dots] == [sorted(values["core"]), [1.0]]
    for place, line in zip((0, 2), dots, strict=True):
        assert (np.abs(line.get_ydata() - place) <= 0.31 + 1e-9).all()
        assert len({*zip(line.get_xdata(), line.get_ydata(), strict=True)}) == len(line.get_xdata())
    assert axes.get_xlim()[1] > 1.3
    assert axes.get_title() == "test: Dice; dot: a group, bar: mean, whisker: 95 % bootstrap interval"
    assert "dot" not in score_bars(summary()).axes[0].get_title()


@pytest.mark.parametrize("score", ["hd95", "volume_difference_ml"])
def test_scores_beyond_one_get_a_range_that_holds_the_interval(score):
    figure = score_bars(summary(), score)
    figure.draw_without_rendering()
    row = summary()[summary()["score"] == score].iloc[0]
    left, right = figure.axes[0].get_xlim()
    assert left <= row["low"]
    assert right >= row["high"]


def test_no_text_leaves_the_figure():
    figure = score_bars(summary(), heading="Test patients")
    figure.draw_without_rendering()
    axes = figure.axes[0]
    for text in (*axes.texts, *axes.get_yticklabels(), axes.title):
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1


def test_names_of_any_length_and_signs_stay_on_the_figure_and_leave_the_bars_their_room(monkeypatch):
    monkeypatch.setattr("medseg.figures.lettering._family_with", lambda _: None)
    rows = summary()[:3].assign(name=["_a$b$", "日", "x" * 100])
    figure = score_bars(rows, heading="日 " * 90)
    figure.savefig(io.BytesIO())  # a letter that is missing is a warning, and so an error
    axes = figure.axes[0]
    ticks = [tick.get_text() for tick in axes.get_yticklabels()]
    assert ticks[:2] == ["_a$b$", "[U+65E5]"]
    assert "…" in ticks[2]
    assert axes.get_window_extent().width > 2 * figure.dpi
    for text in (*axes.texts, *axes.get_yticklabels(), axes.title):
        box = text.get_window_extent()
        assert box.x0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1


def test_a_score_that_the_summary_lacks_is_refused_with_those_it_has():
    with pytest.raises(ValueError, match="dice"):
        score_bars(summary(), "kappa")
