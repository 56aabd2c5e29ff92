"""Learning curves as they are read: losses and score at the validated epochs, with their levels and their noise."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

import numpy as np
from numpy.typing import NDArray

History = Sequence[Mapping[str, float]]

_END = 4  # validations at the end that may still improve, at least
_SURE = 4.0  # standard errors
_LEAST_FALL = 0.05  # of what a validation loss was at first
_GAP, _FAR_GAP = 0.5, 2.0  # of the training loss


@dataclass(frozen=True)
class Curve:
    """One number by epoch.

    Attributes:
        epochs: In order, (N,).
        values: Finite, (N,).
    """

    epochs: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def end(self) -> float:
        """Level at the end: of the last quarter, and 3 values at least."""
        return float(np.median(self.values[-max(3, round(len(self.values) / 4)) :]))

    def change(self, earlier: slice, later: slice) -> tuple[float, bool]:
        """From the level of some values to that of others, and whether it is more than noise.

        Third differences of independent values have 20 times their variance, and a median 1.57 times that of a
        mean; 1.4826 makes a standard deviation of a median size, which passes over spikes.
        """
        one, other = self.values[earlier], self.values[later]
        noise = 1.4826 * float(np.median(np.abs(np.diff(self.values, 3)))) / np.sqrt(20)
        error = 1.25 * noise * float(np.sqrt(1 / len(one) + 1 / len(other)))
        change = float(np.median(other) - np.median(one))
        return change, change != 0 and abs(change) >= _SURE * error

    def lately(self) -> tuple[float, bool]:
        """What another quarter would add, if it went on as between the halves of the last one."""
        quarter = max(_END, round(len(self.values) / 4))
        change, sure = self.change(slice(-quarter, -(quarter // 2)), slice(-(quarter // 2), None))
        return 2 * change, sure


@dataclass(frozen=True)
class Curves:
    """All three, at the validated epochs; the score may be empty. And the training loss of the first epoch."""

    train: Curve
    val: Curve
    score: Curve
    start: float

    @classmethod
    def of(cls, history: History) -> Curves:
        """Take the training loss as the mean since the validation before."""
        train, val, score, since = [], [], [], []
        known = [row["train/loss"] for row in history if isfinite(row.get("train/loss", np.nan))]
        for row in history:
            if isfinite(row.get("train/loss", np.nan)):
                since.append(row["train/loss"])
            if since and isfinite(row.get("val/loss", np.nan)):
                train.append((row["epoch"], float(np.mean(since))))
                val.append((row["epoch"], row["val/loss"]))
                since = []
                if isfinite(row.get("val/score", np.nan)):
                    score.append((row["epoch"], row["val/score"]))
        return cls(_curve(train), _curve(val), _curve(score), known[0] if known else np.nan)

    @property
    def fall(self) -> float:
        """How far the validation loss came down; a twentieth of its start where it hardly did."""
        first = float(self.val.values[0])
        return max(first - float(running(self.val.values, np.median).min()), _LEAST_FALL * abs(first))

    @property
    def apart(self) -> bool:
        """Whether the validation loss ends far above the training loss."""
        return self.val.end - self.train.end > _GAP * abs(self.train.end)

    @property
    def far_apart(self) -> bool:
        """Whether it ends at more than thrice the training loss, at which the network knows its cases by heart."""
        return self.val.end - self.train.end > _FAR_GAP * abs(self.train.end)

    @property
    def reached(self) -> str:
        """The sentence on the score, if there is one."""
        values = self.score.values
        return f", with a score of {self.score.end:.3f} (best {values.max():.3f})" if len(values) else ""


def _curve(points: list[tuple[float, float]]) -> Curve:
    both = np.array(points, dtype=np.float64).reshape(-1, 2)
    return Curve(both[:, 0], both[:, 1])


def running(values: NDArray[np.float64], middle: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
    """The middle of each three neighbours; of the first and of the last three at the ends."""
    inner = middle(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)
    return np.concatenate([inner[:1], inner, inner[-1:]])
