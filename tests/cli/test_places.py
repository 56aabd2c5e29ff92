"""Places that cannot be read or written, and damaged runs: a sentence and exit code 2, never a traceback."""

from __future__ import annotations

import copy
import errno
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from medseg.api.prediction import Predicted, PredictedCase
from medseg.cli.guard import guarded
from medseg.cli.main import app
from medseg.cli.printing.predicted import print_predicted
from medseg.pipeline.folder import this_process
from medseg.places import NotWrittenError, written_whole

LONG = "a" * 400
STATE = {
    "name": "r",
    "pipeline": "brats2d",
    "data": None,
    "options": {"device": "cpu", "skip_bad": False},
    "status": "RUNNING",
    "process": {"host": "h", "pid": 1},
    "done": [],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of one's own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    return " ".join(result.stderr.split())


def test_a_name_longer_than_any_file_is_refused() -> None:
    for words in (["show", f"{LONG}.yaml"], ["run", f"./{LONG}"], ["resume", LONG]):
        assert "shorter name" in refused("pipeline", *words)
    assert "shorter name" in refused("data", "check", f"{LONG}.yaml")


@pytest.mark.slow
def test_an_output_in_whose_way_something_lies_is_named(folder: Path, patients: Path) -> None:
    (folder / "taken").write_text("a file")
    (folder / "full").mkdir()
    (folder / "full" / "x").write_text("a file")
    data = ["--data", patients, "--jobs", 1]

    assert "taken/x.png cannot be written" in refused("data", "show", "brats2d", *data, "-o", "taken/x.png")
    assert "full cannot be written" in refused("data", "show", "brats2d", *data, "-o", "full")
    assert (folder / "taken").read_text() == "a file"
    assert sorted(path.name for path in folder.iterdir()) == ["full", "taken"]  # no half-written file


def test_a_cache_that_cannot_be_read_or_written_is_named(
    folder: Path, patients: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "file").write_text("a file")
    monkeypatch.setenv("MEDSEG_CACHE", str(folder / "file" / "cache"))
    assert "cannot be written" in refused("data", "check", "brats2d", "--data", patients, "--jobs", 1)
    monkeypatch.setenv("MEDSEG_CACHE", "~nobody-of-this-name/cache")
    for words in (["cache", "list"], ["cache", "clear"]):
        assert "MEDSEG_CACHE" in refused(*words)

    (folder / "cache" / "stores").mkdir(parents=True)
    monkeypatch.setenv("MEDSEG_CACHE", str(folder / "cache"))

    def closed(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("medseg.places._bytes_of", closed)
    monkeypatch.setattr("pathlib.Path.iterdir", closed)
    for words in (["cache", "list"], ["cache", "clear"]):
        assert "MEDSEG_CACHE" in refused(*words)


def full_disk() -> None:
    with written_whole(Path("out") / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")


def private() -> None:
    with written_whole(Path("out") / "a.txt"):
        Path("jane_doe.nii").read_bytes()


@pytest.mark.parametrize(
    ("act", "said"), [(full_disk, "out/a.txt cannot be written"), (private, "No such file")]
)
def test_what_was_to_be_written_is_named_and_what_was_read_is_not(
    act: Callable[[], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, guarded(Console(stderr=True)):
        act()

    told = capsys.readouterr().err
    assert ended.value.exit_code == 2
    assert said in told
    assert "jane" not in told
    assert list(Path("out").iterdir()) == []


def test_what_was_not_written_crosses_processes() -> None:
    error = copy.copy(NotWrittenError(errno.ENOSPC, "full", "out"))  # as pickling does, by __reduce_ex__

    assert (type(error), error.errno, error.filename) == (NotWrittenError, errno.ENOSPC, "out")


@pytest.mark.parametrize(
    "changes",
    [
        {"process": {"x": 1}},
        {"process": {"host": this_process()["host"], "pid": -5}},
        {"process": []},
        {"options": {}},
        {"options": 5},
        {"data": 5},
        {"status": "DANCING"},
        {"done": [1]},
    ],
)
def test_a_damaged_run_breaks_no_other_command(changes: dict[str, Any], folder: Path) -> None:
    run = folder / "medseg-runs" / "r"
    run.mkdir(parents=True)
    (run / "run.json").write_text(json.dumps({**STATE, **changes}))

    assert CliRunner().invoke(app, ["pipeline", "list"]).exit_code == 0
    assert "there is no pipeline 'nonsense'" in refused("pipeline", "run", "nonsense")
    assert "damaged" in refused("pipeline", "resume", run)


def test_a_run_that_cannot_be_marked_breaks_no_other_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(*_: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("medseg.pipeline.folder.gone", closed)
    assert "there is no pipeline 'nonsense'" in refused("pipeline", "run", "nonsense")


def test_brackets_in_a_text_are_shown_as_they_are(folder: Path) -> None:
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "odd.yaml").write_text("about: 'see [/docs] now'\n")
    result = CliRunner().invoke(app, ["pipeline", "list"])

    assert result.exit_code == 0, result.output
    assert "see [/docs] now" in result.stdout


def test_a_case_is_named_on_one_line_however_many_volumes_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    names = ("outside", "healthy", "necrotic_core", "oedema", "enhancing", "whole_tumour", "enhancing_tumour")
    ids = ("case-0123456789", "odd[/b]")
    cases = tuple(PredictedCase(case, Path("x"), dict.fromkeys(names, 1234.5), (), 1.0) for case in ids)
    console = Console(width=80)
    print_predicted(
        console,
        console,
        Predicted(cases, (), {}, True, "Volumes (mL)", "label maps", "volumes.csv"),
        Path("out"),
        show_paths=False,
    )

    told = capsys.readouterr().out
    for case in ids:
        (line,) = [line for line in told.splitlines() if case in line]
        assert line.count("1234.5") >= 5
    assert "…" not in told
    assert "outside" in told  # among those that are only in the file
    assert max(map(len, told.splitlines())) <= 80
