"""Comparisons by the names of runs, and kept with them: as tables, JSON and figures, and on the tracking store."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import medseg
from medseg.errors import RunError
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.options import RunOptions
from medseg.pipeline.study.cross_validation import CrossValidation
from medseg.tracking.mlflow.sending.outbox import UNTRACKED
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own


def table(gain: float = 0.0) -> pd.DataFrame:
    rows = [
        {
            "case": f"c{n}",
            "group": f"p{n}",
            "name": name,
            "dice": 0.5 + n / 50 + gain,
            "volume_truth_ml": 9.0 + n,
        }
        | {"volume_predicted_ml": 8.0 + n + gain}
        for n in range(8)
        for name in ("oedema", "core")
    ]
    return pd.DataFrame(rows)


def test_runs_are_named_by_name_path_or_latest_and_seeds_in_lists_or_with_commas(made_run) -> None:
    names = [f"brats2d-2026010{day}-120000-aaa{day}" for day in (1, 2, 3)]
    for place, name in enumerate(names):
        made_run(name, {"": table(place / 10)}, definition={"seed": place})
    made_run("brats2d-20260109-120000-aaa9", {})  # has no test part: not the latest that can be compared
    by_name = medseg.compare(names[0], f"{names[1]}, {names[2]}").differences()
    by_list = medseg.compare(Path("medseg-runs") / names[0], [names[1], "latest"]).differences()
    pd.testing.assert_frame_equal(by_name, by_list)
    assert by_name["difference"].tolist() == pytest.approx([0.15, 0.15])
    with pytest.raises(RunError, match="'brats2d-' may be"):
        medseg.compare("brats2d-", names[0])
    with pytest.raises(RunError, match=r"no run 'nobody'.*by its folder"):
        medseg.compare("nobody", names[0])
    with pytest.raises(RunError, match="the name of a run is missing"):
        medseg.compare(f"{names[0]},", names[1])


@pytest.mark.usefixtures("figureless")
def test_a_comparison_is_kept_with_b_and_is_an_artifact_of_its_run(tracked_run, uri) -> None:
    a, b = tracked_run("a", table()), tracked_run("b", table(0.1))
    found = medseg.compare("a", "b")
    (kept,) = medseg.keep_comparison(found)

    tables = ["comparison.json", "differences.csv", "patients.csv", "sentences.txt"]
    names = sorted(["bland_altman_B.png", "paired_dots_B_dice.png", *tables])
    assert kept == b.path / "comparisons" / "with-a"
    assert sorted(path.name for path in kept.iterdir()) == names
    assert not (a.path / "comparisons").exists()
    whole = json.loads((kept / "comparison.json").read_text(encoding="utf-8"))
    assert whole["sides"] == {"A": ["a"], "B": ["b"]}
    assert whole["sentences"] == list(found.sentences())
    assert whole["differences"][0]["a_seed_std"] is None  # JSON has no NaN
    assert len(pd.read_csv(kept / "patients.csv")) == 16
    with open_store(uri) as client:
        there = client.list_artifacts(b.read().tracked, "comparisons/with-a")
    assert sorted(Path(each.path).name for each in there) == names
    assert b.read().mine


@pytest.mark.usefixtures("figureless")
def test_where_the_server_is_away_the_artifact_waits_and_sync_sends_it(tracked_run, uri) -> None:
    tracked_run("a", table())
    b, said = tracked_run("b", table(0.1), tracking_uri="http://127.0.0.1:9"), []

    class Heard:
        def say(self, text: str, *, loud: bool = False) -> None:
            said.append(text)

    medseg.keep_comparison(medseg.compare("a", "b"), progress=Heard())  # type: ignore[arg-type]
    assert "medseg runs sync b" in said[-1]
    assert (b.path / UNTRACKED).exists()
    assert [each.sent for each in medseg.sync_runs("b", tracking_uri=uri)] == [True]
    with open_store(uri) as client:
        assert client.list_artifacts(b.read().tracked, "comparisons/with-a")


def test_to_a_run_of_somebody_else_nothing_is_written(made_run, monkeypatch: pytest.MonkeyPatch) -> None:
    made_run("a", {"": table()})
    b = made_run("b", {"": table(0.1)})
    monkeypatch.setenv("MEDSEG_CONFIG", "another-user")
    before = sorted(b.path.rglob("*"))
    assert medseg.keep_comparison(medseg.compare("a", "b")) == []
    assert sorted(b.path.rglob("*")) == before


@pytest.mark.usefixtures("figureless")
def test_a_comparison_of_more_runs_lies_beside_that_of_two(made_run) -> None:
    for name in ("a", "c"):
        made_run(name, {"": table()})
    b = made_run("b", {"": table(0.1)})

    for sides in (("a", "b"), ("a,c", "b"), ("a", "b"), ("a", "c", "b")):
        medseg.keep_comparison(medseg.compare(*sides))

    names = sorted(path.name for path in (b.path / "comparisons").iterdir())
    assert len(names) == 3
    assert names[0] == "with-a"


def test_folds_are_no_run_and_named_as_what_they_are(made_run) -> None:
    made_run("a", {"": table()})
    declared = {"definition": {}, "manifest": {}}
    CrossValidation("f", "brats2d", None, 2, (), RunOptions.of(device="cpu"), declared, "").write()
    with pytest.raises(RunError, match=r"f is a cross-validation.*medseg runs list"):
        medseg.compare("a", "f")


@pytest.mark.usefixtures("figureless")
def test_a_score_whose_name_is_a_path_names_no_file(made_run) -> None:
    made_run("a", {"": table().assign(**{"../../x": 1.0})})
    b = made_run("b", {"": table().assign(**{"../../x": 1.0})})
    (kept,) = medseg.keep_comparison(medseg.compare("a", "b", scores=["../../x"]))
    assert (kept / "paired_dots_B_0.png").exists()
    assert {path.parent for path in kept.iterdir()} == {b.path / "comparisons" / "with-a"}


def test_runs_of_a_trained_pipeline_are_compared(finished, monkeypatch: pytest.MonkeyPatch, made_run) -> None:
    """A real run and its copy by hand: nothing differs."""
    state = RunFolder(finished.folder).read()
    made_run("copy", {"": finished.scores()}, data_fingerprint=state.data_fingerprint)
    found = medseg.compare(finished.folder, "copy")
    assert set(found.differences()["difference"].dropna()) <= {0.0}
    assert set(found.differences()["verdict"]) == {"no evidence"}


def test_a_run_that_leaks_is_named_in_what_it_is_compared_in(made_run) -> None:
    from io import StringIO

    from rich.console import Console

    from medseg.cli.printing.comparison_tables import print_comparison

    made_run("a", {"": table()})
    made_run("b", {"": table(0.1)}).path.joinpath("audit.json").write_text('{"leaks": {"images": "a and b"}}')
    found = medseg.compare("a", "b")
    console = Console(width=200, file=StringIO(), record=True)
    print_comparison(console, found, "text")

    told = [note for note in found.notes if note.startswith("LEAK: b leaks (images)")]
    assert len(told) == 1
    assert told[0] in console.export_text()
    assert not any(note.startswith("LEAK: a") for note in found.notes)
    assert [note for note in found.notes if note.startswith("CERTIFICATE ALTERED: b, its leak certificate")]
