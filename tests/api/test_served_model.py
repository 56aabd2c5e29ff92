"""The model as MLflow tools load it, in a process that knows nothing of the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medseg.api import RunResult, predict
from medseg.datasets.finding.scan import scan
from medseg.datasets.reading.volume import read_volume

PROGRAM = """
import sys
import numpy as np
import mlflow, mlflow.pyfunc
uri, run, given, found = sys.argv[1:]
mlflow.set_tracking_uri(uri)
model = mlflow.pyfunc.load_model(f"runs:/{run}/brats2d")
with np.load(given) as slices:
    names = ("flair", "t1", "t1ce", "t2")
    for file in slices.files:
        told = model.predict({name: slices[file][:, place] for place, name in enumerate(names)})
        np.savez(f"{found}_{file}.npz", **told)
"""

NAMES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")


@pytest.mark.slow
def test_a_fresh_process_gives_the_probabilities_that_predict_writes(
    finished: RunResult, patients: Path, tmp_path: Path
) -> None:
    predictor = finished.predictor
    case = scan(predictor.manifest, patients).cases[0]
    prepared = predictor.preparation.apply(read_volume(case, predictor.channels, labels=None))
    rows = np.flatnonzero(prepared.content)
    slices = np.ascontiguousarray(prepared.image[rows], dtype=np.float32)
    given = {
        "all": slices,
        "one": slices[:1],
        "wide": np.tile(slices[:3], (1, 1, 1, 2)),
        "tall": slices[:2, :, :16],
    }
    np.savez(tmp_path / "given.npz", **given)
    subprocess.run(
        [
            *(sys.executable, "-c", PROGRAM, finished.tracking_uri, finished.run_id),
            *(str(tmp_path / "given.npz"), str(tmp_path / "found")),
        ],
        cwd=tmp_path,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    predict(predictor, [patients / case.id], tmp_path / "out", probabilities=True)
    written = np.stack(
        [
            nibabel.load(tmp_path / "out" / case.id / f"probability_{name}.nii.gz").get_fdata()
            for name in NAMES
        ]
    )

    found = {}
    for file, values in given.items():
        with np.load(tmp_path / f"found_{file}.npz") as told:
            assert tuple(told.files) == NAMES
            found[file] = np.stack([told[name] for name in NAMES], axis=1)
        assert found[file].shape == (len(values), 5, *values.shape[2:]), file
        assert found[file].dtype == np.float32
        assert np.allclose(found[file].sum(axis=1), 1, atol=1e-5)
    whole = np.zeros((5, len(prepared.content), *slices.shape[2:]), dtype=np.float32)
    whole[0] = 1
    whole[:, rows] = found["all"].swapaxes(0, 1)
    assert np.abs(prepared.restore(whole, nearest=False) - written).max() < 1e-4
    assert np.abs(found["one"] - found["all"][:1]).max() < 1e-4
