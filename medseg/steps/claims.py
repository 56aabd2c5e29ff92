"""What a network says of images, with the pictures that it is shown by."""

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
    """What a model says of a case, with the picture that it saw, on the grid of its file.

    Args:
        predictor: The model.
        found: What it says.
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
    """What is said of a picture, and the probability that it rests on: that of the table of scores.

    Where classes are no alternatives, something is said of each, and the least probable of it counts.

    Args:
        picture: (H, W), or (H, W, 3) of colours.
        truth: The true classes; None where they are not known.
        names: The classes that were said.
        probabilities: (K,) of each class.
        classes: All K.
    """
    # of alternatives the others are said to be absent, which is at least as probable as the one that is said
    rests = np.where(indicator(names, classes), probabilities, 1 - probabilities).min()
    known = "" if truth is None else joined(truth, "none")
    return Claim(picture, known, joined(names, "none"), float(rests))


def middle(predictor: Predictor, found: Classification) -> int:
    """Which slice of its volume stands for a case: the middle one, which of a picture is the only one."""
    return found.volume.image.shape[1 + AXES[predictor.preparation.rule.axis].along] // 2
