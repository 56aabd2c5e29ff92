"""A scorer of classes of images, filled again from the tables that others have written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from medseg.class_names import BETWEEN

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.scores.classes import ClassScorer


def fill(scorer: ClassScorer, frame: DataFrame) -> None:
    """Give a scorer the images of a table.

    Args:
        scorer: Of the same classes and settings, empty.
        frame: As `ClassScorer.frame` gives it.

    Raises:
        ValueError: An image is in it twice.
    """
    columns = [f"probability_{name}" for name in scorer.classes]
    chances = frame[columns].to_numpy(dtype=np.float32)
    rows = frame[["case", "group", "truth"]].itertuples(index=False)
    for (case, group, truth), row in zip(rows, chances, strict=True):
        has = {truth} if scorer.exclusive else set(str(truth).split(BETWEEN))
        expected = np.array([name in has for name in scorer.classes], dtype=np.uint8)
        scorer.add(str(case), str(group), expected, row)
