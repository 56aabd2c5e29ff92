"""The model of whole images as MLflow's tools load it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medseg.api import RunResult, predict
from medseg.datasets.finding.scan import scan

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and load


@pytest.fixture(scope="module")
def served(classified: RunResult) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow

        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(classified.tracking_uri)
        try:
            yield mlflow.pyfunc.load_model(
                f"runs:/{classified.run_id}/{classified.predictor.about['pipeline']}"
            )
        finally:
            mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def slices(classified: RunResult, sorted_pictures: Path) -> np.ndarray:
    """Prepared slices (B, C, H, W) of one picture in four."""
    predictor = classified.predictor
    cases = scan(predictor.manifest, sorted_pictures).cases[::4]
    return np.concatenate([predictor.preparation.apply(predictor.read_image(case)).image for case in cases])


def asked(served: Any, slices: np.ndarray) -> np.ndarray:
    """(B, K) probabilities of slices (B, 1, H, W)."""
    found = served.predict({"picture": np.ascontiguousarray(slices[:, 0], dtype=np.float32)})
    return np.stack(list(found.values()), axis=1)


@pytest.mark.slow
def test_it_gives_to_the_bit_the_probabilities_of_the_predictor(
    served: Any, classified: RunResult, slices: np.ndarray, class_names: tuple[str, ...]
) -> None:
    found = asked(served, slices)
    expected = classified.predictor.probabilities(slices)

    assert found.shape == (len(slices), len(class_names))
    assert found.dtype == np.float32
    assert np.abs(found - expected).max() == 0.0
    assert np.ptp(found, axis=0).max() > 0.3  # else a constant would do
    assert np.allclose(found.sum(axis=1), 1, atol=1e-6)


def test_one_slice_and_many_are_told_alike(served: Any, slices: np.ndarray) -> None:
    assert np.abs(asked(served, slices[:1]) - asked(served, slices)[:1]).max() < 1e-6


def test_its_answer_is_that_of_predict(
    served: Any, classified: RunResult, sorted_pictures: Path, class_names: tuple[str, ...], tmp_path: Path
) -> None:
    predictor = classified.predictor
    case = scan(predictor.manifest, sorted_pictures).cases[5]
    (path,) = case.images.values()
    found = predict(predictor, [path], tmp_path / "out").cases[0].measures
    prepared = predictor.preparation.apply(predictor.read_image(case)).image
    (chances,) = asked(served, prepared)

    assert [found[f"probability_{name}"] for name in class_names] == [float(chance) for chance in chances]
    assert found["class"] == class_names[int(chances.argmax())]


def test_its_signature_names_channels_and_classes(served: Any, class_names: tuple[str, ...]) -> None:
    (given,) = served.metadata.signature.inputs.inputs
    told = served.metadata.signature.outputs.inputs

    assert (given.name, given.shape) == ("picture", (-1, -1, -1))
    assert [(each.name, each.shape) for each in told] == [(name, (-1,)) for name in class_names]
