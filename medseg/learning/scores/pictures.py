"""Scores of foreground masks: per image, per group (a patient over all its slices), and of all pixels pooled.

Empty classes are treated by the one rule of `medseg.learning.scores.counts`: a ratio 0/0 is NaN and left out. AUROC
needs both classes, average precision needs foreground, object scores need an object in truth or prediction.

Everything but AUROC and average precision follows from a few sums for each image, which add up to those of
its group and of all. For these two, probabilities are kept: see `medseg.learning.scores.probability_store`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.unannotated import UNANNOTATED
from medseg.learning.scores.added.case_score import CaseScore, computed
from medseg.learning.scores.added.cases import MaskCase
from medseg.learning.scores.calibration import BINS, calibration_error
from medseg.learning.scores.counts import COUNT_SCORES, ratio
from medseg.learning.scores.intervals import OVER_PATIENTS, draws, middle, over_patients, times, undefined
from medseg.learning.scores.objects import OBJECT_RATIOS, connected, match_objects, plane, truth_objects
from medseg.learning.scores.probability_counts import ProbabilityCounts, pack
from medseg.learning.scores.probability_store import ProbabilityStore
from medseg.learning.scores.ranking import auroc, average_precision

if TYPE_CHECKING:
    from pandas import DataFrame

OF_MASKS = ("accuracy", "iou", "dice", "precision", "recall", "f1", "specificity")
OF_PROBABILITIES = {"auroc": auroc, "average_precision": average_precision}
OF_OBJECTS = ("object_precision", "object_recall", "object_f1", "panoptic_quality")
PICTURE_SCORES = (*OF_MASKS, *OF_PROBABILITIES, "brier", "calibration_error", *OF_OBJECTS)
"""Scores in [0, 1]; of Brier score and calibration error less is better, of all others more."""
AMOUNTS = ("truth_pixels", "predicted_pixels", "truth_objects", "predicted_objects")

BLOCK = 100
"""Resamples computed at once."""


class ForegroundScorer:
    """Scores the masks of images.

    Nothing depends on the order in which images are added. AUROC and average precision are exact for each
    image; for groups of several and pooled they are so up to the limits of `ProbabilityStore`: see `exact`.

    Args:
        classes: Two class names, background and foreground; the second names the rows.
        scores: Those of `PICTURE_SCORES` and `COUNT_SCORES` that are in its tables.
        added: Scores that are there beside; of a group, their mean over its images.

    Raises:
        ValueError: Not two different names.
    """

    def __init__(
        self,
        classes: Sequence[str],
        scores: Sequence[str] = PICTURE_SCORES,
        added: Sequence[CaseScore] = (),
    ) -> None:
        if len(set(classes)) != 2 or len(classes) != 2:
            raise ValueError(f"classes {list(classes)}; expected two names, background and foreground")
        self.name = classes[1]
        self.scores, self._added = tuple(scores), tuple(added)
        self._columns = [*self.scores, *(score.name for score in added)]
        self._rows: dict[str, tuple[str, _Sums, dict[str, float]]] = {}
        self._probabilities = ProbabilityStore()

    def add(
        self,
        case: str,
        group: str,
        truth: NDArray[np.bool_],
        probability: NDArray[np.float32],
        predicted: NDArray[np.bool_],
        objects: NDArray[Any] | None = None,
        known: NDArray[np.bool_] | None = None,
    ) -> None:
        """Score one image.

        Args:
            case: Public name of the image; each is scored once.
            group: Public name of what it belongs to: a patient, an article.
            truth: (H, W) bool, whether each pixel is foreground.
            probability: (H, W) float32 foreground probability in [0, 1].
            predicted: (H, W) bool, the predicted mask.
            objects: (H, W) instance map of the truth, read by `truth_objects`; without, the connected
                components of the truth are its objects. Those of the prediction always are.
            known: (H, W) whether each pixel is annotated; the others are in neither mask, and count nowhere. None
                where all are.

        Raises:
            ValueError: A case twice, other shapes or types, NaN, or probabilities outside [0, 1].
        """
        if case in self._rows:
            raise ValueError("a case was scored twice; score each image once, whole")
        truth, probability, predicted = plane(truth), plane(probability), plane(predicted)
        packed = pack(probability, truth)
        if known is not None:
            known = plane(known)
            truth, packed = truth & known, packed[known.ravel()]
        if predicted.shape != truth.shape or predicted.dtype != np.bool_:
            raise ValueError(
                f"prediction is {predicted.dtype} of {predicted.shape}; expected bool of {truth.shape}, as the truth"
            )
        predicted = predicted if known is None else predicted & known
        true_objects = connected(truth) if objects is None else truth_objects(objects)
        true_objects = true_objects if known is None else np.where(known, true_objects, 0)
        counts = ProbabilityCounts.of_packed(packed)
        sums = _Sums.of(truth, predicted, counts, true_objects)
        own = {name: float(of(counts.positives, counts.negatives)) for name, of in OF_PROBABILITIES.items()}
        pair = truth.astype(np.uint8), predicted.astype(np.uint8)
        if known is not None:
            pair = np.where(known, pair[0], UNANNOTATED).astype(np.uint8), pair[1]
        whole = MaskCase(case, {self.name: (1,)}, *pair, None, probability)
        own |= {score.name: computed(score, whole).get(self.name, np.nan) for score in self._added}
        self._rows[case] = group, sums, own
        self._probabilities.add(group, packed)

    @property
    def exact(self) -> bool:
        """Whether AUROC and average precision of groups of several images are of unrounded probabilities."""
        return self._probabilities.exact

    @property
    def counts(self) -> ProbabilityCounts:
        """Counts of the probabilities of all pixels, unrounded up to 2^25 distinct: see `ProbabilityStore`."""
        return self._probabilities.pooled()

    @property
    def matrix(self) -> NDArray[np.int64]:
        """(2, 2) pixels by true (rows) and predicted class, background first."""
        tp, fp, fn, tn = _Sums.total(sums for _, sums, _ in self._rows.values()).pixels.astype(np.int64)
        return np.array([[tn, fp], [fn, tp]])

    def dice(self) -> dict[str, float]:
        """Dice of each image; 1 where it rightly has no foreground."""
        found = {case: sums.scores()["dice"] for case, (_, sums, _) in self._rows.items()}
        return {case: 1.0 if np.isnan(value) else value for case, value in found.items()}

    def frame(self) -> DataFrame:
        """Give the scores of each image.

        Returns:
            One row per image: case, group, name, `PICTURE_SCORES`, and pixels and objects in truth and prediction.
        """
        from pandas import DataFrame  # noqa: PLC0415 - half a second that training's validation does without

        rows = [
            {"case": case, "group": group, "name": self.name, **sums.scores(), **own, **sums.amounts()}
            for case, (group, sums, own) in self._rows.items()
        ]
        return DataFrame(rows, columns=["case", "group", "name", *self._columns, *AMOUNTS])

    def group_frame(self) -> DataFrame:
        """Give the scores of each group, of the pixels and objects of all its images together.

        Returns:
            One row per group, sorted: group, name, images, `PICTURE_SCORES`, and pixels and objects.
        """
        from pandas import DataFrame  # noqa: PLC0415 - as above

        rows = []
        for group, members in self._groups().items():
            sums = _Sums.total(sums for sums, _ in members)
            if len(members) == 1:
                ranked = members[0][1]
            else:
                counts = self._probabilities.of_group(group)
                ranked = {
                    name: float(of(counts.positives, counts.negatives))
                    for name, of in OF_PROBABILITIES.items()
                }
                for score in self._added:
                    values = np.array([own[score.name] for _, own in members])
                    defined = values[~np.isnan(values)]
                    ranked[score.name] = float(defined.mean()) if defined.size else np.nan
            images = {"group": group, "name": self.name, "images": len(members)}
            rows.append(images | sums.scores() | ranked | sums.amounts())
        return DataFrame(rows, columns=["group", "name", "images", *self._columns, *AMOUNTS])

    def summary(self, seed: int = 0) -> DataFrame:
        """Summarise over groups, and over all pixels.

        Args:
            seed: Of the bootstrap.

        Returns:
            Rows of name, score, mean, median, std, low, high, patients, as `intervals.summarise` has them.
            Named after the foreground: over the groups' scores. Named `<foreground>/pooled`: mean and median
            are the score of all pixels (or objects) together, low and high its 95 % percentile interval when
            groups are drawn with replacement, 1000 times, std is NaN and patients is the number of groups.
            AUROC and average precision of the draws come from `ProbabilityCounts.coarse`, shifted by what this
            grid moves in the score of all pixels;
            draws where a score is undefined are left out.
        """
        from pandas import DataFrame, concat  # noqa: PLC0415 - as above

        rows = [
            {"name": f"{self.name}/pooled", "score": score} | row for score, row in self._pooled(seed).items()
        ]
        pooled = DataFrame(rows, columns=["name", "score", *OVER_PATIENTS])
        return concat([self.over_groups(self.group_frame(), seed), pooled], ignore_index=True)

    def over_groups(self, groups: DataFrame, seed: int = 0) -> DataFrame:
        """Summarise a table of groups, as `group_frame` gives it: the first rows of `summary`."""
        from pandas import DataFrame  # noqa: PLC0415 - as above

        rows = [
            {"name": self.name, "score": score} | over_patients(groups[score].to_numpy(dtype=float), seed)
            for score in self._columns
        ]
        return DataFrame(rows, columns=["name", "score", *OVER_PATIENTS])

    def _groups(self) -> dict[str, list[tuple[_Sums, dict[str, float]]]]:
        groups: dict[str, list[tuple[_Sums, dict[str, float]]]] = {}
        # cases in order too: floats add up to the same last bit however they came
        for _, (group, sums, own) in sorted(self._rows.items()):
            groups.setdefault(group, []).append((sums, own))
        return dict(sorted(groups.items()))

    def _pooled(self, seed: int) -> dict[str, dict[str, float]]:
        groups = self._groups()
        if not groups:
            return dict.fromkeys(self.scores, undefined())
        sums = [_Sums.total(one for one, _ in members) for members in groups.values()]
        counts = self.counts
        point = _Sums.total(sums).scores()
        point |= {
            name: float(of(counts.positives, counts.negatives)) for name, of in OF_PROBABILITIES.items()
        }
        (drawn,) = draws(len(groups), seed)
        taken = times(drawn, len(groups))
        resampled = _scores(taken @ np.stack([one.all for one in sums]))
        # the last draw takes each group once: what the grid moves there, it moves in all draws alike
        once = np.append(taken, np.ones((1, len(groups))), axis=0)
        for name, values in _ranked(once, [self._probabilities.coarse(group) for group in groups]).items():
            resampled[name] = np.clip(values[:-1] + (point[name] - values[-1]), 0, 1)
        rows = {}
        for score in self.scores:
            mean = point[score]
            if np.isnan(mean):
                rows[score] = undefined()
                continue
            low, high = middle(resampled[score]) if len(groups) > 1 else (np.nan, np.nan)
            own = {"mean": mean, "median": mean, "std": np.nan, "low": low, "high": high}
            rows[score] = own | {"patients": len(groups)}
        return rows


@dataclass(frozen=True)
class _Sums:
    """What adds up over images.

    Attributes:
        all: (8 + 1 + 3 * BINS,) float64, exact for counts below 2^53: tp, fp, fn, tn, objects matched, true and
            predicted, their sum of IoU; the squared error; by bin: pixels, foreground, probabilities.
    """

    all: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        truth: NDArray[np.bool_],
        predicted: NDArray[np.bool_],
        counts: ProbabilityCounts,
        objects: NDArray[np.int32],
    ) -> _Sums:
        tp, in_truth, in_prediction = (
            int(np.count_nonzero(m)) for m in (truth & predicted, truth, predicted)
        )
        fp, fn = in_prediction - tp, in_truth - tp
        found = match_objects(objects, connected(predicted))
        bins = counts.reliability()
        parts: list[Any] = [
            [tp, fp, fn, counts.foreground + counts.background - tp - fp - fn],
            [found.matched, found.truth, found.predicted, found.iou_sum, counts.squared_error()],
            bins.count,
            *bins.sums(),
        ]
        return cls(np.concatenate(parts).astype(float))

    @classmethod
    def total(cls, sums: Iterable[_Sums]) -> _Sums:
        return cls(sum((one.all for one in sums), np.zeros(9 + 3 * BINS)))

    @property
    def pixels(self) -> NDArray[np.float64]:
        return self.all[:4]

    def scores(self) -> dict[str, float]:
        return {name: float(value) for name, value in _scores(self.all).items()}

    def amounts(self) -> dict[str, int]:
        tp, fp, fn, _, _, true_objects, predicted_objects = (int(one) for one in self.all[:7])
        return dict(zip(AMOUNTS, (tp + fn, tp + fp, true_objects, predicted_objects), strict=True))


def _scores(sums: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """All scores but those of ranked probabilities, of sums along the last axis."""
    pixels, objects = np.moveaxis(sums, -1, 0)[:4], np.moveaxis(sums, -1, 0)[4:8]
    count, positives, probabilities = (sums[..., 9 + i * BINS : 9 + (i + 1) * BINS] for i in range(3))
    total = pixels.sum(axis=0)
    found = {name: of(*pixels) for name, of in COUNT_SCORES.items()}
    found["brier"] = ratio(sums[..., 8], total)
    found["calibration_error"] = calibration_error(positives - probabilities, count.sum(axis=-1))
    return found | {name: OBJECT_RATIOS[name](*objects) for name in OF_OBJECTS}


def _ranked(
    times: NDArray[np.float64], groups: Sequence[ProbabilityCounts]
) -> Mapping[str, NDArray[np.float64]]:
    """AUROC and average precision of resamples, each of which takes the groups so many times."""
    union = ProbabilityCounts.merged(groups)
    found: dict[str, list[NDArray[np.float64]]] = {name: [] for name in OF_PROBABILITIES}
    places = [np.searchsorted(union.values, counts.values) for counts in groups]
    for block in np.array_split(times, max(1, len(times) // BLOCK)):
        positives, negatives = np.zeros((2, len(block), union.positives.size))
        for weight, place, counts in zip(block.T, places, groups, strict=True):
            positives[:, place] += np.outer(weight, counts.positives)
            negatives[:, place] += np.outer(weight, counts.negatives)
        for name, of in OF_PROBABILITIES.items():
            found[name].append(of(positives, negatives))
    return {name: np.concatenate(blocks) for name, blocks in found.items()}
