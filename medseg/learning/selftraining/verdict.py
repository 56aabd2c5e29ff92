"""Whether a network that learns from its own predictions came to believe its mistakes.

Arazo et al., "Pseudo-labeling and confirmation bias in deep semi-supervised learning" (IJCNN 2020): what is wrong
and accepted is learned, and is predicted with more confidence the next time. Without labels, three things together
tell of it: the calibration error of the validation images rises, most images are accepted nevertheless, and the score
gains nothing. The limits below are conventions of medseg: they give a reading, not a test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from medseg.learning.selftraining.rounds import TRAINED, Round, best_round, quality_of

_RISE = 0.05  # of the calibration error, from which on it counts
_MOST = 0.8  # share of the images without a label that are accepted, from which on it is most of them


@dataclass(frozen=True)
class BiasVerdict:
    """How likely confirmation bias is.

    Attributes:
        kind: In a word.
        text: A sentence with its numbers.
    """

    kind: Literal["likely", "possible", "no sign", "not known"]
    text: str


def bias_verdict(rounds: Sequence[Round]) -> BiasVerdict:
    """Judge by calibration, accepted counts and score together, from the first network to the last that learned.

    Args:
        rounds: All, the first network before them.
    """
    trained = [each for each in rounds if each.outcome in TRAINED]
    if not trained:
        return BiasVerdict("not known", "Confirmation bias cannot be judged: no round learned anything.")
    first, last = quality_of(rounds[0]), quality_of(trained[-1])
    share = trained[-1].taken / trained[-1].pool
    best = quality_of(best_round(rounds))
    rises = last.calibration_error - first.calibration_error >= _RISE
    gained = best.score > first.score
    moved = "rose" if last.calibration_error > first.calibration_error else "went"
    error = f"calibration error {moved} from {first.calibration_error:.2f} to {last.calibration_error:.2f}"
    score = f"rose from {first.score:.3f} to {best.score:.3f}" if gained else "did not rise"
    rest = f"{error} while {100 * share:.0f} % of the unlabelled were accepted and the score {score}."
    if rises and share >= _MOST and not gained:
        return BiasVerdict("likely", f"Confirmation bias is likely: {rest}")
    if rises and (share >= _MOST or not gained):
        return BiasVerdict("possible", f"Confirmation bias is possible: {rest}")
    return BiasVerdict("no sign", f"No sign of confirmation bias: {rest}")
