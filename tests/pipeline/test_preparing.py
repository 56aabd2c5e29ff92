"""Cases that cannot be prepared are left out on request, as those that the check finds; else all are listed."""

from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image
from typer.testing import CliRunner

from medseg.api import prepare_data, resume_pipeline, run_pipeline
from medseg.api.apart.one_fold import look_at
from medseg.cli.main import app
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, Fault
from medseg.named import find_manifest
from medseg.pipeline.folder import State, all_runs
from medseg.pipeline.gather import check_data, gather
from medseg.pipeline.options import RunOptions
from medseg.pipeline.preparing import rows_of
from medseg.progress import Silent
from medseg.slices.preparation import Preparation
from medseg.steps.fit import Fit
from medseg.testing.pictures import write_emps
from medseg.tracking.mlflow.store import open_store
from medseg.yaml import read_yaml, write_yaml

pytestmark = pytest.mark.usefixtures("figureless", "workspace")


@pytest.fixture
def unreadable(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Give the names of cases for whose decoding memory does not suffice, though the check found nothing."""
    names: set[str] = set()
    read = Preparation.read

    def other(self: Preparation, case: Case, labels: object) -> object:
        if case.id in names:
            raise MemoryError
        return read(self, case, labels)

    monkeypatch.setattr(Preparation, "read", other)
    return names


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupt each run where it begins to train."""

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Fit, "__call__", stop)


@pytest.mark.slow
@pytest.mark.usefixtures("untrained")
def test_cases_that_cannot_be_prepared_are_left_out_on_request_and_stay_so(
    patients: Path, tiny: tuple[str, ...], unreadable: set[str]
) -> None:
    unreadable |= {"Brats_002", "Brats_005"}
    with pytest.raises(KeyboardInterrupt):
        run_pipeline("brats2d", patients, set=tiny, device="cpu", jobs=1, skip_bad=True)
    ((folder, state),) = all_runs()
    kept = {name: (folder.path / name).read_bytes() for name in ("split.json", "left_out.csv", "slices.csv")}

    with (folder.path / "left_out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case"], row["position"]) for row in rows] == [("Brats_002", "2"), ("Brats_005", "5")]
    assert all("memory" in row["fault"] for row in rows)
    assert b"Brats_001" in kept["split.json"]
    assert not any(b"Brats_002" in kept[name] for name in ("split.json", "slices.csv"))
    with open_store(state.tracking_uri) as client:
        tags = client.get_run(state.tracked).data.tags
        assert (tags["data.left_out"], tags["data.faults"]) == ("2", "2")
        assert "left_out.csv" in {one.path for one in client.list_artifacts(state.tracked)}

    unreadable.clear()  # enough memory changes nothing any more
    with pytest.raises(KeyboardInterrupt):
        resume_pipeline()
    assert {name: (folder.path / name).read_bytes() for name in kept} == kept


@pytest.mark.slow
@pytest.mark.usefixtures("untrained")
def test_what_a_run_has_begun_to_learn_from_is_left_out_no_more(
    patients: Path,
    tiny: tuple[str, ...],
    unreadable: set[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_pipeline("brats2d", patients, set=tiny, device="cpu", jobs=1, skip_bad=True)
    unreadable.add("Brats_003")
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "another-cache"))
    with pytest.raises(DataError, match="leaves out no more") as caught:
        resume_pipeline()
    assert [fault.case for fault in caught.value.faults] == ["Brats_003"]


@pytest.mark.slow
def test_without_skip_bad_all_cases_that_failed_are_listed(
    patients: Path, tiny: tuple[str, ...], unreadable: set[str]
) -> None:
    unreadable |= {"Brats_002", "Brats_005", "Brats_006"}
    with pytest.raises(
        DataError, match=r"3 cases cannot be prepared(.|\n)*anew without these cases: --skip-bad"
    ) as caught:
        run_pipeline("brats2d", patients, set=tiny, device="cpu", jobs=2)
    assert {fault.case for fault in caught.value.faults} == unreadable


@pytest.mark.slow
def test_a_role_that_is_left_empty_is_an_error_that_says_so(
    patients: Path, tiny: tuple[str, ...], unreadable: set[str]
) -> None:
    unreadable |= {f"Brats_00{number}" for number in range(1, 5)}
    with pytest.raises(DataError, match="too few patients to share out: 2"):
        run_pipeline("brats2d", patients, set=tiny, device="cpu", jobs=1, skip_bad=True)
    with pytest.raises(DataError, match="too few patients to share out: 2"):
        resume_pipeline()


@pytest.mark.slow
def test_slices_are_prepared_without_them_as_well(
    patients: Path, tiny: tuple[str, ...], unreadable: set[str]
) -> None:
    unreadable.add("Brats_004")
    with pytest.raises(DataError, match="1 case cannot be prepared"):
        prepare_data("brats2d", patients, set=tiny, jobs=1)
    store = prepare_data("brats2d", patients, set=tiny, jobs=1, skip_bad=True)
    assert {sample.case for sample in store.samples} == {f"Brats_00{n}" for n in (1, 2, 3, 5, 6)}


def test_as_many_slices_as_counts_ask_for_are_prepared_for_each_role(
    patients: Path, tiny: tuple[str, ...]
) -> None:
    by_slice = ["split.by=slice", "split.train=20", "split.val=5", "split.test=3"]
    store = prepare_data("brats2d", patients, set=[*tiny, *by_slice], jobs=1)
    counts = {role: len(store.role(role)) for role in ("train", "val", "test")}
    assert counts == {"train": 20, "val": 5, "test": 3}
    assert len(store.role("unused")) == len(store.samples) - 28 > 0


def test_patients_beyond_the_counts_are_not_prepared(patients: Path, tiny: tuple[str, ...]) -> None:
    counts = ["split.train=2", "split.val=1", "split.test=1"]
    store = prepare_data("brats2d", patients, set=[*tiny, *counts], jobs=1)
    assert len({sample.case for sample in store.samples}) == 4


def test_every_fold_leaves_out_what_the_first_could_not_prepare(patients: Path) -> None:
    brats = Manifest.from_yaml(find_manifest("brats2019").path)
    gathered = gather(
        check_data(brats, brats.channels, patients, RunOptions.of(jobs=1), Silent()),
        skip_bad=True,
    )
    fault = Fault("Brats_002", 2, "", "the case does not fit into memory", "Leave it out.")
    fewer = gathered.without([fault])
    state = State(
        "first",
        "brats2d",
        None,
        RunOptions.of(skip_bad=True),
        data_fingerprint=fewer.report.fingerprint(),
        unprepared=rows_of(fewer.unprepared),
    )
    asked = SimpleNamespace(begun=lambda: [(1, State.of(json.loads(json.dumps(state.content()))))])
    found = look_at(asked, 2, Silent(), (), gathered)

    assert found.left_out == ("Brats_002",)
    assert found.unprepared == (fault,)
    assert [case.id for case in found.cases] == [f"Brats_00{n}" for n in (1, 3, 4, 5, 6)]


@pytest.mark.parametrize(("ids", "others"), [("identifying", 0), ("pseudonyms", 0o055)])
def test_slices_of_patients_whose_names_are_known_are_closed_to_others(
    ids: str, others: int, patients: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    named = read_yaml(find_manifest("brats2019").path)
    write_yaml({**named, "ids": ids}, tmp_path / "ours.yaml")
    umask = os.umask(0o022)
    try:
        store = prepare_data("brats2d", patients, set=[*tiny, f"manifest={tmp_path / 'ours.yaml'}"])
    finally:
        os.umask(umask)

    assert store.root.stat().st_mode & 0o077 == others


@pytest.mark.slow
def test_pictures_that_are_refused_only_while_they_are_prepared_are_named_and_left_out(
    tmp_path: Path,
) -> None:
    write_emps(tmp_path / "data", cases=6, size=(40, 56))
    spoilt = tmp_path / "data" / "images" / "emps03.png"
    assert spoilt.exists()
    bright = np.zeros((40, 56), np.uint16)
    bright[10:] = 65535  # float16 ends at 65504
    Image.fromarray(bright).save(spoilt)
    sets = [word for each in ("slices.size=[32,32]", "slices.transforms=[]") for word in ("--set", each)]
    words = ["data", "prepare", "emps", "--data", str(tmp_path / "data"), *sets, "--jobs", "1"]

    refused = CliRunner().invoke(app, words)
    assert refused.exit_code == 2, refused.output
    told = " ".join(refused.output.split())
    assert "1 case cannot be prepared" in told
    assert "case emps03" in told
    assert "values reach 65535" in told
    assert "go on without these cases: --skip-bad" in told

    done = CliRunner().invoke(app, [*words, "--skip-bad"])
    assert done.exit_code == 0, done.output
    assert "Going on without 1 more case that cannot be prepared." in " ".join(done.output.split())
    sizes = CliRunner().invoke(app, [*words, "--skip-bad", "--dry-run"])
    assert sizes.exit_code == 0, sizes.output


@pytest.mark.slow
@pytest.mark.parametrize("more", [(), ("slices.fit=tile", "slices.size=[16,16]"), ("slices.fit=resize",)])
def test_truth_that_is_stored_in_other_orders_of_axes_gives_the_same_slices(
    more: tuple[str, ...], patients: Path, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    turned = Path(shutil.copytree(patients, tmp_path / "turned"))
    for case, axes in zip(sorted(turned.iterdir()), ("LAS", "RPI", "RAI", "PSR", "IRP", "LPI"), strict=True):
        path = case / f"{case.name}_seg.nii.gz"
        stored = nibabel.load(path)
        start, end = io_orientation(stored.affine), axcodes2ornt(tuple(axes))
        nibabel.save(stored.as_reoriented(ornt_transform(start, end)), path)

    one, other = (prepare_data("brats2d", data, set=[*tiny, *more]) for data in (patients, turned))

    assert [sample.case for sample in other.samples] == [sample.case for sample in one.samples]
    for first, second in zip(one.samples, other.samples, strict=True):
        for given, expected in zip(other.read(second), one.read(first), strict=True):
            np.testing.assert_array_equal(given, expected)
