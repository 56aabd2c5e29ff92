"""Bad input through the command line: what, where, what to do; exit code 2; nothing left to be trusted."""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import all_runs
from medseg.places import cache_folder
from medseg.testing.cases import write_brats
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

Change = Callable[[Path], None]


@pytest.fixture
def data(tmp_path: Path, patients: Path) -> Path:
    """A copy of the patients that a test may spoil."""
    return Path(shutil.copytree(patients, tmp_path / "data"))


@pytest.fixture
def medseg(workspace: Path, tiny: tuple[str, ...]) -> Callable[..., Any]:
    """The command line with the settings of a tiny pipeline."""

    def call(*words: str, sets: tuple[str, ...] = ()) -> Any:
        settings = [part for each in (*tiny, *sets) for part in ("--set", each)]
        return CliRunner().invoke(app, ["pipeline", "run", "brats2d", "--device", "cpu", *words, *settings])

    return call


def nothing_is_left(workspace: Path) -> None:
    """No run, no prepared slices and no MLflow run of a command that was refused."""
    assert list(all_runs()) == []
    assert not (workspace / "medseg-runs").exists()
    assert not (cache_folder() / "stores").exists()
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def refused(result: Any, *words: str) -> None:
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    for word in words:
        assert word in result.stderr, result.stderr


def truncated(case: Path) -> None:
    path = case / f"{case.name}_t1.nii.gz"
    path.write_bytes(path.read_bytes()[:-500])


def text(case: Path) -> None:
    (case / f"{case.name}_t1.nii.gz").write_text("this is no image")


def compressed_text(case: Path) -> None:
    (case / f"{case.name}_t1.nii.gz").write_bytes(gzip.compress(b"this is no image" * 100))


def no_bytes(case: Path) -> None:
    (case / f"{case.name}_t1.nii.gz").write_bytes(b"")


def missing(case: Path) -> None:
    (case / f"{case.name}_t1.nii.gz").unlink()


def rewritten(case: Path, part: str, change: Callable[[np.ndarray], np.ndarray], shift: float = 0) -> None:
    path = case / f"{case.name}_{part}.nii.gz"
    image = nibabel.load(path)
    affine = image.affine.copy()
    affine[0, 3] += shift
    nibabel.save(nibabel.Nifti1Image(change(np.asanyarray(image.dataobj)), affine), path)


def other_grid(case: Path) -> None:
    rewritten(case, "t1", lambda values: values[:-1])


def other_place(case: Path) -> None:
    rewritten(case, "t1", lambda values: values, shift=7.0)


def unknown_label(case: Path) -> None:
    rewritten(case, "seg", lambda values: np.where(values == 4, 3, values).astype(values.dtype))


def between_labels(case: Path) -> None:
    rewritten(case, "seg", lambda values: (values * 0.75).astype(np.float32))


def all_zero(case: Path) -> None:
    rewritten(case, "t1", np.zeros_like)


def not_a_number(case: Path) -> None:
    def spoil(values: np.ndarray) -> np.ndarray:
        spoilt = values.astype(np.float32)
        spoilt[3, 4, 5] = np.nan
        return spoilt

    rewritten(case, "t1", spoil)


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "truncated": (truncated, ("t1",)),
    "a text": (text, ("t1",)),
    "a compressed text": (compressed_text, ("t1",)),
    "an empty file": (no_bytes, ("t1",)),
    "a missing channel": (missing, ("t1", "missing")),
    "another grid": (other_grid, ("t1", "grid")),
    "another place": (other_place, ("t1", "grid")),
    "an unknown label": (unknown_label, ("mask", "3")),
    "interpolated labels": (between_labels, ("mask",)),
    "an all-zero volume": (all_zero, ("t1", "empty")),
    "NaN": (not_a_number, ("t1", "NaN")),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_with_case_part_and_remedy(
    kind: str, data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    spoil, words = FAULTS[kind]
    spoil(data / "Brats_004")
    result = medseg("--data", str(data))

    refused(result, "case Brats_004", "no. 4", "--skip-bad", *words)
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("  - ")]
    assert line.count(". ") >= 1  # what was met, then what to do
    nothing_is_left(workspace)
    checked = CliRunner().invoke(app, ["data", "check", "brats2d", "--data", str(data)])
    refused(checked, "case Brats_004", *words)


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_skip_bad_goes_on_and_records_what_it_left_out(
    data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    truncated(data / "Brats_004")
    result = medseg("--data", str(data), "--skip-bad", sets=("steps.fit.epochs=1",))

    assert result.exit_code == 0, result.output
    assert "without 1 case" in result.stdout
    ((folder, state),) = all_runs()
    assert "Brats_004" not in (folder.path / "split.json").read_text()
    assert "Brats_004" in (folder.path / "left_out.csv").read_text()
    with open_store(state.tracking_uri) as client:
        assert client.get_run(state.tracked).data.tags["data.left_out"] == "1"
        assert "left_out.csv" in {one.path for one in client.list_artifacts(state.tracked)}


def test_the_same_patient_under_two_names_is_a_fault(
    data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    for path in (data / "Brats_001").iterdir():
        shutil.copyfile(path, data / "Brats_002" / path.name.replace("001", "002"))
    refused(medseg("--data", str(data)), "Brats_002")
    nothing_is_left(workspace)


@pytest.mark.parametrize("kind", ["empty", "absent", "of other files"])
def test_a_folder_without_cases_says_how_to_get_the_data(
    kind: str, tmp_path: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    folder = tmp_path / "given"
    if kind != "absent":
        folder.mkdir()
    if kind == "of other files":
        (folder / "notes.txt").write_text("hello")
    result = medseg("--data", str(folder))

    refused(result, "Register at")
    nothing_is_left(workspace)


def as_nobody(words: list[str], said: Path) -> int:
    """Exit code of a command in a process of its own without privileges; what it says on stderr is written."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70  # nothing else may end so
    try:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        done = CliRunner().invoke(app, words)
        said.write_text(done.stderr, encoding="utf-8")
        code = done.exit_code
    finally:
        os._exit(code)  # what pytest would do in the end is done by the parent


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the superuser can drop privileges"
)
@pytest.mark.filterwarnings("ignore:.*fork")  # no thread of this process is needed by the child
def test_a_folder_without_read_permission_is_named(
    monkeypatch: pytest.MonkeyPatch, monai_imported: None
) -> None:
    # Not below pytest's folder, which only this user may enter: the child must fail at the closed one.
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        open_folder = Path(place)
        open_folder.chmod(0o755)
        data = write_brats(open_folder / "data", cases=2)
        (data / "Brats_002").chmod(0o700)
        home = open_folder / "home"
        home.mkdir(mode=0o777)
        home.chmod(0o777)
        monkeypatch.chdir(home)
        for name in ("HOME", "MEDSEG_CACHE", "MEDSEG_CONFIG"):
            monkeypatch.setenv(name, str(home))
        command = ["data", "check", "brats2d", "--set", "split.by=slice", "--jobs", "1", "--data"]
        # All is imported by a first check, for the interpreter may lie where only the superuser may read.
        assert CliRunner().invoke(app, [*command, str(data / "Brats_001")]).exit_code == 0
        monkeypatch.setenv("MEDSEG_CACHE", str(home / "of nobody"))
        code = as_nobody([*command, str(data)], home / "said")
        said = (home / "said").read_text(encoding="utf-8")
        monkeypatch.undo()  # this folder goes

    assert code == 2, said
    assert "may not be read by this user" in said
    assert "Give this user the right" in said
    assert "Traceback" not in said


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_no_space_left_while_preparing_leaves_no_entry_and_a_failed_run(
    data: Path, workspace: Path, medseg: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.slices.store import entry

    save, saved = entry._save, 0

    def full(array: Any, path: Path) -> int:
        nonlocal saved
        saved += 1
        if saved > 5:
            path.write_bytes(b"torn")
            raise OSError(errno.ENOSPC, "No space left on device")
        return save(array, path)

    with monkeypatch.context() as patch:
        patch.setattr(entry, "_save", full)
        result = medseg("--data", str(data), "--jobs", "1")
    refused(result, "no space", "MEDSEG_CACHE")
    ((folder, state),) = all_runs()
    assert state.status == "FAILED"
    assert not (folder.path / "model").exists()
    assert not list(cache_folder().rglob("*.part"))
    assert all(path.read_bytes() != b"torn" for path in cache_folder().rglob("*.npy"))
    with open_store(state.tracking_uri) as client:
        assert client.get_run(state.tracked).info.status == "FAILED"

    predicted = CliRunner().invoke(app, ["predict", "latest", str(data), "-o", "out"])
    refused(predicted, "has no model")
    resumed = CliRunner().invoke(app, ["pipeline", "resume"])
    assert resumed.exit_code == 0, resumed.output


DEFINITIONS = {
    "a misspelt key": ("steps.fit.epohcs=3", ("epohcs", "epochs")),
    "a misspelt section": ("slces.size=[32,32]", ("slces", "slices")),
    "a value of another kind": ("loading.batch_size=many", ("loading.batch_size",)),
    "an argument that does not exist": ("network.chanels=[4,8]", ("chanels", "channels")),
    "classes that do not match the network": ("network.out_channels=4", ("out_channels", "5")),
    "fewer classes than a region names": (
        "task.classes=[outside, healthy]",
        ("task.regions", "whole_tumour"),
    ),
    "classes that do not match the manifest": (
        "task.classes=[healthy, outside, necrotic_core, oedema, enhancing]",
        ("task.classes",),
    ),
    "a network for another number of channels": ("network.in_channels=3", ("in_channels",)),
    "channels that are not there": ("channels=[flair, t9]", ("t9",)),
    "a hostile target": ("network._target_=os.system", ("os.system",)),
    "a hostile loss": ("task.loss._target_=builtins.eval", ("builtins.eval",)),
    "a class that imports by name": (
        "loading.augment.0._target_=monai.transforms.Lambdad",
        ("Lambdad",),
    ),
    "a class that does not exist": ("network._target_=monai.networks.nets.UNett", ("UNett", "UNet")),
    "no equals sign": ("steps.fit.epochs", ("path=value",)),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_wrong_definition_is_refused_before_anything_runs(
    kind: str, data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    wrong, words = DEFINITIONS[kind]
    refused(medseg("--data", str(data), sets=(wrong,)), *words)
    nothing_is_left(workspace)


def test_a_misspelt_key_in_a_file_is_named_with_the_nearest(workspace: Path) -> None:
    from medseg.named import find_pipeline

    told = find_pipeline("brats2d").path.read_text().replace("batch_size:", "batchsize:", 1)
    (workspace / "mine.yaml").write_text(told)
    result = CliRunner().invoke(app, ["pipeline", "check", "mine.yaml"])

    refused(result, "batchsize", "batch_size", "mine.yaml")


@pytest.mark.parametrize("told", ["", "- a\n- b\n", "name: [\n", "name: x\nname: y\n", "\x00"])
def test_a_file_that_is_no_definition_is_refused(told: str, workspace: Path) -> None:
    (workspace / "mine.yaml").write_text(told)
    result = CliRunner().invoke(app, ["pipeline", "check", "mine.yaml"])

    refused(result, "mine.yaml")


def test_hostile_yaml_is_not_executed(workspace: Path) -> None:
    (workspace / "mine.yaml").write_text("name: !!python/object/apply:os.system ['touch owned']\n")
    result = CliRunner().invoke(app, ["pipeline", "check", "mine.yaml"])

    refused(result)
    assert not (workspace / "owned").exists()


@pytest.mark.parametrize(
    ("uri", "word"),
    [
        ("http://127.0.0.1:9", "cannot be used"),
        ("file:///tmp/runs", "sqlite:///"),
        ("nonsense", "sqlite:///"),
    ],
)
def test_a_tracking_server_that_cannot_be_reached_is_an_error_before_anything_runs(
    uri: str, word: str, data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    refused(medseg("--data", str(data), "--tracking-uri", uri), word)
    nothing_is_left(workspace)


def test_a_pipeline_without_data_or_sample_says_what_to_get(workspace: Path) -> None:
    for name in ("acdc", "hippocampus"):
        result = CliRunner().invoke(app, ["pipeline", "run", name])
        refused(result, "--data", "http")
    nothing_is_left(workspace)


def test_cuda_where_there_is_none_is_refused(
    data: Path, workspace: Path, medseg: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    refused(medseg("--data", str(data), "--device", "cuda"), "--device auto")
    refused(medseg("--data", str(data), "--device", "gpu"), "'auto', 'cpu' or 'cuda'")
    nothing_is_left(workspace)


def test_a_split_that_leaves_a_role_without_patients_is_refused(
    data: Path, workspace: Path, medseg: Callable[..., Any]
) -> None:
    for number in (3, 4, 5, 6):
        shutil.rmtree(data / f"Brats_00{number}")
    refused(medseg("--data", str(data)))
