"""A model computed by onnxruntime answers what it answers computed by torch."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.errors import DefinitionError, ModelError


def test_probabilities_and_labels_are_those_of_torch_with_flips_and_threshold(tumour) -> None:
    from medseg.learning.inference.export.engine import engine_named
    from medseg.learning.inference.export.session import OnnxNetwork

    other = engine_named("onnx").computing(tumour)
    slices = np.random.default_rng(0).normal(size=(9, 3, 16, 24)).astype(np.float32)

    assert isinstance(other.network, OnnxNetwork)
    assert np.allclose(other.probabilities(slices), tumour.probabilities(slices), atol=1e-5)
    assert np.array_equal(other.labels(slices), tumour.labels(slices))
    assert other.labels(slices).any()
    assert not isinstance(tumour.network, OnnxNetwork), "the model itself is left as it was"


def test_a_model_without_its_weights_is_not_saved(tumour, tmp_path) -> None:
    from medseg.learning.inference.export.engine import engine_named

    with pytest.raises(ModelError, match="save the model itself"):
        engine_named("onnx").computing(tumour).save(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_torch_leaves_the_model_as_it_is(tumour) -> None:
    from medseg.learning.inference.export.engine import engine_named

    assert engine_named("torch").computing(tumour) is tumour


def test_another_engine_is_refused_with_those_there_are() -> None:
    from medseg.learning.inference.export.engine import engine_named

    with pytest.raises(DefinitionError, match="'tensorrt', expected torch or onnx"):
        engine_named("tensorrt")


def test_it_computes_on_as_many_threads_as_torch(tumour, monkeypatch) -> None:
    import onnxruntime
    import torch

    from medseg.learning.inference.export.engine import engine_named

    counts = []
    made = onnxruntime.InferenceSession

    def session(graph, options, **others):
        counts.append(options.intra_op_num_threads)
        return made(graph, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    engine_named("onnx").computing(tumour)
    assert set(counts) == {2}
