"""Which combinations are tried, in which order, and when one is stopped: by Optuna, from a journal."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medseg.api.sweeping.study import Watch, combinations, next_trial, open_study
from medseg.errors import RunError
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.sweep import Sweep, find_sweep
from medseg.pipeline.study.varied import varied
from medseg.recorder import StoppedEarly


def sweep(*vary: str, trials: int = 100) -> Sweep:
    made = Sweep(
        name=Sweep.named("acdc"),
        data=None,
        vary=vary,
        trials=min(trials, combinations([varied(each) for each in vary]) or trials),
        seeds=1,
        minutes=None,
        options=RunOptions.of(),
        declared={"definition": {"name": "acdc", "seed": 3}, "manifest": {}},
        tracking_uri="sqlite:///mlflow.db",
    )
    made.folder.mkdir(parents=True)
    return made


def tried(asked: Sweep, *, at_most: int = 1000) -> list[dict[str, str]]:
    given = [varied(each) for each in asked.vary]
    study, found = open_study(asked, given), []
    while len(found) < at_most and (trial := next_trial(study, asked, more=True)) is not None:
        found.append({each.path: each.chosen(trial) for each in given})
        study.tell(trial.number, float(len(found)))
    return found


@pytest.mark.usefixtures("workspace")
def test_all_combinations_are_tried_in_their_order() -> None:
    found = tried(sweep("a=1,2", "b=x,y"))

    assert found == [{"a": a, "b": b} for a in "12" for b in "xy"]


@pytest.mark.usefixtures("workspace")
def test_fewer_trials_take_a_part_of_the_combinations_none_twice() -> None:
    found = tried(sweep("a=1,2,3", "b=1,2,3", trials=4))

    assert len({tuple(each.values()) for each in found}) == len(found) == 4


@pytest.mark.usefixtures("workspace")
def test_a_study_goes_on_where_it_was_and_takes_up_what_was_interrupted() -> None:
    asked = sweep("a=1,2,3,4")
    first = tried(asked, at_most=2)
    study = open_study(asked, [varied("a=1,2,3,4")])
    interrupted = next_trial(study, asked, more=True)  # and never told
    value = varied("a=1,2,3,4").chosen(interrupted)
    with asked.journal.open("ab") as journal:
        journal.write(b'{"op_code": 6, "worker')  # as a power cut leaves it

    rest = tried(asked)
    assert [each["a"] for each in (*first, *rest)] == ["1", "2", "3", "4"]
    assert rest[0]["a"] == value


@pytest.mark.usefixtures("workspace")
def test_no_trial_is_begun_when_the_time_is_over_but_one_that_was_interrupted_goes_on() -> None:
    asked = sweep("a=1,2")
    study = open_study(asked, [varied("a=1,2")])
    begun = next_trial(study, asked, more=True)

    assert next_trial(study, asked, more=False).number == begun.number
    study.tell(begun.number, 1.0)
    assert next_trial(study, asked, more=False) is None


@pytest.mark.usefixtures("workspace")
def test_a_range_is_searched_where_scores_are_high() -> None:
    asked = sweep("x=0.0..10.0", trials=25)
    given = [varied("x=0.0..10.0")]
    study = open_study(asked, given)
    seen = []
    while (trial := next_trial(study, asked, more=True)) is not None:
        seen.append(float(given[0].chosen(trial)))
        study.tell(trial.number, -abs(seen[-1] - 7.0))

    assert len(seen) == 25
    assert abs(study.best_trial.params["x"] - 7.0) < 1
    assert sum(abs(x - 7) < 2 for x in seen[15:]) > sum(abs(x - 7) < 2 for x in seen[:10])


@pytest.mark.usefixtures("workspace")
def test_a_run_below_the_median_of_those_before_is_stopped_but_none_of_the_first() -> None:
    asked = sweep("x=0.0..1.0", trials=10)
    study = open_study(asked, [varied("x=0.0..1.0")])
    for score in (0.1, 0.5, 0.6, 0.7):
        trial = study.ask()
        for epoch in (1, 2):
            Watch(trial).metrics({"epoch/val/score": score, "other": 0}, epoch)
        study.tell(trial.number, score)
    weak, strong = study.ask(), study.ask()
    Watch(strong).metrics({"epoch/val/score": 0.9}, 1)
    Watch(weak).metrics({"epoch/val/loss": 0.2}, 1)
    Watch(weak).metrics({"epoch/val/score": float("nan")}, 1)
    with pytest.raises(StoppedEarly):
        Watch(weak).metrics({"epoch/val/score": 0.2}, 2)


def test_combinations_are_counted_unless_there_is_a_range() -> None:
    assert combinations([]) == 1
    assert combinations([varied("a=1,2,3"), varied("b=1,2")]) == 6
    assert combinations([varied("a=1,2,3"), varied("b=1..200")]) is None


def test_without_optuna_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, workspace: Path) -> None:
    asked = sweep("a=1,2")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(RunError, match=r"medseg\[sweep\]"):
        open_study(asked, [])


@pytest.mark.usefixtures("workspace")
def test_a_sweep_is_found_by_name_and_an_edited_one_is_of_nobody() -> None:
    asked = sweep("a=1,2")
    asked.begin()
    asked.let_go()
    found = find_sweep(asked.name)
    assert found is not None
    assert found.mine
    assert (find_sweep(str(asked.folder)), find_sweep("nothing")) == (found, None)
    path = asked.folder / "sweep.json"
    path.write_text(path.read_text().replace("sqlite:///mlflow.db", "http://there"))
    edited = find_sweep(asked.name)
    assert edited is not None
    assert not edited.mine
    path.write_text("[]")
    with pytest.raises(RunError, match="is damaged"):
        find_sweep(asked.name)
