"""Scores of several test parts as one: each image was tested once, by a model that had not seen it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from medseg.class_names import BETWEEN

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.scores.classes import ClassScorer


def pooled(frames: Sequence[DataFrame], scorer: ClassScorer) -> ClassScorer:
    """Put the tables of several test parts together.

    Probabilities of different models are compared with each other in what is ranked (AUROC, average precision).

    Args:
        frames: As `ClassScorer.frame` gives them; no image is in two.
        scorer: Of the same classes and settings, empty; it is filled.

    Raises:
        ValueError: An image is in two of them.
    """
    columns = [f"probability_{name}" for name in scorer.classes]
    for frame in frames:
        chances = frame[columns].to_numpy(dtype=np.float32)
        for (case, group, truth), row in zip(
            frame[["case", "group", "truth"]].itertuples(index=False), chances, strict=True
        ):
            has = {truth} if scorer.exclusive else set(str(truth).split(BETWEEN))
            wanted = np.array([name in has for name in scorer.classes], dtype=np.uint8)
            scorer.add(str(case), str(group), wanted, row)
    return scorer
