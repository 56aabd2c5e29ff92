"""Models of two axes are predicted with, kept as one, and scored as it predicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

import medseg
from medseg.api.result import RunResult
from medseg.slices.rule import SliceRule
from medseg.testing.cases import write_brats

pytestmark = [
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's own
    pytest.mark.usefixtures("undrawn"),
]


@pytest.mark.slow
def test_models_of_two_axes_are_kept_as_one_and_scored_as_it_predicts(
    finished: RunResult, workspace: Path
) -> None:
    data = write_brats(workspace / "data", cases=2, seed=99)
    axial = finished.predictor
    cut = axial.preparation.rule.model_dump(mode="json") | {"axis": "coronal"}
    preparation = replace(axial.preparation, rule=SliceRule.model_validate(cut))
    coronal = replace(axial, preparation=preparation).save(workspace / "coronal")

    both = [finished.folder / "model", coronal]
    done = medseg.predict(
        both, [data], workspace / "out", device="cpu", probabilities=True, save_model=workspace / "one"
    )
    again = medseg.predict(workspace / "one", [data], workspace / "again", device="cpu", probabilities=True)
    for each in (coronal, finished.folder / "model"):
        medseg.predict(each, [data], workspace / each.parent.name, device="cpu", probabilities=True)

    def written(out: str, name: str) -> np.ndarray:
        return np.asarray(nibabel.load(workspace / out / name).dataobj)

    for case in done.cases:
        chance = f"{case.case}/probability_oedema.nii.gz"
        mean = (written(coronal.parent.name, chance) + written(finished.name, chance)) / 2
        np.testing.assert_allclose(written("out", chance), mean, atol=1e-6)
        assert case.measures == next(each.measures for each in again.cases if each.case == case.case)

    scored = medseg.evaluate(workspace / "one", data, device="cpu", jobs=1).scores()
    stored = {name: value for value, name in axial.manifest.label_values.items()}
    for (case_id, name), rows in scored.groupby(["case", "name"]):
        if name in ("oedema", "enhancing"):
            said = written("out", f"{case_id}.nii.gz") == stored[name]
            (path,) = (data / case_id).glob("*seg*")
            truth = np.asarray(nibabel.load(path).dataobj) == stored[name]
            dice = 2 * (said & truth).sum() / (said.sum() + truth.sum())
            assert rows["dice"].iloc[0] == pytest.approx(dice)
