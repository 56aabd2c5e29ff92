"""Messages offer options that there are, and those of the command at hand."""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

import medseg
from medseg.cli.main import app
from medseg.cli.printing.paths_shown import paths_of_run_may_be_shown
from medseg.pipeline.folder import RunFolder

ROOT = Path(medseg.__file__).parent

#: Of other programs, which medseg starts or names.
OF_OTHERS = {
    "--allowed-hosts", "--app-name", "--artifacts-destination", "--cors-allowed-origins", "--env-manager", "--host",
    "--porcelain", "--raw", "--run-id", "--shm-size", "--untracked-files", "--workers",
    "--master-port", "--nnodes", "--nproc-per-node", "--standalone",  # of torchrun
    "--bundle", "--config", "--datalist", "--dataset", "--output",  # of monai.bundle, up to an underscore
}  # fmt: skip


def texts(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def options(command: Any) -> set[str]:
    """Of a command, or of a group and all its commands."""
    own = {name for each in command.params for name in (*each.opts, *each.secondary_opts)}
    return own.union(*map(options, getattr(command, "commands", {}).values()))


def test_every_option_that_a_text_names_is_one_of_a_command() -> None:
    named = {
        option
        for file in ROOT.rglob("*.py")
        for text in texts(file)
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]", text)
    }

    assert {"--skip-bad", "--show-paths"} <= named
    assert named - options(typer.main.get_command(app)) - {"--help"} == OF_OTHERS


def test_a_run_that_goes_on_offers_what_it_can_do_about_faults_and_shows_paths_as_its_manifest_lets_it(
    killed: RunFolder, patients: Path, tmp_path: Path
) -> None:
    shutil.copytree(patients, tmp_path / "changed")
    spoilt = tmp_path / "changed" / "Brats_006" / "Brats_006_flair.nii.gz"
    spoilt.write_bytes(b"")

    refused = CliRunner().invoke(
        app, ["pipeline", "resume", killed.path.name, "--data", str(tmp_path / "changed")]
    )

    assert refused.exit_code == 2, refused.output
    assert "put the data back as they were and resume, or begin a new run" in refused.output
    assert str(spoilt) in refused.output
    assert "--skip-bad" not in refused.output
    assert "--show-paths" not in refused.output
    assert killed.read().status == "KILLED"


@pytest.mark.usefixtures("workspace")
def test_paths_are_hidden_where_ids_are_identifying_or_nobody_knows(killed: RunFolder) -> None:
    name = killed.path.name
    assert paths_of_run_may_be_shown(name, take_over=False)
    assert paths_of_run_may_be_shown(None, take_over=False)
    assert not paths_of_run_may_be_shown("nothing", take_over=False)
    manifest = killed.path / "manifest.yaml"
    manifest.write_text(manifest.read_text().replace("ids: pseudonyms", "ids: identifying"))
    assert not paths_of_run_may_be_shown(name, take_over=False)
