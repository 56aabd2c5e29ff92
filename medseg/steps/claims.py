"""Predictions for images, with the pictures that show them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medseg.class_names import joined
from medseg.figures.classes.claim import Claim
from medseg.geometry.axes import AXES
from medseg.learning.inference.prediction import Classification
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.target import indicator
from medseg.steps.pictures import shown_channels


def claim_of(predictor: Predictor, found: Classification, truth: Sequence[str] | None) -> Claim:
    """The prediction for a case, with the picture that the network saw, on the grid of its file.

    Args:
        predictor: The model.
        found: The prediction.
        truth: The true classes; None where they are not known.
    """
    slices = AXES[predictor.preparation.rule.axis].cut(found.volume.image)
    shown = shown_channels(predictor, slices[middle(predictor, found)])
    picture: NDArray[np.float32] = next(iter(shown.values()))
    return claim(picture, truth, found.names, found.probabilities, predictor.task.classes)


def claim(
    picture: NDArray[np.float32],
    truth: Sequence[str] | None,
    names: tuple[str, ...],
    probabilities: NDArray[np.float32],
    classes: tuple[str, ...],
) -> Claim:
    """The predicted classes of a picture, and their probability: that of the table of scores.

    Where classes are no alternatives, each is predicted present or absent, and the least probable counts.

    Args:
        picture: (H, W), or (H, W, 3) of colours.
        truth: The true classes; None where they are not known.
        names: The predicted classes.
        probabilities: (K,) of each class.
        classes: All K.
    """
    # of alternatives the others are predicted absent, which is at least as probable as the predicted one
    rests = np.where(indicator(names, classes), probabilities, 1 - probabilities).min()
    known = "" if truth is None else joined(truth, "none")
    return Claim(picture, known, joined(names, "none"), float(rests))


def middle(predictor: Predictor, found: Classification) -> int:
    """Which slice of its volume stands for a case: the middle one, which of a picture is the only one."""
    return found.volume.image.shape[1 + AXES[predictor.preparation.rule.axis].along] // 2
