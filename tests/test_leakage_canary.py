"""A canary for leakage: labels that are drawn at random can only be told by who has met the patient before."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from medseg.api import RunResult, audit_run, run_pipeline
from medseg.datasets.finding.scan import scan
from medseg.errors import DataError
from medseg.testing.pictures import write_picture
from medseg.tracking.mlflow.store import open_store

pytestmark = [
    pytest.mark.slow,  # all look at two runs on forty patients
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
]

PATIENTS, SLICES, SIDE = 40, 4, 16
TESTED = 14  # patients, of whom it is tested by patient
NOISE = 3.0  # of 255; the patterns of two patients differ by 60 or so in each place
LABELS = ("ill", "well")

#: A network that learns its training patients by heart within seconds.
SETTINGS = (
    f"slices.size=[{SIDE},{SIDE}]",
    "network.feature_maps=16",
    "network.dense=32",
    "network.dropout=0",
    "loading.batch_size=64",
    "steps.fit.epochs=60",
    "steps.fit.optimiser.lr=0.003",
    "steps.fit.pictures_every=0",
    "steps.fit.validate_every=99",  # the best epoch is the last: of random labels validation can say nothing
    "split.column=null",
    "split.test=0.35",
)
BY_SLICE = ("split.by=slice", "split.test=0.2", "steps.fit.epochs=30")


@pytest.fixture(scope="module")
def flock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty patients of a few nearly identical pictures each; which class is a patient's own, drawn at random."""
    folder = tmp_path_factory.mktemp("flock")
    random = np.random.default_rng(7)
    labels = random.permutation(np.arange(PATIENTS) % len(LABELS))
    for patient, label in enumerate(labels):
        pattern = random.uniform(40, 215, (SIDE, SIDE))
        for number in range(SLICES):
            picture = np.rint(pattern + random.normal(0, NOISE, pattern.shape)).clip(0, 255).astype(np.uint8)
            write_picture(folder / LABELS[label] / f"patient{patient:02d}_{number:02d}.png", picture)
    return folder


@pytest.fixture(scope="module")
def run(
    long_workspace: Callable[[str], AbstractContextManager[Path]],
    unmade_figures: Callable[[], AbstractContextManager[None]],
    monai_imported: None,
    flock: Path,
) -> Callable[..., RunResult]:
    """Run on the flock, split by patient or by slice; what is read and prepared once serves both."""

    def start(*expected: str, **options: Any) -> RunResult:
        settings = [*SETTINGS, *expected]
        with long_workspace("canary"), unmade_figures():
            return run_pipeline("radiology_cnn", flock, set=settings, device="cpu", jobs=1, **options)

    return start


@pytest.fixture(scope="module")
def by_patient(run: Callable[..., RunResult]) -> RunResult:
    return run()


@pytest.fixture(scope="module")
def by_slice(run: Callable[..., RunResult], by_patient: RunResult) -> RunResult:
    return run(*BY_SLICE, allow_duplicates=True)


def reported(result: RunResult, score: str = "accuracy") -> Mapping[str, float]:
    """Value and interval, as the table of the run has them."""
    table = result.summary("test")
    return dict(table[(table["name"] == "") & (table["score"] == score)].iloc[0])


def split_of(result: RunResult) -> Any:
    return json.loads((result.folder / "split.json").read_text(encoding="utf-8"))


def test_the_network_knows_its_training_patients_by_heart_so_that_the_canary_can_sing(
    by_patient: RunResult, flock: Path
) -> None:
    predictor, train = by_patient.predictor, set(split_of(by_patient)["train"])
    cases = [case for case in scan(predictor.manifest, flock).cases if case.id in train]
    seen = {case.group: case for case in cases}.values()
    right = [predictor.classify(predictor.read_image(case)).names == case.labels for case in seen]

    assert len(seen) == len(cases) / SLICES > PATIENTS / 3
    assert np.mean(right) > 0.95


def test_no_patient_is_in_two_roles(by_patient: RunResult, flock: Path) -> None:
    group_of = {case.id: case.group for case in scan(by_patient.predictor.manifest, flock).cases}
    groups = [
        {group_of[name] for name in names} for role, names in split_of(by_patient).items() if role != "by"
    ]

    assert len(set(group_of.values())) == PATIENTS
    assert sum(map(len, groups)) == len(set().union(*groups)) == PATIENTS


def test_of_patients_whom_it_never_met_the_reported_accuracy_is_chance(by_patient: RunResult) -> None:
    table = by_patient.scores()
    patients = table.groupby("group")["correct"].mean()
    found = reported(by_patient)
    low, high = stats.binom.interval(0.99, len(patients), 0.5) / np.float64(len(patients))

    assert found["mean"] == pytest.approx(table["correct"].mean())
    assert low <= found["mean"] <= high
    assert (found["patients"], found["cases"]) == (TESTED, TESTED * SLICES) == (len(patients), len(table))
    assert ((patients - 0.5).abs() > 0.3).mean() > 0.7  # slices stand and fall together: one trial a patient
    assert found["high"] - found["low"] > 0.2  # not the interval of as many independent pictures


def test_of_patients_whom_it_never_met_the_reported_area_under_the_curve_is_chance(
    by_patient: RunResult,
) -> None:
    ill = int((by_patient.scores().groupby("group")["truth"].first() == LABELS[0]).sum())
    well = TESTED - ill
    spread = math.sqrt((ill + well + 1) / (12 * ill * well))  # of U / (ill well): Mann and Whitney 1947

    assert abs(reported(by_patient, "auroc")["mean"] - 0.5) <= stats.norm.ppf(0.995) * spread


def test_near_duplicates_of_one_patient_are_reported_and_in_nobodys_way(by_patient: RunResult) -> None:
    with open_store(by_patient.tracking_uri) as client:
        tags = client.get_run(by_patient.run_id).data.tags

    assert int(tags["duplicates.near"]) > PATIENTS
    assert tags["duplicates.across_roles"] == "0"
    assert tags["split.leaking"] == "false"
    assert not by_patient.leaking


def test_split_by_slice_the_same_labels_are_told_which_only_a_leak_can_do(by_slice: RunResult) -> None:
    found = reported(by_slice)

    assert found["mean"] > 0.9
    assert found["low"] > 0.8


def test_split_by_slice_is_marked_as_leaking_wherever_its_scores_are(by_slice: RunResult) -> None:
    from rich.console import Console

    from medseg.cli.tables import print_result

    with open_store(by_slice.tracking_uri) as client:
        tags = client.get_run(by_slice.run_id).data.tags
    console = Console(width=80, record=True, file=StringIO())
    print_result(console, by_slice)

    assert by_slice.leaking
    assert tags["split.leaking"] == "true"
    assert int(tags["duplicates.across_roles"]) > 0
    assert "LEAKING SPLIT" in console.export_text()
    assert "too good" in (by_slice.folder / "model" / "README.md").read_text(encoding="utf-8")


def test_split_by_slice_is_refused_unless_duplicates_are_allowed(
    run: Callable[..., RunResult], by_slice: RunResult
) -> None:
    with pytest.raises(DataError, match="--allow-duplicates"):
        run(*BY_SLICE)


@pytest.mark.parametrize("by", ["by_patient", "by_slice"])
def test_an_audit_with_a_canary_finds_the_leak_where_there_is_one_and_none_else(
    by: str, request: pytest.FixtureRequest, long_workspace: Callable[[str], AbstractContextManager[Path]]
) -> None:
    run: RunResult = request.getfixturevalue(by)
    with long_workspace("canary"):
        found = audit_run(run.folder, canary=True, device="cpu", jobs=1)
    assert found.canary is not None
    expected = {"by_patient": set(), "by_slice": {"split", "images", "canary"}}

    assert set(found.leaks) == expected[by]
    assert (found.canary["p"] < 0.01) == (by == "by_slice")
    assert found.canary["patients"] == len(found.groups["test"])
    assert "Canary: trained on labels shuffled by patient" in found.text()
