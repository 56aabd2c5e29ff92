"""The closing table of masks says no more than its patients can tell."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

from rich.console import Console

from medseg.api import load_pipeline
from medseg.api.result import RunResult
from medseg.cli.tables import print_result
from medseg.yaml import write_yaml


def printed(folder: Path, patients: int, score: str = "dice") -> str:
    (folder / "scores").mkdir(exist_ok=True)
    write_yaml(load_pipeline("acdc").to_dict(), folder / "definition.yaml")
    rows = ["name,score,mean,median,std,low,high,patients", f"kidney,{score},0.5,0.5,0.0,0.5,0.5,{patients}"]
    (folder / "scores" / "test_summary.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    console = Console(file=StringIO(), width=80)
    result = RunResult(folder.name, folder, "id", "sqlite:///x.db", generated=False, leaking=False)
    print_result(console, result)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_one_patient_has_no_interval(tmp_path: Path) -> None:
    assert "0.500-0.500" not in printed(tmp_path, 1)
    assert "0.500-0.500" in printed(tmp_path, 2)


def test_what_the_tracking_server_lacks_is_said_with_the_command_that_sends_it(tmp_path: Path) -> None:
    (tmp_path / "untracked.jsonl").write_text("{}\n", encoding="utf-8")

    assert f"medseg pipeline resume {tmp_path}" in printed(tmp_path, 2)


def test_where_dice_was_not_asked_for_the_first_score_has_its_place(tmp_path: Path) -> None:
    assert "iou" in printed(tmp_path, 2, "iou")
    assert "0.500-0.500" in printed(tmp_path, 2, "iou")
