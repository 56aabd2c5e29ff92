"""How to learn: tasks, batches, training, prediction, scores."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_HOMES = {
    "Agreement": "medseg.learning.selftraining.agreement",
    "AveragePrecisionOrF2": "medseg.learning.training.either_score",
    "BinaryMask": "medseg.learning.tasks.binary_mask",
    "ByRank": "medseg.learning.selftraining.rules",
    "ClassMasks": "medseg.learning.tasks.class_masks",
    "ImageClasses": "medseg.learning.tasks.image_classes",
    "ImageTags": "medseg.learning.tasks.image_classes",
    "LibraryScore": "medseg.learning.scores.added.library_score",
    "MapCrossEntropy": "medseg.learning.tasks.map_cross_entropy",
    "MixMatch": "medseg.learning.selftraining.mixmatch",
    "RegionMasks": "medseg.learning.tasks.region_masks",
    "SliceStatistics": "medseg.learning.scores.added.slice_statistics",
    "ThresholdSchedule": "medseg.learning.selftraining.rules",
}

__all__ = [
    "Agreement",
    "AveragePrecisionOrF2",
    "BinaryMask",
    "ByRank",
    "ClassMasks",
    "ImageClasses",
    "ImageTags",
    "LibraryScore",
    "MapCrossEntropy",
    "MixMatch",
    "RegionMasks",
    "SliceStatistics",
    "ThresholdSchedule",
]  # imported on first use


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
