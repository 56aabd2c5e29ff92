"""What learning curves say: a verdict with its reason and a next step, by three rules.

The rules look at the validation loss v and the score s of validated epochs, and at the training loss t, taken as
the mean since the validation before. A level is a median of some epochs, so that single spikes decide nothing. A
change of level is sure if it is 4 standard errors, with noise by the third differences of the curve, which know
nothing of slopes and bends: 3 would not do where noise resembles itself from epoch to epoch. With 5 validations or
more, in this order:

1. **Does v rise?** After its lowest point it surely stands higher, for 2 epochs at least; three of four values of the
   last third are a twentieth higher. Or, as a sharp turn looks like noise, v is far above t, and
   - of fewer than 16 validations, it rose in each of the last epochs, or since its lowest point but for small dips
     (Kendall's tau, one-sided, 5 %), by three twentieths in all; by a tenth if it had only fallen before, three
     times at least, and t fell meanwhile by a quarter; by 0.075 if v ends at more than thrice t, which fell so;
   - of more, the last two are each three twentieths above that point, and surely;
   - of 8 or more, it rose in each of the last epochs, by a twentieth in all and surely, while t fell by a twentieth;
   - all values after the lowest lie about a level that is a tenth above it (three twentieths, if they are fewer than
     8), and 4 times as far as they scatter, while t fell by a quarter; or they are 8 or more that climb by a tenth
     from their first third to their last, and by no chance (Kendall's tau, one-sided, 0.1 %); 6 or more, and 0.5 %,
     if v ends at more than thrice t.
   Or, wherever t ends, v had only fallen, three times at least, and then rose in each of the last epochs, by a fifth
   in all (of 8 validations or more: surely), while t fell in each of them.
   If t surely fell meanwhile, or ends far below v (v is more than half above it), this is *overfitting* since the
   epoch after that point. If t rose too, the training diverges: *not yet converged*; if it rose by more than a
   twentieth, but less than that, as after a restart of the learning rate, nothing is said of it.
2. **Does v still fall, or s still rise?** So fast in the last quarter that as much again would gain a twentieth of
   all that it gained (and 0.005 of a score): *not yet converged*. But v does not fall if it is lowest before the last
   two validations: of 16 or more, if these surely stand above.
3. **Is it good where they stand still?** Not if s is below 0.5, or nothing was learnt: v far above t is
   *overfitting*, since no certain epoch, if s is below 0.5 or v came down by less than a twentieth while t fell by a
   quarter; else it is *underfitting*, if s is below 0.5, or t fell by less than a quarter and s is below 0.8 or not
   there. All others are a *good fit*. It is said if v rose by a twentieth in its last epochs while t fell.

The shares are conventions, chosen on made-up curves with noise of many strengths: a reading, no test of significance.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isfinite
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from medseg.learning.training.reading.curves import Curve, Curves, History, running

Kind = Literal["too short", "underfitting", "good fit", "overfitting", "not yet converged"]

_LEAST = 5  # validations to judge by
_FEW, _TOLD = 16, 8  # validations in which a sharp turn looks like noise; that tell how strong it is
_FEW_PATIENTS = 3  # validated ones, whose mean is that of no others
_RISING = 2  # validations after the lowest point that make a rise, at least
_SURE = 4.0  # standard errors
_OF_LEVEL, _OF_FALL = 0.05, 0.05  # of a level; of what was gained
_OF_STEADY, _OF_TURN, _OF_APART, _OF_PLAIN = 0.15, 0.10, 0.075, 0.2  # of a level
_FALLS = 3  # validations that fell before a turn, at least
_CHANCE = 0.05  # that values without a trend rise so, by Kendall's tau
_RARELY, _HARDLY = 0.005, 0.001
_SCORE_STEP = 0.005
_LOW_SCORE, _FAIR_SCORE = 0.5, 0.8
_SCATTER = 0.02  # of a level, at least: that of a few values may be small by chance
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


def read_curves(history: History, step: str = "fit", *, patients: int | None = None) -> Verdict:
    """Judge a training by its learning curves.

    Args:
        history: One row an epoch, in order: `epoch`, `train/loss`, and on validated epochs `val/loss` and
            `val/score` (1 is perfect). What is not finite is passed over, but for the last of the losses.
        step: Name of the step in the definition, for the advice.
        patients: How many were validated, if it is known: of 3 or fewer the reason says so.
    """
    found = _read(history, step)
    if patients is None or patients > _FEW_PATIENTS or found.kind == "too short":
        return found
    few = "1 patient was" if patients == 1 else f"only {patients} patients were"
    return replace(found, reason=f"{found.reason}; {few} validated, and others may lead to another verdict")


def _read(history: History, step: str) -> Verdict:
    curves = Curves.of(history)
    count = len(curves.val.epochs)
    if lost := _not_finite(history):
        advice = f"Lower steps.{step}.optimiser.lr, or set steps.{step}.clip."
        return Verdict("not yet converged", None, f"{lost}: the training diverges", advice)
    if count < _LEAST:
        reason = f"{count} validation{'' if count == 1 else 's'}, too few to judge: expected {_LEAST}"
        advice = f"Raise steps.{step}.epochs, or validate more often (steps.{step}.validate_every)."
        return Verdict("too short", None, reason, advice)
    return _rising(curves, step) or _improving(curves, step) or _standing_still(curves, step)


def _not_finite(history: History) -> str:
    """The sentence on losses that end as no finite numbers, if one does."""
    for name, words in (("val/loss", "validation"), ("train/loss", "training")):
        rows = [row for row in history if name in row]
        if any(isfinite(row[name]) for row in rows) and not isfinite(rows[-1][name]):
            return f"the {words} loss of epoch {rows[-1]['epoch']:.0f} is {rows[-1][name]:g}"
    return ""


def _lowest(values: NDArray[np.float64]) -> int:
    """Where a curve is lowest, but for noise."""
    low = int(np.argmin(running(running(values, np.median), np.mean)))
    first = max(low - 1, 0)
    return first + int(np.argmin(values[first : low + 2]))  # smoothing rounds a corner


def _turn(values: NDArray[np.float64]) -> int:
    """After which value all others rise."""
    falls = np.flatnonzero(np.diff(values) <= 0)
    return int(falls[-1]) + 1 if falls.size else 0


def _steady_since(values: NDArray[np.float64], train: NDArray[np.float64]) -> int | None:
    """After which value the others rise by far in all: each of them and none before much lower, or but for dips."""
    turn = _turn(values)
    smooth = _FALLS <= turn == np.count_nonzero(np.diff(values) <= 0)
    if smooth and _is_far(values, turn, _OF_TURN) and train[turn] - train[-1] >= _LITTLE * abs(train[turn]):
        return turn
    if _is_far(values, turn) and values[turn] - values.min() <= _OF_STEADY / 3 * abs(float(values[turn])):
        return turn
    lowest = int(np.argmin(values))
    if not _is_far(values, lowest):
        return None
    after = values[lowest:]
    trend = kendalltau(np.arange(len(after)), after, alternative="greater")
    return lowest if trend.pvalue <= _CHANCE else None


def _is_far(values: NDArray[np.float64], turn: int, share: float = _OF_STEADY) -> bool:
    before = float(values[turn])
    return len(values) - 1 - turn >= _RISING and float(values[-1]) - before >= share * abs(before)


def _turned_sharply(curve: Curve, turn: int) -> bool:
    """Whether the last values stand far above that of the turn, each of them, and for certain."""
    before, last = float(curve.values[turn]), curve.values[-_RISING:]
    far = float(last.min()) - before >= _OF_STEADY * abs(before)
    return far and curve.change(slice(turn, turn + 1), slice(-_RISING, None))[1]


def _surely_turned(curves: Curves) -> bool:
    """Whether the last values rose, each above the one before, by a twentieth and for certain, as training fell."""
    val, train = curves.val, curves.train.values
    turn = _turn(val.values)
    if len(val.values) < _TOLD or not curves.apart or not _is_far(val.values, turn, _OF_LEVEL):
        return False
    falls = train[turn] - train[-1] >= _OF_LEVEL * abs(float(train[turn]))
    return bool(falls) and val.change(slice(turn, turn + 1), slice(-_RISING, None))[1]


def _climbs(values: NDArray[np.float64], chance: float) -> bool:
    """Whether values rise by a tenth from their first third to their last, and by chance at most so often."""
    third = max(1, len(values) // 3)
    first, last = float(np.median(values[:third])), float(np.median(values[-third:]))
    if last - first < _OF_TURN * abs(first):
        return False
    return bool(kendalltau(np.arange(len(values)), values, alternative="greater").pvalue <= chance)


def _stays_above(curves: Curves) -> bool:
    """Whether the values after the lowest lie about a higher level, beyond their own scatter, as training fell."""
    val, train = curves.val.values, curves.train.values
    low = int(np.argmin(val))
    later = val[low + 1 :]
    if not curves.apart or len(later) < _RISING or train[low] - train[-1] < _LITTLE * abs(float(train[low])):
        return False
    if low == _turn(val) and len(val) < _FEW and _is_far(val, low, _OF_APART) and curves.far_apart:
        return True
    level, before = float(np.median(later)), float(val[low])
    scatter = max(1.4826 * float(np.median(np.abs(later - level))), _SCATTER * abs(level))
    if len(later) >= _TOLD and _climbs(later, _HARDLY):
        return True
    if len(later) > _LEAST and curves.far_apart and _climbs(later, _RARELY):
        return True
    share = _OF_TURN if len(later) >= _TOLD else _OF_STEADY
    return len(later) > _RISING and level - before >= max(share * abs(before), _SURE * scatter)


def _plainly_rose(curves: Curves) -> bool:
    """Whether a curve that had only fallen rose by far in each of the last epochs, in which training fell."""
    val, turn = curves.val, _turn(curves.val.values)
    smooth = _FALLS <= turn == np.count_nonzero(np.diff(val.values) <= 0)
    if (
        not smooth
        or not _is_far(val.values, turn, _OF_PLAIN)
        or (np.diff(curves.train.values[turn:]) >= 0).any()
    ):
        return False
    return len(val.values) < _TOLD or val.change(slice(turn, turn + 1), slice(-_RISING, None))[1]


def _rising(curves: Curves, step: str) -> Verdict | None:
    """Rule 1."""
    val, train = curves.val, curves.train
    turn = _steady_since(val.values, train.values)
    steady = turn is not None and curves.apart and (len(val.values) < _FEW or _turned_sharply(val, turn))
    turn, steady = (_turn(val.values), True) if not steady and _surely_turned(curves) else (turn, steady)
    turn, steady = (
        (int(np.argmin(val.values)), True) if not steady and _stays_above(curves) else (turn, steady)
    )
    plain = _plainly_rose(curves)
    turn, steady = (_turn(val.values), True) if plain else (turn, steady)
    low = turn if turn is not None and steady else _lowest(val.values)
    after = len(val.values) - 1 - low
    if after < _RISING:
        return None
    about, end = slice(low, low + 1), slice(-max(min(after, 3), after // 3), None)
    rise, sure = val.change(about, end)
    before = float(val.values[low])
    most = float(np.quantile(val.values[end], 0.25, method="lower"))  # two spikes make no rise
    if not steady and not (sure and most - before >= _OF_LEVEL * abs(before)):
        return None
    moved, surely = train.change(about, end)
    now = float(np.median(train.values[end]))
    facts = (
        f"the validation loss rose from {before:.3g} about epoch {val.epochs[low]:.0f} to {before + rise:.3g}",
        f"the training loss went from {now - moved:.3g} to {now:.3g}",
    )
    if surely and moved > _OF_FALL * curves.fall:
        advice = f"Lower steps.{step}.optimiser.lr, or set steps.{step}.clip."
        return Verdict(
            "not yet converged", None, f"{facts[0]}, and {facts[1]}: the training diverges", advice
        )
    if not plain and not curves.apart and not (surely and moved < 0):
        return None
    if moved > _OF_LEVEL * abs(now - moved):  # both rise, as after a restart of the learning rate
        return None
    reason = f"{facts[0]} while {facts[1]}{curves.reached}"
    return Verdict("overfitting", int(val.epochs[low + 1]), reason, _against_overfitting(step))


def _rose_since_lowest(curve: Curve) -> bool:
    """Whether a curve is lowest before its last values; of many, whether these are surely higher."""
    low, last = int(np.argmin(curve.values)), slice(-_RISING, None)
    if low >= len(curve.values) - _RISING:
        return False
    return len(curve.values) < _FEW or curve.change(slice(low, low + 1), last)[1]


def _improving(curves: Curves, step: str) -> Verdict | None:
    """Rule 2."""
    val, score, reasons = curves.val, curves.score, []
    gain, sure = val.lately()
    if sure and -gain >= _OF_FALL * curves.fall and not _rose_since_lowest(val):
        reasons.append(f"the validation loss still falls ({val.end:.3g} at the end)")
    if len(score.values) >= _LEAST:
        gain, sure = score.lately()
        risen = float(running(score.values, np.median).max() - score.values[0])
        if sure and gain >= max(_OF_FALL * risen, _SCORE_STEP):
            reasons.append(f"the score still rises ({score.end:.3f} at the end)")
    advice = f"Raise steps.{step}.epochs (and steps.{step}.patience), or steps.{step}.optimiser.lr."
    return Verdict("not yet converged", None, " and ".join(reasons), advice) if reasons else None


def _standing_still(curves: Curves, step: str) -> Verdict:
    """Rule 3."""
    train, val, first = curves.train, curves.val, float(curves.val.values[0])
    score = curves.score.end if len(curves.score.values) else None
    fallen = (curves.start - train.end) / abs(curves.start) if curves.start else 0.0
    low = score is not None and score < _LOW_SCORE
    unmoved = first - val.end < _OF_FALL * abs(first) and fallen >= _LITTLE
    stands = f"the validation loss stands at {val.end:.3g}, the training loss at {train.end:.3g}"
    since = f"{stands} after {first:.3g} and {curves.start:.3g} at first{curves.reached}"
    if curves.apart and (low or unmoved):
        return Verdict("overfitting", None, since, _against_overfitting(step))
    if low or (fallen < _LITTLE and (score is None or score < _FAIR_SCORE)):
        advice = (
            "Take a larger network (more channels, features or layers), try another "
            f"steps.{step}.optimiser.lr (three times more, or less), less loading.augment or dropout, and look at "
            "the pictures of the data."
        )
        return Verdict("underfitting", None, since, advice)
    advice = (
        "Nothing needs to change: choose among trainings by their validation scores; more patients help more than "
        "more epochs."
    )
    if curves.apart:
        advice = "The training loss is far below: more patients, more loading.augment or dropout may help."
    if late := _late_rise(curves):
        since = f"{since}; {late}"
        advice = (
            f"Watch the validation loss: steps.{step}.patience stops earlier if it goes on to rise. The weights of "
            "the best epoch are kept; more patients, more loading.augment or dropout may help."
        )
    return Verdict("good fit", None, since, advice)


def _late_rise(curves: Curves) -> str:
    """The sentence on a validation loss that rose at last while the training loss fell, if it did."""
    val, train = curves.val.values, curves.train.values
    turn = _turn(val)
    if not _is_far(val, turn, _OF_LEVEL) or train[turn] - train[-1] < _OF_LEVEL * abs(float(train[turn])):
        return ""
    return (
        f"the validation loss rose in each of the last {len(val) - 1 - turn} validations, from {val[turn]:.3g} to "
        f"{val[-1]:.3g}, while the training loss fell from {train[turn]:.3g} to {train[-1]:.3g}"
    )


def _against_overfitting(step: str) -> str:
    return (
        "Take more patients, more loading.augment, dropout or weight decay, or a smaller network; "
        f"steps.{step}.patience saves the time. The weights of the best epoch are kept."
    )
