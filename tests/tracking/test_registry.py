"""Models are registered under the name of their pipeline, and the best so far has the alias."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from medseg.errors import DefinitionError, TrackingError
from medseg.pipeline.options import RunOptions
from medseg.tracking.mlflow.recorder import MlflowRecorder
from medseg.tracking.mlflow.registry import refuse_unregistrable, register
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own

DESCRIBED = '{"channels": ["t1"], "maps": ["outside", "tumour"], "slices": {"size": [4, 4]}}'


@pytest.fixture
def uri(tmp_path: Path, empty_tracking: Path) -> str:
    shutil.copyfile(empty_tracking, tmp_path / "mlflow.db")
    return f"sqlite:///{(tmp_path / 'mlflow.db').as_posix()}"


def run(
    uri: str,
    place: Path,
    score: float | None,
    said: list[str],
    register: tuple[str, str] | None = ("emps", "champion"),
    **tags: str,
) -> MlflowRecorder:
    """A run that ends with a model; what it says is added to `said`."""
    (place / "model").mkdir(parents=True)
    (place / "model" / "model.json").write_text(DESCRIBED, encoding="utf-8")
    (place / "model" / "README.md").write_text("# A card", encoding="utf-8")
    recorder = MlflowRecorder.start(
        uri,
        experiment="emps",
        name=place.name,
        folder=place,
        tags=tags,
        say=said.append,
        system=False,
        register=register,
    )
    if score is not None:
        recorder.metrics({"val/score": score}, 3)
    recorder.model(place / "model")
    recorder.close("FINISHED")
    return recorder


def test_the_alias_goes_to_the_run_with_the_highest_validation_score(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    data = {"data.fingerprint": "d", "split.hash": "s"}
    first, worse, better = (
        run(uri, tmp_path / name, score, said, **data)
        for name, score in (("first", 0.5), ("worse", 0.4), ("better", 0.6))
    )

    with open_store(uri) as client:
        registered = client.get_registered_model("emps")
        version = client.get_model_version_by_alias("emps", "champion")
        versions = client.search_model_versions("name = 'emps'")
    assert {alias: int(number) for alias, number in registered.aliases.items()} == {"champion": 3}
    assert version.run_id == better.run_id
    assert version.description == "# A card"
    assert {each.run_id for each in versions} == {first.run_id, worse.run_id, better.run_id}
    assert said == [
        "Registered as emps, version 1; it is the champion, as the first (val/score 0.5000).",
        "Registered as emps, version 2; version 1 stays the champion: val/score 0.5000, here 0.4000.",
        "Registered as emps, version 3; it is the champion now: val/score 0.6000, of version 1 0.5000.",
    ]


def test_the_registered_model_is_loaded_by_its_alias_and_has_its_card(uri: str, tmp_path: Path) -> None:
    import mlflow

    recorder = run(uri, tmp_path / "run", 0.5, [])
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(uri)
        found = mlflow.models.get_model_info("models:/emps@champion")
    finally:
        mlflow.set_tracking_uri(before)
    with open_store(uri) as client:
        (logged,) = client.search_logged_models([client.get_run(recorder.run_id).info.experiment_id])

    assert found.run_id == recorder.run_id
    assert [each.name for each in found.signature.inputs] == ["t1"]
    assert [each.name for each in found.signature.outputs] == ["outside", "tumour"]
    assert logged.tags["mlflow.note.content"] == "# A card"


def test_a_run_with_a_leak_or_without_a_score_is_no_champion_and_other_data_are_named(
    uri: str, tmp_path: Path
) -> None:
    said: list[str] = []
    run(uri, tmp_path / "unscored", None, said)
    run(uri, tmp_path / "first", 0.5, said, **{"data.fingerprint": "one", "leaks": "none found"})
    run(uri, tmp_path / "leaking", 0.9, said, leaks="split")
    run(uri, tmp_path / "other", 0.4, said, **{"data.fingerprint": "two"})

    assert "it has no val/score, and is not the champion" in said[0]
    assert "as the first" in said[1]
    assert "it leaks (split), and is not the champion" in said[2]
    assert "of other data or another split (data.fingerprint)" in said[3]


def test_scores_of_two_kinds_are_not_compared(uri: str, tmp_path: Path) -> None:
    said: list[str] = []
    kinds = ("dice of core", "auc", "accuracy, since the cases do not define auc", None, "dice of core")
    for number, kind in enumerate(kinds, start=1):
        tags = {} if kind is None else {"val/score.of": kind}
        run(uri, tmp_path / str(number), 0.5 + number / 10, said, **tags)

    assert "version 1; it is the champion, as the first" in said[0]
    stays = "version 1 stays the champion: its val/score is the dice of core, here"
    assert f"{stays} the auc, and the two do not compare" in said[1]
    assert f"{stays} the accuracy, since the cases do not define auc, and" in said[2]
    assert f"{stays} not said to be of anything, and" in said[3]
    assert "version 5; it is the champion now: val/score 1.0000, of version 1 0.6000" in said[4]


def test_to_register_twice_makes_one_version(uri: str, tmp_path: Path) -> None:
    recorder = run(uri, tmp_path / "run", 0.5, [])
    with open_store(uri) as client:
        again = register(client, recorder.run_id, tmp_path / "run" / "model", "emps", "champion")
        assert len(client.search_model_versions("name = 'emps'")) == 1
    assert again == "Registered as emps, version 1; it is the champion."


def log_again(uri: str, run_id: str, place: Path, score: float, said: list[str], step: int) -> None:
    recorder = MlflowRecorder.resume(
        uri, run_id, place, say=said.append, system=False, register=("emps", "champion")
    )
    recorder.metrics({"val/score": score}, step)
    recorder.model(place / "model")
    recorder.close("FINISHED")


def files_of_champion(client: Any) -> Path:
    return Path(url2pathname(urlsplit(client.get_model_version_by_alias("emps", "champion").source).path))


@pytest.mark.slow
def test_a_version_keeps_its_files_when_its_run_goes_on_and_the_alias_goes_to_the_better(
    uri: str, tmp_path: Path
) -> None:
    said: list[str] = []
    place = tmp_path / "run"
    run_id = run(uri, place, 0.5, said).run_id
    with open_store(uri) as client:
        first = files_of_champion(client)
        log_again(uri, run_id, place, 0.4, said, step=4)
        assert files_of_champion(client) == first
        assert (first / "MLmodel").is_file()
        log_again(uri, run_id, place, 0.6, said, step=5)
        assert files_of_champion(client) != first
        assert all((files / "MLmodel").is_file() for files in (files_of_champion(client), first))
    assert said[1:] == [
        "Registered as emps, version 2; version 1 stays the champion: val/score 0.5000, here 0.4000.",
        "Registered as emps, version 3; it is the champion now: val/score 0.6000, of version 1 0.5000.",
    ]


def test_a_model_that_was_registered_by_hand_keeps_its_files_and_others_are_replaced(
    uri: str, tmp_path: Path
) -> None:
    import mlflow

    def logged() -> list[str]:
        return [each.model_id for each in client.search_logged_models([experiment])]

    recorder = run(uri, tmp_path / "run", 0.5, [], register=None)
    with open_store(uri) as client:
        experiment = client.get_run(recorder.run_id).info.experiment_id
        (first,) = logged()
        client.create_registered_model("mine")
        before = mlflow.get_tracking_uri()
        try:
            mlflow.set_tracking_uri(uri)
            client.create_model_version("mine", f"models:/{first}")  # as the pages of MLflow do
        finally:
            mlflow.set_tracking_uri(before)
        recorder.model(tmp_path / "run" / "model")
        second, kept = logged()
        recorder.model(tmp_path / "run" / "model")
        third, also = logged()
    assert kept == also == first
    assert third != second


def test_a_store_that_cannot_register_is_an_error_before_training(
    uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import PERMISSION_DENIED

    def denied(*_: Any) -> None:
        raise MlflowException("Permission denied", PERMISSION_DENIED)

    refuse_unregistrable(uri, "emps")  # this one can
    monkeypatch.setattr(MlflowClient, "get_registered_model", denied)
    with pytest.raises(TrackingError, match=r"cannot register a model: .*denied. Run without --register"):
        refuse_unregistrable(uri, "emps")


def test_where_the_server_goes_away_the_registration_waits(uri: str, tmp_path: Path, monkeypatch) -> None:
    from mlflow import MlflowClient

    with monkeypatch.context() as patch:
        patch.setattr(
            MlflowClient, "log_model_artifacts", lambda *_: (_ for _ in ()).throw(ConnectionError("away"))
        )
        said: list[str] = []
        recorder = run(uri, tmp_path / "run", 0.5, said)
    assert '"alias": "champion"' in (tmp_path / "run" / UNTRACKED).read_text(encoding="utf-8")
    said = []
    MlflowRecorder.resume(uri, recorder.run_id, tmp_path / "run", say=said.append, system=False)
    assert "version 1; it is the champion" in said[0]


@pytest.mark.parametrize("alias", ["latest", "Latest", "v2", "a b", "é"])
def test_an_alias_that_mlflow_does_not_take_is_refused(alias: str) -> None:
    with pytest.raises(DefinitionError, match="expected an alias"):
        RunOptions.of(register=alias)
    assert RunOptions.of(register="champion").kept()["register"] == "champion"
    assert "register" not in RunOptions.of().kept()
