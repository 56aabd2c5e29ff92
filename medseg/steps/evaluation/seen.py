"""A case of one slice as people see it: picture, truth, prediction, on the grid of the file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.datasets.unannotated import annotated
from medseg.errors import DataError
from medseg.geometry.axes import AXES
from medseg.learning.inference.predictor import Predictor
from medseg.steps.pictures import shown_channels


@dataclass(frozen=True)
class SeenPicture:
    """One picture, rows first.

    Attributes:
        image: (H, W) intensities of the channel that is shown, or (H, W, 3) colours in 0..255.
        truth: (H, W) whether a pixel is foreground.
        objects: (H, W) number of the object of each pixel, where the truth numbers them.
        probability: (H, W) float32 of the foreground.
        predicted: (H, W) whether a pixel is foreground at the threshold of the task.
        known: (H, W) whether a pixel is annotated; None where all are.
    """

    image: NDArray[Any]
    truth: NDArray[np.bool_]
    objects: NDArray[np.int32] | None
    probability: NDArray[np.float32]
    predicted: NDArray[np.bool_]
    known: NDArray[np.bool_] | None = None


def see(case: Case, predictor: Predictor) -> SeenPicture:
    """Read and segment a picture, through the very path of `medseg predict`.

    Raises:
        DataError: A file of the case cannot be used, or it has no truth.
    """
    volume = predictor.read(case)
    if volume.label is None:
        raise DataError("a case has no truth to be compared with. Add its mask, or leave the case out.")
    prediction = predictor.predict_volume(volume, probabilities=True)
    axis, to_ras = AXES[predictor.preparation.rule.axis], volume.geometry.to_ras
    image = shown_channels(predictor, axis.cut(volume.image)[0])
    chances = prediction.probabilities
    if chances is None:
        raise ValueError("a prediction that was asked for probabilities has some")
    truth = axis.cut(volume.label)[0]
    known = annotated(truth)
    return SeenPicture(
        next(iter(image.values())),
        truth == 1,
        None if volume.objects is None else axis.cut(volume.objects)[0],
        axis.cut(to_ras(chances[0]))[0],
        axis.cut(to_ras(prediction.labels))[0] == 1,
        None if known.all() else known,
    )
