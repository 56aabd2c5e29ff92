"""Pixels of a truth that nobody annotated: neither any class nor background, and counted by nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

UNANNOTATED = 255
"""What stands for such a pixel where all others have a class index: behind the last of 255 classes, 0 to 254."""


def annotated(truth: NDArray[Any]) -> NDArray[np.bool_]:
    """Which pixels of class indices, of any shape, have a class."""
    known: NDArray[np.bool_] = truth != UNANNOTATED
    return known


def blanked(truth: NDArray[Any], predicted: NDArray[Any]) -> NDArray[Any]:
    """What is predicted, with no class either where the truth has none: then no score counts these pixels.

    Args:
        truth: Class indices, or `UNANNOTATED`.
        predicted: Class indices of the same shape.

    Returns:
        `predicted` itself where all of the truth is annotated.
    """
    import numpy as np  # noqa: PLC0415 - manifests are read without it

    known = annotated(truth)
    return predicted if known.all() else np.where(known, predicted, UNANNOTATED).astype(np.uint8)
