from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medseg.learning.scores.intervals import case_means
from medseg.steps.evaluate import Evaluate
from medseg.steps.evaluation.worst import MOST_SLICES, looked_through, worst_patients

NAN = float("nan")


def test_a_patient_is_ranked_by_the_mean_of_its_cases_and_its_worst_case_is_shown():
    means = pd.DataFrame(
        [("a1", "a", 0.1), ("a2", "a", 0.9), ("b1", "b", 0.4), ("c1", "c", NAN), ("d1", "d", 0.5)],
        columns=["case", "group", "dice"],
    )
    found = worst_patients(means, "dice", most=2)
    assert [(each.case, each.group, each.score) for each in found] == [("b1", "b", 0.4), ("a1", "a", 0.1)]
    assert [each.group for each in worst_patients(means, "dice")] == ["b", "a", "d"]
    assert worst_patients(means.assign(dice=NAN), "dice") == []


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_slices_to_look_through_show_what_is_scored_from_the_first_to_the_last(count, seed):
    rng = np.random.default_rng(seed)
    truth, predicted = (rng.random((2, count, 2, 2)) < 0.15) * rng.integers(1, 4, size=(2, count, 2, 2))
    mine = np.flatnonzero(rng.random(count) < 0.7)
    mine = mine if len(mine) else np.arange(count)
    found = looked_through(truth, predicted, {2, 3}, mine)
    shows = [k for k in mine if (np.isin(truth[k], (2, 3)) | np.isin(predicted[k], (2, 3))).any()]
    there = shows or list(mine)

    assert set(found) <= set(there)
    assert len(found) == min(MOST_SLICES, len(there))
    assert (found[0], found[-1]) == (there[0], there[-1] if len(there) > 1 else there[0])
    assert (np.diff(found) > 0).all()


def test_the_mean_of_a_case_is_over_the_names_that_it_defines():
    frame = pd.DataFrame(
        [
            ("a", "p", "x", 0.2),
            ("a", "p", "y", 0.6),
            ("a", "p", "z", 0.9),
            ("b", "q", "x", NAN),
            ("b", "q", "y", 0.5),
        ],
        columns=["case", "group", "name", "dice"],
    )
    found = case_means(frame, ["x", "y"], "dice").set_index("case")["dice"]
    assert found.to_dict() == pytest.approx({"a": 0.4, "b": 0.5})


class Noisy(torch.nn.Module):
    def forward(self, image):
        flair, t1ce = image[:, 0], image[:, 2]
        return torch.stack(
            [flair * 0, 3.5 - flair, t1ce * 0 + 0.2, flair - t1ce, t1ce + flair - 1], dim=1
        ).float()


@pytest.fixture
def evaluated(make_work):
    """Score cases, of which some slices count, and give the evaluation with its table."""

    def make(mine=None):
        work = make_work()
        step = Evaluate("test", distances=False)
        evaluation = step.evaluation(replace(work.predictor, network=Noisy()))
        for name in ("Brats_001", "Brats_003", "Brats_004", "Brats_005"):
            evaluation.keep(evaluation.asked(work.cases[name], mine))
        tables = evaluation.tables(1)
        return evaluation.figures(tables["_summary"], work.cases, "test", print), tables, work

    return make


@pytest.mark.slow
def test_best_median_and_worst_are_so_by_the_mean_of_the_table_as_the_sheets_are(evaluated):
    figures, tables, work = evaluated()
    means = case_means(tables[""], work.predictor.task.select, "dice").set_index("case")["dice"].sort_values()
    summary = tables["_summary"].set_index(["name", "score"])

    assert means.mean() == pytest.approx(summary.loc[("mean", "dice"), "mean"])
    sheets = [figures[f"worst_{place}"]() for place in (1, 2, 3, 4)]
    assert [sheet.about["case"] for sheet in sheets] == list(means.index)
    assert [sheet.about["dice"] for sheet in sheets] == pytest.approx(list(means))
    assert "worst_5" not in figures
    texts = [text.get_text() for text in figures["slices"]().texts]
    told = [found.groups() for text in texts if (found := re.match(r"(\w+): (\w+), .*Dice (\S+)", text))]
    order = list(means.index)
    assert told == [
        (kind, case, f"{means[case]:.3f}")
        for kind, case in (("best", order[3]), ("median", order[2]), ("worst", order[0]))
    ]


@pytest.mark.slow
def test_split_by_slice_only_slices_of_the_role_are_shown(evaluated):
    figures, _, _ = evaluated(lambda place: place % 3 == 1)
    places = {place for n in (1, 2, 3, 4) for place in figures[f"worst_{n}"]().about["slices"]}
    assert places
    assert {place % 3 for place in places} == {1}
    titles = " ".join(text.get_text() for text in figures["slices"]().texts)
    assert {int(place) % 3 for place in re.findall(r"slice (\d+)", titles)} == {1}
