"""What a run was asked for is known to be sound before anything else is looked at, and said in plain words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medseg import api
from medseg.api import RunResult
from medseg.errors import DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.options import OWN_TAGS, RunOptions, default_jobs, refuse_own_tags


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"device": "tpu"}, "device is 'tpu', expected 'auto', 'cpu' or 'cuda'."),
        ({"jobs": 0}, "jobs is 0, expected 1 or more."),
        ({"jobs": 1.5}, "jobs is 1.5, expected a whole number."),
        ({"allow": "mypackage"}, "allow is 'mypackage', expected a list, such as [a, b]."),
        ({"skip_bad": None}, "skip_bad is None, expected true or false."),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_was_expected(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        RunOptions.of(**wrong)
    assert str(refused.value) == said


def test_all_wrong_values_are_named_at_once() -> None:
    with pytest.raises(DefinitionError, match=r"device is 'tpu'.* jobs is 0"):
        RunOptions.of(device="tpu", jobs=0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: api.run_pipeline("nonsense", jobs=0),
        lambda: api.run_folds("nonsense", jobs=0),
        lambda: api.resume_pipeline("nonsense", jobs=0),
        lambda: api.resume_folds("nonsense", jobs=0),
        lambda: api.check_pipeline("nonsense", jobs=0),
        lambda: api.check_data("nonsense", jobs=0),
        lambda: api.prepare_data("nonsense", jobs=0),
        lambda: api.plan_data("nonsense", jobs=0),
    ],
)
def test_every_call_of_the_library_refuses_a_wrong_value_first(call: Callable[[], object]) -> None:
    with pytest.raises(DefinitionError, match=r"jobs is 0, expected 1 or more\."):
        call()


def test_what_is_left_out_stays_and_what_is_changed_is_looked_at_too() -> None:
    kept = RunOptions.of(device="cpu", jobs=3, allow=["a"])

    assert kept.but(device=None, jobs=None, allow=()) == RunOptions.of(device="cpu", jobs=3)
    with pytest.raises(DefinitionError, match="device is 'gpu'"):
        kept.but(device="gpu")


def test_jobs_are_as_many_as_there_are_cores_unless_said() -> None:
    assert RunOptions.of().at_once == default_jobs() >= 1
    assert RunOptions.of(jobs=7).at_once == 7


@pytest.mark.parametrize("tag", ["novalue", "=value", "mlflow.user=x", "medseg.run=x", "a\nb=c"])
def test_a_tag_is_a_key_of_the_users_own_and_a_value(tag: str) -> None:
    with pytest.raises(DefinitionError, match="expected key=value"):
        RunOptions.of(tags=[tag])
    assert RunOptions.of(tags=["owner=anna", "why=a=b"]).own_tags() == {"owner": "anna", "why": "a=b"}


def test_files_of_runs_hold_names_notes_and_tags_only_where_they_were_given() -> None:
    plain = {"device", "skip_bad", "allow_duplicates", "allow", "jobs"}

    assert set(RunOptions.of().kept()) == plain  # as earlier versions signed them
    named = RunOptions.of(run_name="wide", tags=["a=b"])
    assert set(named.kept()) == plain | {"run_name", "tags"}
    assert RunOptions.of(**named.kept()) == named


@pytest.mark.parametrize(
    "place", ["/mlflow.db", "../mlflow.db", "a/../../b", "a//b", "a\\..\\b", "C:/x", "a\nb", "."]
)
def test_a_database_of_the_working_folder_lies_within_it(place: str) -> None:
    with pytest.raises(DefinitionError, match="own_store"):
        RunOptions.of(own_store=place)

    assert RunOptions.of(own_store="sub/track.db").kept()["own_store"] == "sub/track.db"


@pytest.mark.parametrize("begin", [api.run_pipeline, api.run_folds, api.run_sweep])
@pytest.mark.parametrize("tag", ["leaks=none found", "fit.verdict=good", "split.by=group"])
def test_a_tag_that_medseg_sets_is_refused_before_anything_is_made(
    begin: Callable[..., Any], tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    more = {"vary": ["steps.fit.optimiser.lr=0.1,0.2"]} if begin is api.run_sweep else {}
    key = tag.partition("=")[0]
    with pytest.raises(DefinitionError, match=rf"medseg sets {key} itself.*leaks\.sha256.*fit\., .*mlflow\."):
        begin("nuclei", tags=[tag], **more)
    assert not list(tmp_path.iterdir())


def test_a_key_is_given_once_and_a_key_of_ones_own_is_kept() -> None:
    refuse_own_tags(["leak=1", "fitness=2", "data.site=Ulm"], ["fit"])
    with pytest.raises(DefinitionError, match="give site twice"):
        refuse_own_tags(["site=a", "site=b"], [])


def test_every_tag_that_a_run_has_set_is_known(finished: RunResult) -> None:
    set_by_it = json.loads((finished.folder / "tags.json").read_text(encoding="utf-8"))
    steps = PipelineDefinition.from_yaml(finished.folder / "definition.yaml").steps
    assert {key for key in set_by_it if key.partition(".")[0] not in steps} <= OWN_TAGS
