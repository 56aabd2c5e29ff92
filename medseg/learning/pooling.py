"""Scores of several test parts as one: each image was tested once, by a model that had not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medseg.cases.image_labels import BETWEEN
from medseg.learning.class_scores import ClassScorer

if TYPE_CHECKING:
    from pandas import DataFrame


def pooled(frames: Sequence[DataFrame], classes: Sequence[str], *, exclusive: bool) -> ClassScorer:
    """Put the tables of several test parts together.

    Probabilities of different models are compared with each other in what is ranked (AUROC, average precision).

    Args:
        frames: As `ClassScorer.frame` gives them; no image is in two.
        classes: Names, in the order of their indices.
        exclusive: Whether each image has exactly one class.

    Raises:
        ValueError: An image is in two of them.
    """
    scorer = ClassScorer(classes, exclusive=exclusive)
    columns = [f"probability_{name}" for name in classes]
    for frame in frames:
        chances = frame[columns].to_numpy(dtype=np.float32)
        for (case, group, truth), row in zip(
            frame[["case", "group", "truth"]].itertuples(index=False), chances, strict=True
        ):
            has = set(str(truth).split(BETWEEN))
            scorer.add(
                str(case), str(group), np.array([name in has for name in classes], dtype=np.uint8), row
            )
    return scorer
