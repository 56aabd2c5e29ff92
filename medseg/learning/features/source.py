"""Whether a classifier may have learned where images come from, in place of what they show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from medseg.learning.scores.classes import ClassScorer
from medseg.learning.tasks.exclusive import OneClass
from medseg.text import many

_GAP = 0.2  # of the accuracies, from which on it counts
_FEW = 5  # images that contradict their source, from which on they are read


#: By whether it is above chance: what is said of features and source, and of class and source.
_SAID: Mapping[bool | None, tuple[str, str]] = {
    True: ("The features tell", "the class follows"),
    False: ("The features do not tell", "the class does not follow"),
    None: ("It is open whether the features tell", "it is open whether the class follows"),
}


@dataclass(frozen=True)
class Told:
    """How well something is told of images that nothing was learned from.

    Attributes:
        value: Balanced accuracy.
        low: End of its interval over patients; NaN where there is none.
        high: The other end.
        chance: What saying always the same gives.
        cases: How many images.
    """

    value: float
    low: float
    high: float
    chance: float
    cases: int

    @property
    def above_chance(self) -> bool | None:
        """Whether the interval is above what chance gives; None where there is none."""
        return None if np.isnan(self.low) else self.low > self.chance

    def text(self) -> str:
        """In words."""
        interval = "" if np.isnan(self.low) else f" [{self.low:.2f}, {self.high:.2f}]"
        images = many(self.cases, "image")
        return f"balanced accuracy {self.value:.2f}{interval} in {images}, {self.chance:.2f} by chance"


@dataclass(frozen=True)
class Share:
    """How many of some images are right."""

    right: int
    cases: int

    @property
    def value(self) -> float:
        """In [0, 1]; NaN of none."""
        return self.right / self.cases if self.cases else float("nan")


@dataclass(frozen=True)
class SourceVerdict:
    """Whether the source stands in for the class.

    Attributes:
        kind: In a word.
        text: Sentences with their numbers.
    """

    kind: Literal["likely", "possible", "no sign", "not known"]
    text: str


def told(
    names: Sequence[str],
    truth: NDArray[np.int64],
    probabilities: NDArray[np.floating],
    cases: Sequence[str],
    groups: Sequence[str],
    seed: int,
) -> Told:
    """Score what is told of images, with an interval over patients.

    Where all is right, or all wrong, all resamples agree: the ends are then the means of the exact ones of the
    recalls, of which each needs two patients.

    Args:
        names: Of K classes, or sources.
        truth: (N,) index of each image.
        probabilities: (N, K) that sum to 1.
        cases: (N,) public names.
        groups: (N,) patients.
        seed: Of the resamples.
    """
    scorer = ClassScorer(names, OneClass(), scores=("balanced_accuracy", "recall"))
    for case, group, index, chances in zip(cases, groups, truth, probabilities, strict=True):
        scorer.add(case, group, np.eye(len(names), dtype=np.uint8)[index], chances.astype(np.float32))
    summary = scorer.summary(seed)
    row = summary[summary["score"] == "balanced_accuracy"].iloc[0]
    low, high = float(row["low"]), float(row["high"])
    if row["mean"] in (0, 1):
        of_each = (summary["score"] == "recall") & (summary["name"] != "") & summary["mean"].notna()
        recalls = summary[of_each]
        low, high = (float(recalls[end].mean(skipna=False)) for end in ("low", "high"))
    return Told(float(row["mean"]), low, high, 1 / len(set(truth.tolist())), len(truth))


def classes_by_source(
    sources: NDArray[np.int64], classes: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """(S, K) how probable each class is in each source, of training images alone; one is added to each count.

    Args:
        sources: (N,) index of each training image's source.
        classes: (N,) index of its class.
        shape: (S, K).
    """
    counts = np.ones(shape)
    np.add.at(counts, (sources, classes), 1)
    found: NDArray[np.float64] = counts / counts.sum(axis=1, keepdims=True)
    return found


def source_verdict(source: Told, follows: Told, agreeing: Share, against: Share) -> SourceVerdict:
    """Judge whether a network may say the source in place of the class.

    It can, where features tell the source and the class follows from it. It seems to, where it is right of images
    whose class is the usual one of their source, and wrong of the others. The limits are conventions of medseg: they
    give a reading, not a test.

    Args:
        source: How well the features tell the source.
        follows: How well the source alone tells the class.
        agreeing: How many images the network is right of, of those with the usual class of their source.
        against: Of those with another.
    """
    told_apart = (source.above_chance, follows.above_chance)
    tell, follow = (_SAID[above] for above in told_apart)
    text = (
        f"{tell[0]} the source of an image ({source.text()}), and {follow[1]} from the source alone "
        f"({follows.text()})."
    )
    if False in told_apart:
        return SourceVerdict("no sign", f"No sign that the source stands in for the class. {text}")
    if None in told_apart:
        few = "Whether the source stands in for the class is not known: there are too few patients for an interval."
        return SourceVerdict("not known", f"{few} {text}")
    if against.cases < _FEW:
        few = (
            f"Only {many(against.cases, 'image', 'contradict')} their source, too few to tell whether the network "
            "goes by it."
        )
        return SourceVerdict("possible", f"The source may stand in for the class. {text} {few}")
    right = (
        f"The network is right of {against.right} of {against.cases} images that have another class than is usual "
        f"for their source, and of {agreeing.right} of the {agreeing.cases} others."
    )
    if agreeing.value - against.value >= _GAP:
        return SourceVerdict("likely", f"The source probably stands in for the class. {text} {right}")
    return SourceVerdict("possible", f"The source may stand in for the class. {text} {right}")
