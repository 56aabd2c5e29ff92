"""Where a network looked, for pictures whose classes it tells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.cases.axes import AXES
from medseg.errors import ModelError
from medseg.figures.claim import Claim
from medseg.figures.heat_map import HeatView, heat_maps
from medseg.learning.attention import grad_cam
from medseg.learning.prediction import Classification
from medseg.learning.predictor import Predictor
from medseg.steps.pictures import shown_channels

BETWEEN = "; "
"""Between the names of several classes."""


def claim_of(predictor: Predictor, found: Classification, truth: tuple[str, ...] | None) -> Claim:
    """What a model says of a case, with the picture that it saw, on the grid of its file."""
    place = _middle(predictor, found)
    return Claim(
        _image(predictor, found, place),
        "" if truth is None else BETWEEN.join(truth) or "none",
        BETWEEN.join(found.names) or "none",
        _confidence(predictor, found),
    )


def heat_view(predictor: Predictor, found: Classification, truth: tuple[str, ...] | None) -> HeatView:
    """The same with where the network looked: Grad-CAM of the most probable class.

    Raises:
        ModelError: The network has no feature maps to look at.
    """
    claim = claim_of(predictor, found, truth)
    heat = heat_of(predictor, found)
    return HeatView(claim.image, claim.truth, claim.predicted, claim.probability, heat)


def heat_of(predictor: Predictor, found: Classification) -> NDArray[np.float32]:
    """Where the network looked for the most probable class: (H, W) in [0, 1], on the grid of the file."""
    axis = AXES[predictor.preparation.rule.axis]
    prepared = predictor.preparation.apply(found.volume)
    classes = np.full(len(prepared.image), int(np.argmax(found.probabilities)))
    heat = grad_cam(predictor.network, prepared.image, classes, device=predictor.device)
    restored = prepared.restore(heat[None], nearest=False)[0]
    plane: NDArray[np.float32] = axis.cut(found.volume.geometry.to_ras(restored))[_middle(predictor, found)]
    return np.clip(plane, 0, 1)


def attention_picture(
    predictor: Predictor,
    found: Mapping[str, Classification],
    truth: Mapping[str, tuple[str, ...]],
    *,
    heading: str,
) -> Figure:
    """Draw where the network looked: hits on the left, misses on the right; without a truth all are hits.

    Args:
        predictor: The model.
        found: What it says, by case.
        truth: True classes, by case.
        heading: Above the picture.

    Raises:
        ModelError: The network has no feature maps to look at.
    """
    hits: list[HeatView] = []
    misses: list[HeatView] = []
    for case, each in found.items():
        known = truth.get(case)
        side = hits if known is None or set(known) == set(each.names) else misses
        side.append(heat_view(predictor, each, known))
    return heat_maps(hits, misses, heading=heading)


def _confidence(predictor: Predictor, found: Classification) -> float:
    """The probability of the most probable of the classes that were said; NaN where none was."""
    names = predictor.task.classes
    chosen = [float(found.probabilities[names.index(name)]) for name in found.names]
    return max(chosen, default=float("nan"))


def _middle(predictor: Predictor, found: Classification) -> int:
    axis = AXES[predictor.preparation.rule.axis]
    return len(axis.cut(found.volume.image)) // 2


def _image(predictor: Predictor, found: Classification, place: int) -> NDArray[np.float32]:
    image = AXES[predictor.preparation.rule.axis].cut(found.volume.image)[place]
    shown = shown_channels(predictor.channels, image)
    picture: NDArray[np.float32] = next(iter(shown.values()))
    return picture


__all__ = ["ModelError", "attention_picture", "claim_of", "heat_of", "heat_view"]
