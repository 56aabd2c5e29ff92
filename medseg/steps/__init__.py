"""What a pipeline can do, one file a step."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Audit": "medseg.steps.features.audit",
    "AverageFlips": "medseg.steps.average_flips",
    "Cluster": "medseg.steps.features.cluster",
    "Embed": "medseg.steps.features.embed",
    "Evaluate": "medseg.steps.evaluate",
    "EvaluateClasses": "medseg.steps.evaluate",
    "EvaluateForeground": "medseg.steps.evaluate",
    "Fit": "medseg.steps.fit",
    "PostProcess": "medseg.steps.postprocessing.post_process",
    "Probe": "medseg.steps.features.probe",
    "Reduce": "medseg.steps.features.reduce",
    "ScaleTemperature": "medseg.steps.scale_temperature",
    "SelfTrain": "medseg.steps.self_train",
    "StartFrom": "medseg.steps.start_from",
    "TuneThreshold": "medseg.steps.tune_threshold",
    "UseModel": "medseg.steps.use_model",
}

__all__ = [
    "Audit",
    "AverageFlips",
    "Cluster",
    "Embed",
    "Evaluate",
    "EvaluateClasses",
    "EvaluateForeground",
    "Fit",
    "PostProcess",
    "Probe",
    "Reduce",
    "ScaleTemperature",
    "SelfTrain",
    "StartFrom",
    "TuneThreshold",
    "UseModel",
]  # imported on first use


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
