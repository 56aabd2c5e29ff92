from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread

from medseg.errors import DefinitionError
from medseg.steps.features.audit import Audit, _with_borders

SIDES = ("left", "right")


def number_and_side(case):
    path = Path(next(iter(case.images.values())))
    return int(path.stem), path.parent.name


def sourced(work, source):
    """The work whose cases come from where `source` says, of the number and the side of each."""
    cases = {
        case.id: replace(case, extra={"scanner": source(*number_and_side(case))})
        for case in work.cases.values()
    }
    return replace(work, cases=cases)


@pytest.fixture
def undrawn(monkeypatch):
    def blank(_, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return path

    monkeypatch.setattr("medseg.steps.features.audit.save_figure", blank)


@pytest.fixture(scope="session")
def work(make_feature_work):
    """Of 14 pictures of each class, by their number: 8 to train, 3 to validate, 3 to test."""

    def role(case):
        number, _ = number_and_side(case)
        return "train" if number <= 8 else "val" if number <= 11 else "test"

    return make_feature_work(role)


def kind_of(run):
    return json.loads((run.place / "source.json").read_text())["kind"]


def test_a_source_that_goes_with_the_class_is_named(work, make_run, take, heard):
    """Of each side all are of one source but for every fourth."""
    given = sourced(work, lambda number, side: SIDES[(side == "left") != (number % 4 == 0)])
    before = {name: each.clone() for name, each in given.predictor.network.state_dict().items()}
    run = make_run("audit")
    done = take(given, run, "Audit", source="scanner", pictures=3)

    assert done is given
    assert all((each == before[name]).all() for name, each in given.predictor.network.state_dict().items())
    scores = pd.read_csv(run.place / "audit_scores.csv").set_index(["told", "borders"])
    assert scores.loc[("class from source", np.nan), "value"] == pytest.approx(10 / 12)
    assert set(scores["cases"]) == {12}
    (_, numbers) = next((step, each) for step, each in heard.numbers if "audit/changed_by_borders" in each)
    assert numbers["audit/source_masked"] == scores.loc[("source", "masked"), "value"]
    assert numbers["audit/class_shown/low"] <= numbers["audit/class_shown"]
    assert kind_of(run) in {"possible", "likely", "no sign"}
    assert "The features" in heard.tagged["audit.verdict"]
    for name in ("borders", "attention_masked", "attention_shown"):
        assert f"figures/audit_{name}.png" in heard.artifacts
        assert imread(run.figures / f"audit_{name}.png").size


@pytest.mark.usefixtures("undrawn")
def test_a_source_that_has_nothing_to_do_with_the_class_is_no_sign(work, make_run, take):
    run = make_run("audit")
    take(sourced(work, lambda number, _: "ab"[number % 2]), run, "Audit", source="scanner")
    assert kind_of(run) == "no sign"


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(
    ("source", "why"),
    [
        (lambda *_: "a", "the training images are of one source"),
        (lambda number, _: "b" if number == 1 else "a", "one class or one source"),
        (lambda number, _: "b" if number in {1, 9} else "a", "3 folds need 3 patients of each class"),
    ],
)
def test_where_it_cannot_be_known_it_says_why(work, make_run, take, source, why):
    run = make_run("audit")
    take(sourced(work, source), run, "Audit", source="scanner")
    kept = json.loads((run.place / "source.json").read_text())
    assert kept["kind"] == "not known"
    assert why in kept["text"]


def test_borders_are_masked_in_one_view_and_shown_in_the_other(work):
    plain = work.predictor
    masked = _with_borders(plain, masked=True)
    first = {"_target_": "medseg.transforms.MaskBordersd", "keys": ["image"], "active": True}
    own = plain.preparation.rule.transforms
    assert masked.preparation.rule.transforms == [first, *own]
    assert _with_borders(plain, masked=False).preparation.rule.transforms == own
    assert _with_borders(masked, masked=False).preparation.rule.transforms == [
        first | {"active": False},
        *own,
    ]


def test_a_column_that_is_not_there_is_refused(work):
    with pytest.raises(DefinitionError, match="source is 'hospital', and the columns"):
        Audit("hospital").check(work.predictor)


@pytest.mark.parametrize(
    "wrong", [{"source": ""}, {"source": "a", "folds": 1}, {"source": "a", "pictures": 0}]
)
def test_settings_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Audit(**wrong)
