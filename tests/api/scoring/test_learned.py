"""What a model has learned from is known by its run, and by those that it comes from."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import medseg
from medseg.api.conductor import Conductor
from medseg.api.result import RunResult
from medseg.api.scoring.learned import learned_by, learned_in
from medseg.errors import DataError
from medseg.progress import Silent
from medseg.yaml import read_yaml, write_yaml


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "medseg-runs"


def model_of(folder: Path, *of: str) -> Path:
    """A saved model that says that it is of these runs."""
    folder.mkdir(parents=True)
    described = {"form": 1, "about": {"run": ", ".join(of)} if of else {}}
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def run_of(runs: Path, name: str, *train: str, of: str = "", tags: dict[str, str] | None = None) -> Path:
    """A run that learned from cases, with its model; it gives the model's folder."""
    model = model_of(runs / name / "model", of or name)
    split = {"by": "group", "train": list(train), "val": [], "test": [f"tested by {name}"]}
    rows = [f"{case},patient of {case},0,train" for case in train]
    for file, text in (
        ("run.json", json.dumps({"name": name})),
        ("split.json", json.dumps(split)),
        ("slices.csv", "\n".join(["case,group,position,role", *rows]) + "\n"),
        ("tags.json", json.dumps(tags or {})),
    ):
        (runs / name / file).write_text(text, encoding="utf-8")
    return model


@pytest.mark.parametrize(("start", "begins"), [("StartFrom", True), ("UseModel", True), (None, False)])
def test_a_run_that_tests_cases_of_the_model_it_begins_with_says_so_and_keeps_it(
    finished: RunResult,
    patients: Path,
    workspace: Path,
    tiny: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    start: str | None,
    begins: bool,
) -> None:
    class Begun(Exception):  # noqa: N818
        pass

    class Heard(Silent):
        def say(self, text: str, *, loud: bool = False) -> None:
            if loud:
                heard.append(text)

    def begin(self: Conductor, *_: Any) -> None:
        raise Begun(self.options.own_tags())

    heard: list[str] = []
    monkeypatch.setattr(Conductor, "begun", begin)
    model = {"_target_": f"medseg.steps.{start}", "weights": str(finished.folder / "model")}
    definition = read_yaml(finished.folder / "definition.yaml")
    definition["steps"] = {**({"first": model} if start else {}), **definition["steps"]}
    if start == "UseModel":
        del definition["steps"]["fit"]
    for seed in (definition["seed"], definition["seed"] + 1):  # the latter tests others
        write_yaml({**definition, "seed": seed}, workspace / "mine.yaml")
        with pytest.raises(Begun) as caught:
            medseg.run_pipeline(workspace / "mine.yaml", patients, device="cpu", progress=Heard())
        (tags,) = caught.value.args
        learned = begins and seed != definition["seed"]
        assert ("first.learned_test_cases" in tags) == learned
        assert any("LEARNED CASES: 1 of 1 test case has the name" in text for text in heard) == learned


def test_a_file_of_a_models_weights_is_known_by_the_model(runs: Path) -> None:
    model = run_of(runs, "first", "a", "b")
    (model / "weights.safetensors").write_bytes(b"")
    cases = [medseg.Case(name, name, {}) for name in ("a", "c", "b")]
    steps = {"one": SimpleNamespace(weights=str(model / "weights.safetensors")), "two": SimpleNamespace()}

    assert list(learned_in(steps, cases)) == [("one", 2)]


def test_cases_and_patients_of_training_and_validation_are_learned_from(finished: RunResult) -> None:
    split = json.loads((finished.folder / "split.json").read_text())
    group_of = dict(finished_groups(finished))
    known = learned_by(finished.folder / "model")

    def found(case: str, group: str) -> int:
        return known.among([medseg.Case(case, group, {})])

    assert found("second scan", group_of[split["train"][0]]) == 1
    assert found("second scan", group_of[split["val"][0]]) == 1
    assert found("second scan", group_of[split["test"][0]]) == 0
    assert found(split["train"][0], "called otherwise") == 1
    assert found("second scan", "somebody else") == 0
    assert not known.gap


def finished_groups(run: RunResult) -> set[tuple[str, str]]:
    lines = (run.folder / "slices.csv").read_text(encoding="utf-8").splitlines()[1:]
    return {(case, group) for case, group, *_ in (line.split(",") for line in lines)}


def test_an_ensemble_is_followed_to_each_of_its_runs(runs: Path, tmp_path: Path) -> None:
    run_of(runs, "one", "a")
    run_of(runs, "two", "b")

    known = learned_by(model_of(tmp_path / "ensemble", "one", "two", "three"))

    assert known.cases == {"a", "b"}
    assert known.patients == {"patient of a", "patient of b"}
    assert known.gap == "not known of three"


def test_a_run_that_only_scored_a_model_is_followed_to_the_run_of_that_model(runs: Path) -> None:
    run_of(runs, "one", "a")
    scored = run_of(runs, "scored", of="one", tags={"model.weights": "0f", "model.run": "one"})
    again = run_of(runs, "again", of="one", tags={"model.weights": "0f", "model.run": "one"})

    assert learned_by(scored).cases == learned_by(again).cases == {"a"}
    shutil.rmtree(runs / "one")
    assert learned_by(scored).gap == "not known of one"


def test_a_run_that_began_from_a_model_has_learned_from_its_cases_too(runs: Path) -> None:
    run_of(runs, "one", "a")
    two = run_of(runs, "two", "b", tags={"start.weights": "0f", "start.run": "one"})
    three = run_of(runs, "three", "c", of="two", tags={"model.weights": "1f", "model.run": "two"})

    assert learned_by(two).cases == {"a", "b"}
    assert learned_by(three).cases == {"a", "b", "c"}
    assert not learned_by(three).gap


def test_of_weights_without_a_run_it_is_not_known_but_those_of_the_network_are_its_own(runs: Path) -> None:
    assert learned_by(run_of(runs, "one", tags={"start.weights": "0f12"})).gap == "not known of 0f12"
    assert not learned_by(run_of(runs, "two", tags={"start.weights": "own", "my.run": "7"})).gap


def test_runs_that_name_each_other_are_looked_at_once(runs: Path) -> None:
    run_of(runs, "one", "a", of="two")

    assert learned_by(run_of(runs, "two", "b", of="one")).cases == {"a", "b"}


@pytest.mark.parametrize("missing", ["slices.csv", ""])
def test_what_the_store_held_of_a_model_lies_beside_it(runs: Path, tmp_path: Path, missing: str) -> None:
    model = run_of(tmp_path, "m-0f", "a", of="one", tags={"medseg.run": "one"})
    (tmp_path / "m-0f" / "run.json").unlink()
    if missing:
        (tmp_path / "m-0f" / missing).unlink()

    known = learned_by(model)

    assert known.cases == {"a"}
    assert known.gap == ("not known of the patients of its run" if missing else "")


def test_nothing_is_known_of_a_model_without_a_run_and_no_foreign_name_is_repeated(tmp_path: Path) -> None:
    assert learned_by(model_of(tmp_path / "one")).gap == "not known of a model that names no run"
    assert learned_by(model_of(tmp_path / "two", "Jane Doe")).gap == (
        "not known of a run without a proper name"
    )


@pytest.mark.parametrize("file", ["split.json", "slices.csv", "tags.json"])
def test_a_damaged_run_is_refused_and_where_another_model_is_of_it_that_is_not_known(
    runs: Path, tmp_path: Path, file: str
) -> None:
    model = run_of(runs, "one", "a")
    (runs / "one" / file).write_text("{" if file != "slices.csv" else "x\n")

    with pytest.raises(DataError, match=r"missing or damaged.*name a copy of its model folder"):
        learned_by(model)
    assert learned_by(model_of(tmp_path / "copy", "one")).gap == "not known of one"


def test_a_run_without_a_split_is_refused(runs: Path) -> None:
    model = run_of(runs, "one", "a")
    (runs / "one" / "split.json").unlink()

    with pytest.raises(DataError, match="Resume that run"):
        learned_by(model)
