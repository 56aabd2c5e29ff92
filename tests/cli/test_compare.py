"""`medseg runs list | show | compare | sync | delete`: exit codes, formats, and what fits a narrow terminal."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app

NAMES = ("brats2d-20260101-120000-aaaa", "brats2d-20260102-120000-bbbb", "brats2d-20260103-120000-cccc")


def table(gain: float = 0.0) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"case": f"c{n}", "group": f"p{n}", "name": name, "dice": 0.5 + n / 100 + gain * (n > 0 or -1)}
            for n in range(12)
            for name in ("oedema", "enhancing_tumour")
        ]
    )


@pytest.fixture
def three(made_run):
    """Three runs; the second is better for most, and worse for one patient."""
    for seed, (name, gain) in enumerate(zip(NAMES, (0.0, 0.05, 0.06), strict=True)):
        made_run(name, {"": table(gain)}, definition={"seed": seed})


def medseg(*words: str, answer: str | None = None, code: int = 0, width: int = 80):
    done = CliRunner().invoke(app, ["runs", *words], input=answer, env={"COLUMNS": str(width)})
    assert done.exit_code == code, done.output
    assert "Traceback" not in done.output
    return done


@pytest.mark.usefixtures("three")
def test_a_comparison_is_printed_in_plain_words_with_those_who_got_worse() -> None:
    printed = medseg("compare", *NAMES[:2], "--no-keep").stdout
    assert f"A = {NAMES[0]}\nB = {NAMES[1]}" in printed
    assert "dice: B is better on oedema by 0.042 [" in printed
    assert "Worse with B, dice of oedema: p0 by 0.050." in printed
    assert "One run of A and B" in printed
    assert "Research use only" in printed


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("width", [80, 120])
def test_names_and_numbers_stand_whole_in_tables_of_a_narrow_terminal(width: int) -> None:
    printed = medseg("compare", NAMES[0], f"{NAMES[1]},{NAMES[2]}", "--no-keep", width=width).stdout
    rows = [line for line in printed.splitlines() if line.startswith(" enhancing_tumour ")]
    assert len(rows) == 2  # of differences, and of standard deviations
    assert rows[0].split()[:4] == ["enhancing_tumour", "0.555", "0.601", "0.046"]
    assert all(len(line) <= width for line in printed.splitlines() if line.startswith(" "))
    assert "B, 2 seeds" in printed
    listed = medseg("list", width=width).stdout
    assert all(f" {name} " in listed for name in NAMES)


@pytest.mark.usefixtures("three")
def test_csv_and_json_are_whole_and_nothing_else_is_printed() -> None:
    frame = pd.read_csv(io.StringIO(medseg("compare", *NAMES, "--no-keep", "--format", "csv").stdout))
    assert frame["side"].tolist() == ["B", "B", "C", "C"]
    found = json.loads(medseg("compare", *NAMES, "--no-keep", "--format", "json").stdout)
    assert [row["difference"] for row in found["differences"]] == pytest.approx(frame["difference"].tolist())
    assert len(found["patients"]) == 48
    assert [row["run"] for row in json.loads(medseg("list", "--format", "json").stdout)] == list(NAMES[::-1])
    assert pd.read_csv(io.StringIO(medseg("list", "--format", "csv").stdout))["seed"].tolist() == [2, 1, 0]
    assert json.loads(medseg("show", "latest", "--format", "json").stdout)["seed"] == 2


@pytest.mark.usefixtures("three")
def test_runs_that_cannot_be_compared_end_with_code_2_and_the_reason(made_run) -> None:
    made_run("failed", {"": table()}, status="FAILED")
    made_run("untested", {})
    made_run("fewer", {"": table().query("case != 'c3'")})
    refused = {
        "no run 'nobody'": ["nobody"],
        "'brats2d-2026' may be": ["brats2d-2026"],
        "has failed": ["failed"],
        "no scores of a test part": ["untested"],
        "--on-common": ["fewer"],
        "All have: dice": [NAMES[1], "--score", "dise"],
    }
    for says, words in refused.items():
        assert says in medseg("compare", NAMES[0], *words, code=2).stderr
    assert "11 patients" in medseg("compare", NAMES[0], "fewer", "--on-common", "--no-keep").stdout


@pytest.mark.usefixtures("figureless", "three")
def test_a_comparison_is_kept_in_the_folder_of_b_and_said_so() -> None:
    assert f"medseg-runs/{NAMES[1]}/comparisons/with-{NAMES[0]}" in medseg("compare", *NAMES[:2]).stderr


@pytest.mark.usefixtures("three")
def test_a_run_is_deleted_once_the_user_agrees() -> None:
    assert "Nothing was deleted." in medseg("delete", NAMES[0], answer="n\n").stdout
    assert "--yes" in medseg("delete", NAMES[0], answer="", code=2).stderr
    assert f"Deleted {NAMES[0]}" in medseg("delete", NAMES[0], answer="y\n").stdout
    assert f"Deleted {NAMES[1]}" in medseg("delete", NAMES[1], "--yes").stdout
    assert "no run" in medseg("delete", NAMES[0], "--yes", code=2).stderr
    assert "latest" not in medseg("list").stdout


@pytest.mark.usefixtures("three")
def test_nothing_that_waits_is_done_and_what_cannot_be_sent_ends_with_code_2(made_run) -> None:
    assert "Nothing waits" in medseg("sync").stdout
    folder = made_run("away", {}, tracked="0" * 32, tracking_uri="http://127.0.0.1:9")
    (folder.path / "untracked.jsonl").write_text('{"what": "tags", "body": {"a": "b"}}\n')
    assert "127.0.0.1:9 cannot be used" in medseg("sync", code=2).stderr
    printed = medseg("list").stdout
    assert "Records wait for the tracking server. Send them: medseg runs sync" in printed


def test_without_runs_the_list_says_how_to_start(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "medseg pipeline run NAME" in medseg("list").stdout
    assert "no run of yours" in medseg("show", "latest", code=2).stderr


def test_a_run_is_shown_with_its_scores(finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(finished.folder.parents[1])
    printed = medseg("show", "latest").stdout
    assert finished.run_id in printed
    assert "whole_tumour" in printed
    assert str(finished.folder) in printed
    frame = pd.read_csv(io.StringIO(medseg("show", "latest", "--format", "csv").stdout))
    assert set(frame["role"]) == {"test"}
