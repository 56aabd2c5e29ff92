"""What learning curves say: a verdict with its reason and a next step, by stated rules.

The rules look at the validation loss v and score s of validated epochs, and at the training loss t, taken as
the mean since the validation before. Levels are medians and slopes the medians of all pairwise slopes (Sen,
JASA 63, 1968), so that single spikes decide nothing. A slope is sure when it is 3 standard errors or more,
with noise that may resemble itself from epoch to epoch, or when nearly all pairs agree. In this order:

1. **too short**: fewer than 5 validations.
2. **overfitting**: after the lowest point of the smoothed v (running median, then running mean, of 3) come at
   least 4 validations over which v surely rises: from the level about the lowest point to that of the last
   third by a tenth of that level or a twentieth of v's whole fall, whichever is less, and by a hundredth of
   that fall at least; and t surely falls, or ends so far below v that v is more than half above it. It is
   overfitting since the first validated epoch after the lowest point. Where t surely rises too, the training
   diverges: not yet converged.
3. **not yet converged**: over the last quarter of the validations (4 at least) v or s surely improves, and so
   fast that another quarter of the training would gain a twentieth of what v or s gained so far (and 0.005 of
   a score).
4. **underfitting**: the curves stand still, and the score is below 0.5 with v at most half above t; or t fell
   by less than a quarter of its start, with a score below 0.8 or none.
5. **overfitting**, since no certain epoch: the curves stand still, v is more than half above t, and the score is
   below 0.5 or v fell by less than a twentieth while t fell by a quarter or more.
6. **good fit**: otherwise.

The shares are conventions of medseg, chosen on made-up curves with noise of many strengths: they give a
reading, not a test of significance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray

History = Sequence[Mapping[str, float]]
Kind = Literal["too short", "underfitting", "good fit", "overfitting", "not yet converged"]

_LEAST = 5  # validations to judge by
_AFTER = 4  # validations after the lowest point that make a rise
_END = 4  # validations at the end that make a slope, at least
_SURE = 3.0  # standard errors
_AGREEING = 0.95
_OF_LEVEL, _OF_FALL, _LEAST_OF_FALL = 0.1, 0.05, 0.01
_SCORE_STEP = 0.005
_LOW_SCORE, _FAIR_SCORE = 0.5, 0.8
_GAP = 0.5
_LITTLE = 0.25


@dataclass(frozen=True)
class Verdict:
    """How a training went.

    Attributes:
        kind: One of five words.
        since: The epoch from which on a network overfits; None otherwise, or where that is not certain.
        reason: The numbers behind it, one sentence without a full stop.
        next_step: What to change, in the keys of a definition.
    """

    kind: Kind
    since: int | None
    reason: str
    next_step: str

    def text(self) -> str:
        """One line for tables and tags, such as `overfitting since epoch 14: the validation loss rose ...`."""
        since = "" if self.since is None else f" since epoch {self.since}"
        return f"{self.kind}{since}: {self.reason}"


def read_curves(history: History, step: str = "fit") -> Verdict:
    """Judge a training by its learning curves.

    Args:
        history: One row an epoch, in order: `epoch`, `train/loss`, and on validated epochs `val/loss` and
            `val/score` (1 is perfect). What is not finite is passed over.
        step: Name of the step in the definition, for the advice.
    """
    curves = _Curves.of(history)
    count = len(curves.val.epochs)
    if count < _LEAST:
        reason = f"{count} validation{'' if count == 1 else 's'}, too few to judge: wanted {_LEAST}"
        advice = f"Raise steps.{step}.epochs, or validate more often (steps.{step}.validate_every)."
        return Verdict("too short", None, reason, advice)
    for rule in (_rising, _improving, _standing_still):
        found = rule(curves, step)
        if found is not None:
            return found
    reason = (
        f"the validation loss came from {curves.val.first:.3g} to {curves.val.end:.3g} and stands still there, the "
        f"training loss at {curves.train.end:.3g}{_score(curves)}"
    )
    advice = "Nothing needs to change: compare by the test scores; more patients help more than more epochs."
    return Verdict("good fit", None, reason, advice)


@dataclass(frozen=True)
class _Curve:
    """One number by epoch.

    Attributes:
        epochs: In order, (N,).
        values: Finite, (N,).
    """

    epochs: NDArray[np.float64]
    values: NDArray[np.float64]

    @property
    def first(self) -> float:
        return float(self.values[0])

    @property
    def end(self) -> float:
        """Level at the end: of the last quarter, and 3 values at least."""
        return float(np.median(self.values[-max(3, round(len(self.values) / 4)) :]))

    @property
    def noise(self) -> float:
        """Standard deviation of what is no trend, from second differences.

        Those of independent values have a variance of 6; the median passes over spikes, 1.4826 makes a
        deviation of it.
        """
        return _deviation(np.diff(self.values, 2)) / float(np.sqrt(6))

    def trend(self, start: int) -> tuple[float, bool]:
        """Change an epoch from a place on, and whether it is sure.

        It is sure if it is 3 standard errors or more, or if of 5 values or more 19 of 20 pairs go its way. The
        error is that of independent residuals, made larger where each resembles the one before (by the square
        root of (1 + r) / (1 - r) for a correlation r, as of a process of first order).
        """
        epochs, values = self.epochs[start:], self.values[start:]
        one, other = np.triu_indices(len(epochs), 1)
        slopes = (values[other] - values[one]) / (epochs[other] - epochs[one])
        slope = float(np.median(slopes))
        residuals = values - slope * epochs
        residuals -= np.median(residuals)
        square = float(residuals @ residuals)
        likeness = float(np.clip(residuals[1:] @ residuals[:-1] / square, 0, 0.8)) if square else 0.0
        noise = max(self.noise, _deviation(residuals)) * np.sqrt((1 + likeness) / (1 - likeness))
        error = float(noise / np.sqrt(np.sum((epochs - epochs.mean()) ** 2)))
        agreeing = len(epochs) >= _LEAST and float(np.mean(slopes * slope > 0)) >= _AGREEING
        return slope, slope != 0 and (abs(slope) >= _SURE * error or agreeing)

    def lowest(self) -> int:
        """Place of the lowest point of the smoothed curve."""
        calm = _running(_running(self.values, np.median), np.mean)
        return int(np.argmin(calm))

    def levels(self, low: int) -> tuple[float, float]:
        """About a place, and over the last third of what follows it."""
        third = max(3, (len(self.values) - 1 - low) // 3)
        return float(np.median(self.values[max(low - 2, 0) : low + 3])), float(
            np.median(self.values[-third:])
        )


@dataclass(frozen=True)
class _Curves:
    """All three, at the validated epochs; the score may be empty."""

    train: _Curve
    val: _Curve
    score: _Curve
    start: float

    @classmethod
    def of(cls, history: History) -> _Curves:
        """Take the training loss as the mean since the validation before."""
        train, val, score, since = [], [], [], []
        for row in history:
            if isfinite(row.get("train/loss", np.nan)):
                since.append(row["train/loss"])
            if since and isfinite(row.get("val/loss", np.nan)):
                train.append((row["epoch"], float(np.mean(since))))
                val.append((row["epoch"], row["val/loss"]))
                since = []
                if isfinite(row.get("val/score", np.nan)):
                    score.append((row["epoch"], row["val/score"]))
        known = [row["train/loss"] for row in history if isfinite(row.get("train/loss", np.nan))]
        start = known[0] if known else np.nan
        return cls(_curve(train), _curve(val), _curve(score), start)

    @property
    def fall(self) -> float:
        """How far the validation loss came down; a twentieth of its start where it hardly did."""
        calm = _running(self.val.values, np.median)
        return max(self.val.first - float(calm.min()), 0.05 * abs(self.val.first))

    @property
    def apart(self) -> bool:
        """Whether the validation loss ends far above the training loss."""
        return self.val.end - self.train.end > _GAP * abs(self.train.end)


def _deviation(values: NDArray[np.float64]) -> float:
    """Standard deviation about 0 of normal values, by their median size."""
    return float(1.4826 * np.median(np.abs(values)))


def _curve(points: list[tuple[float, float]]) -> _Curve:
    both = np.array(points, dtype=np.float64).reshape(-1, 2)
    return _Curve(both[:, 0], both[:, 1])


def _running(values: NDArray[np.float64], middle: Callable[..., NDArray[np.float64]]) -> NDArray[np.float64]:
    """The middle of each three neighbours; of the first and of the last three at the ends."""
    inner = middle(np.lib.stride_tricks.sliding_window_view(values, 3), axis=1)
    return np.concatenate([inner[:1], inner, inner[-1:]])


def _rising(curves: _Curves, step: str) -> Verdict | None:
    """Rule 2."""
    val, train = curves.val, curves.train
    low = val.lowest()
    if len(val.values) - 1 - low < _AFTER:
        return None
    before, after = val.levels(low)
    slope, sure = val.trend(low + 1)
    enough = max(min(_OF_LEVEL * abs(before), _OF_FALL * curves.fall), _LEAST_OF_FALL * curves.fall)
    if after - before < enough or slope <= 0 or not sure:
        return None
    learned, now = train.levels(low)
    change, sure = train.trend(low + 1)
    since = int(val.epochs[low + 1])
    rose = f"the validation loss rose from {before:.3g} about epoch {val.epochs[low]:.0f} to {after:.3g}"
    if now - learned > _LEAST_OF_FALL * curves.fall and change > 0 and sure:
        advice = f"Lower steps.{step}.optimiser.lr, or set steps.{step}.clip."
        reason = f"{rose}, and the training loss from {learned:.3g} to {now:.3g}: the training diverges"
        return Verdict("not yet converged", None, reason, advice)
    if not curves.apart and not (now < learned and change < 0 and sure):
        return None
    reason = f"{rose} while the training loss went from {learned:.3g} to {now:.3g}{_score(curves)}"
    return Verdict("overfitting", since, reason, _against_overfitting(step))


def _improving(curves: _Curves, step: str) -> Verdict | None:
    """Rule 3."""
    val, score = curves.val, curves.score
    said = []
    gain, sure = _gain(val)
    if sure and -gain >= _OF_FALL * curves.fall:
        said.append(f"the validation loss still falls ({val.end:.3g} at the end)")
    if len(score.values) >= _LEAST:
        gain, sure = _gain(score)
        risen = float(_running(score.values, np.median).max()) - score.first
        if sure and gain >= max(_OF_FALL * risen, _SCORE_STEP):
            said.append(f"the score still rises ({score.end:.3f} at the end)")
    if not said:
        return None
    advice = f"Raise steps.{step}.epochs (and steps.{step}.patience), or steps.{step}.optimiser.lr."
    return Verdict("not yet converged", None, " and ".join(said), advice)


def _gain(curve: _Curve) -> tuple[float, bool]:
    """What another quarter of the training would add at the last slope, and whether that slope is sure."""
    slope, sure = curve.trend(-max(_END, round(len(curve.values) / 4)))
    span = float(curve.epochs[-1] - curve.epochs[0])
    return slope * span / 4, sure


def _standing_still(curves: _Curves, step: str) -> Verdict | None:
    """Rules 4 and 5."""
    train, val, score = curves.train, curves.val, curves.score
    reached = score.end if len(score.values) else None
    fallen = (curves.start - train.end) / abs(curves.start) if curves.start else 0.0
    low = reached is not None and reached < _LOW_SCORE
    unmoved = val.first - val.end < _OF_FALL * abs(val.first) and fallen >= _LITTLE
    if curves.apart and (low or unmoved):
        reason = (
            f"the validation loss stands at {val.end:.3g}, far above the training loss of {train.end:.3g}"
            f"{_score(curves)}"
        )
        return Verdict("overfitting", None, reason, _against_overfitting(step))
    if low or (fallen < _LITTLE and (reached is None or reached < _FAIR_SCORE)):
        reason = (
            f"both losses stand still, the training loss at {train.end:.3g} after {curves.start:.3g} in the "
            f"first epoch{_score(curves)}"
        )
        advice = (
            f"Take more network.channels, try another steps.{step}.optimiser.lr (three times more, or less), less "
            "loading.augment or dropout, and look at the pictures of the data."
        )
        return Verdict("underfitting", None, reason, advice)
    return None


def _against_overfitting(step: str) -> str:
    return (
        "Take more patients, more loading.augment, dropout or weight decay, or fewer network.channels; "
        f"steps.{step}.patience saves the time. The weights of the best epoch are kept."
    )


def _score(curves: _Curves) -> str:
    values = curves.score.values
    return f", with a score of {curves.score.end:.3f} (best {values.max():.3f})" if len(values) else ""
