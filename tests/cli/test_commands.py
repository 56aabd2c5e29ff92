"""Commands that need nothing heavy stay quick; exit codes; what a user sees."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.errors import TrainingError

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

LIGHT = """
import json, sys
from typer.testing import CliRunner
from medseg.cli.main import app
commands = [["--help"], ["--version"], ["pipeline", "--help"], ["pipeline", "run", "--help"], ["predict", "--help"],
            ["data", "check", "--help"], ["pipeline", "list"], ["pipeline", "show", "brats2d"], ["cache", "list"]]
codes = {" ".join(words): CliRunner().invoke(app, words).exit_code for words in commands}
expected = {"torch", "monai", "mlflow", "pandas", "scipy", "nibabel", "matplotlib"}
heavy = sorted(expected & set(sys.modules))
print(json.dumps([codes, heavy]))
"""


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.slow
def test_commands_that_need_no_images_import_nothing_heavy(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    codes, heavy = json.loads(done.stdout)

    assert set(codes.values()) == {0}
    assert heavy == []


def test_help_says_research_use_only() -> None:
    assert "Research use only; not a medical device" in " ".join(medseg("--help").output.split())


def test_every_command_explains_itself_and_each_option() -> None:
    for words in (
        *(["pipeline", each] for each in ("list", "new", "show", "check", "run", "resume")),
        *(["data", each] for each in ("check", "show", "prepare", "sample", "scan")),
        *(["cache", "list"], ["cache", "clear"], ["predict"], ["export"], ["ui"]),
    ):
        result = medseg(*words, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output


def test_list_names_every_shipped_pipeline(workspace: Path) -> None:
    listed = medseg("pipeline", "list").output

    for name in ("brats2d", "acdc", "hippocampus"):
        assert name in listed


def test_what_a_listed_definition_says_does_not_steer_the_terminal(workspace: Path) -> None:
    (workspace / "pipelines").mkdir()
    about = r'about: "x\e]0;title\a\e[31mred\u202e"'
    (workspace / "pipelines" / "odd.yaml").write_text(f"name: odd\n{about}\nsteps: {{}}\n", encoding="utf-8")
    listed = medseg("pipeline", "list").output

    assert "odd" in listed
    assert not set("\x1b\x07\u202e") & set(listed)


def test_what_show_prints_is_a_definition_that_can_be_run(workspace: Path) -> None:
    shown = medseg("pipeline", "show", "brats2d", "--set", "steps.fit.epochs=3")
    (workspace / "mine.yaml").write_text(shown.stdout)
    again = medseg("pipeline", "show", "mine.yaml")

    assert shown.exit_code == again.exit_code == 0
    assert again.stdout == shown.stdout
    assert "epochs: 3" in shown.stdout


@pytest.mark.parametrize("sets", [(), ("--set", "slices.size=[32, 32]")])
def test_what_show_prints_has_the_comments_of_the_definition(workspace: Path, sets: tuple[str, ...]) -> None:
    path = Path(__file__).parents[2] / "pipelines" / "brats2d.yaml"
    comments = re.findall(r"# .+", path.read_text(encoding="utf-8"))

    shown = medseg("pipeline", "show", "brats2d", *sets).stdout

    assert comments
    assert [each for each in comments if each not in shown] == []
    assert not sets or "size: [32, 32]" in shown


def test_show_tells_the_transforms_that_are_applied_in_their_order(
    workspace: Path, monai_imported: None
) -> None:
    from medseg.api.opening import open_pipeline
    from medseg.slices.preparation import Preparation

    for name in ("brats2d", "nuclei", "radiology"):
        opened = open_pipeline(name)
        definition, manifest = opened.definition, opened.manifest
        shown = medseg("pipeline", "show", name).stdout
        told = [line.split("(")[0].split(".")[-1] for line in shown.splitlines() if line.startswith("#   ")]
        labels = None if manifest.image_labels else manifest.label_rule()
        preparation = Preparation(definition.channels, definition.slices, files=manifest.files())
        augmented = [spec["_target_"].split(".")[-1] for spec in definition.loading.augment]

        built = [type(each).__name__ for each in preparation.compose(labels).transforms]
        assert told == [*built, *augmented]
        assert built[:2] == ["LoadCased", "OrientRASd"]


def test_comments_stay_comments_whatever_a_definition_says(workspace: Path) -> None:
    shown = medseg("pipeline", "show", "brats2d").stdout
    odd = r"""    - {_target_: "a.b\nname: other", "c\nd": "e\n\x85\u2028name: f"}"""
    assert "  transforms:\n" in shown
    (workspace / "odd.yaml").write_text(shown.replace("  transforms:\n", f"  transforms:\n{odd}\n", 1))
    again = medseg("pipeline", "show", "odd.yaml")
    (workspace / "again.yaml").write_text(again.stdout)

    assert again.exit_code == 0, again.output
    assert "# " in again.stdout
    assert medseg("pipeline", "show", "again.yaml").stdout == again.stdout


def test_an_unknown_pipeline_is_refused_with_the_nearest(workspace: Path) -> None:
    result = medseg("pipeline", "check", "brats3d")

    assert result.exit_code == 2
    assert "brats2d" in result.stderr


@pytest.mark.slow
def test_check_tells_parameters_and_shapes(workspace: Path) -> None:
    result = medseg("pipeline", "check", "brats2d")
    assert "Augmentation runs by batch" in result.stdout

    assert result.exit_code == 0, result.output
    assert re.search(r"[\d,]{5,} trainable parameters", result.stdout)


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (RuntimeError("secret /data/jane"), 1, "defect of medseg (RuntimeError)"),
        (KeyboardInterrupt(), 130, "Interrupted"),
        (TrainingError("the loss became nan"), 2, "the loss became nan"),
    ],
)
def test_what_goes_wrong_ends_with_its_code_and_no_traceback(
    raised: BaseException, code: int, said: str, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg import api

    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(api, "run_pipeline", fail)
    monkeypatch.setenv("TMPDIR", str(workspace))
    monkeypatch.setattr("tempfile.tempdir", str(workspace))
    result = medseg("pipeline", "run", "brats2d")

    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.output
    assert "jane" not in result.output
    kept = list(workspace.glob("medseg-defect-*.txt"))
    assert len(kept) == (code == 1)
    assert all("RuntimeError: secret /data/jane" in path.read_text() for path in kept)
    if os.name == "posix":
        assert all(path.stat().st_mode & 0o077 == 0 for path in kept)  # for its owner's eyes


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_the_closing_table_fits_and_says_where_the_model_is_and_what_to_do_next(
    workspace: Path, patients: Path, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sets = [part for each in (*tiny, "steps.fit.epochs=1") for part in ("--set", each)]
    result = medseg("pipeline", "run", "brats2d", "--data", patients, "--device", "cpu", *sets)

    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    for name in ("healthy", "necrotic_core", "enhancing_tumour", "95% interval", "HD95 mm"):
        assert name in result.stdout
    (model,) = re.findall(r"^Model:\s+(\S+)$", result.stdout, re.MULTILINE)
    assert (workspace / model / "weights.safetensors").exists()
    assert "medseg predict brats2d-" in result.stdout
    assert "medseg ui" in result.stdout
    assert "Research use only; not a medical device." in result.stdout
    assert "GENERATED" not in result.stdout


@pytest.mark.slow
def test_data_check_prints_a_table_of_grids_and_labels(workspace: Path, patients: Path) -> None:
    result = medseg("data", "check", "brats2d", "--data", patients)
    again = medseg("data", "check", "brats2d", "--data", patients)

    assert result.exit_code == 0
    for word in ("24 x 28 x 12", "1 x 1 x 1", "LPS", "necrotic_core", "No faults", "6 read now"):
        assert word in result.stdout
    assert "0 read now" in again.stdout  # nothing has changed


@pytest.mark.slow
def test_the_cache_is_listed_and_cleared(workspace: Path, patients: Path) -> None:
    medseg("data", "check", "brats2d", "--data", patients)
    listed, cleared = medseg("cache", "list"), medseg("cache", "clear", "checked")

    assert "checked" in listed.stdout
    assert cleared.exit_code == 0
    assert "6 read now" in medseg("data", "check", "brats2d", "--data", patients).stdout
    assert medseg("cache", "clear", "everything").exit_code == 2


@pytest.mark.slow
def test_prepare_tells_first_and_then_makes_what_it_told(
    workspace: Path, patients: Path, tiny: tuple[str, ...]
) -> None:
    sets = [part for each in tiny for part in ("--set", each)]
    words = ("data", "prepare", "brats2d", "--data", patients, *sets)
    told, made, again = medseg(*words, "--dry-run"), medseg(*words), medseg(*words, "--dry-run")

    assert told.exit_code == made.exit_code == again.exit_code == 0, told.output + made.output
    assert "6 cases, 0 of them prepared already" in told.stdout
    assert "6 cases, 6 of them prepared already" in again.stdout
    assert all(role in made.stdout for role in ("train", "val", "test"))
