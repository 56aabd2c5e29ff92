"""The canary: labels go from patient to patient, and luck is told from a leak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medseg.datasets.case import Case
from medseg.errors import RunError


def table(truth: list[str], predicted: list[str]) -> pd.DataFrame:
    rows = range(len(truth))
    return pd.DataFrame({"group": [f"p{row}" for row in rows], "truth": truth, "predicted": predicted})


def test_all_cases_of_a_patient_get_the_label_of_one_other(monai_imported: None) -> None:
    from medseg.pipeline.audit.canary import shuffled

    cases = [
        Case(f"{group}{n}", f"p{group}", {"x": Path("x")}, labels=("ill" if group % 2 else "well",))
        for group in range(20)
        for n in (1, 2)
    ]
    found = shuffled([*cases, Case("u", "pu", {}, unlabelled=True)], seed=3)
    of = {(case.group, case.labels) for case in found}

    assert len(of) == 21
    assert sum(labels == ("ill",) for _, labels in of) == 10
    assert found[-1].labels is None
    assert [case.id for case in found[:-1]] == [case.id for case in cases]
    assert [case.labels for case in found[:-1]] != [case.labels for case in cases]


def test_labels_that_are_told_rightly_are_a_leak_and_guesses_are_none(monai_imported: None) -> None:
    from medseg.pipeline.audit.canary import score

    truth = ["ill", "well"] * 10
    leak, guess = score(table(truth, truth), "test", 1), score(table(truth, ["ill"] * 20), "test", 1)

    assert (leak.accuracy, leak.p) == (1.0, pytest.approx(1e-4))
    assert "sings" in leak.leak
    assert (guess.accuracy, guess.chance, guess.p) == (0.5, pytest.approx(0.5), 1.0)
    assert guess.leak == ""


def test_guesses_sing_at_most_as_often_as_the_level_says(monai_imported: None, monkeypatch) -> None:
    from medseg.pipeline.audit import canary

    monkeypatch.setattr(canary, "_ORDERS", 199)
    random = np.random.default_rng(5)
    words = np.array(["a", "b", "c"])
    found = [
        canary.score(table(list(random.choice(words, 12)), list(random.choice(words, 12))), "test", seed).p
        for seed in range(300)
    ]

    assert np.mean(np.array(found) < 0.05) <= 0.08  # 0.05, and three standard errors of 300 trials


def test_too_few_patients_are_refused(monai_imported: None) -> None:
    from medseg.pipeline.audit.canary import score

    with pytest.raises(RunError, match="5 patients are scored, of 2 labels; expected 6"):
        score(table(["a", "b", "a", "b", "a"], ["a"] * 5), "test", 1)
    with pytest.raises(RunError, match="of 1 label;"):
        score(table(["a"] * 8, ["a"] * 8), "test", 1)
