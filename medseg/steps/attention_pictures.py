"""Where a network looked, for pictures whose classes it tells."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.figures.heat_map import HeatView, heat_maps
from medseg.geometry.axes import AXES
from medseg.learning.inference.prediction import Classification
from medseg.learning.inference.predictor import Predictor
from medseg.learning.inspection.grad_cam import grad_cam
from medseg.steps.claims import claim_of, middle

Classified = tuple[Classification, tuple[str, ...] | None]
"""The prediction for a case, and its true classes; None where they are not known."""


def attention_picture(predictor: Predictor, cases: Sequence[Classified], *, heading: str) -> Figure:
    """Draw where the network looked: hits on the left, misses on the right.

    Where the truth of a case is not known, all are shown in one column.

    Args:
        predictor: The model.
        cases: The cases, in the order of the rows.
        heading: Above the picture.

    Raises:
        ModelError: The network has no feature maps to look at.
    """
    sides: dict[bool, list[HeatView]] = {True: [], False: []}
    for found, truth in cases:
        sides[truth is None or set(truth) == set(found.names)].append(heat_view(predictor, found, truth))
    if any(truth is None for _, truth in cases):
        return heat_maps([*sides[True], *sides[False]], None, heading=heading)
    return heat_maps(sides[True], sides[False], heading=heading)


def heat_view(predictor: Predictor, found: Classification, truth: tuple[str, ...] | None) -> HeatView:
    """A case, its prediction, and where the network looked.

    Raises:
        ModelError: The network has no feature maps to look at.
    """
    claim = claim_of(predictor, found, truth)
    return HeatView(claim.image, claim.truth, claim.predicted, claim.probability, heat_of(predictor, found))


def heat_of(predictor: Predictor, found: Classification) -> NDArray[np.float32]:
    """Where the network looked for the most probable class: Grad-CAM on the grid of the file.

    Where a case has several slices, as tiles of a picture are, each has heat of its own, whose largest is 1. A
    slice is as warm as its class is probable there, next to the slice where it is most so: that is what it adds to
    the probability of the whole. Slices that the network is not asked about stay cold, as does what was cropped.

    Returns:
        (H, W) in [0, 1]: rows and columns of the slice that stands for the case.

    Raises:
        ModelError: The network has no feature maps to look at.
    """
    prepared = predictor.preparation.apply(found.volume)
    rows, chosen = prepared.telling, int(np.argmax(found.probabilities))
    chances = predictor.probabilities(prepared.image[rows])[:, chosen]
    shares = chances / (float(chances.max()) or 1.0)
    heat = np.zeros((1, len(prepared.image), *prepared.image.shape[2:]), dtype=np.float32)
    for start in range(0, len(rows), predictor.batch_size):
        here = slice(start, start + predictor.batch_size)
        asked = np.ascontiguousarray(prepared.image[rows[here]])
        warmth = grad_cam(predictor.network, asked, np.full(len(asked), chosen), device=predictor.device)
        heat[0, rows[here]] = warmth * shares[here, None, None]
    restored = found.volume.geometry.to_ras(prepared.restore(heat, nearest=False)[0])
    plane: NDArray[np.float32] = AXES[predictor.preparation.rule.axis].cut(restored)[middle(predictor, found)]
    return np.clip(plane, 0, 1)
