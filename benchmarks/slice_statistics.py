"""The statistics of the original notebook: from confusion counts, against its loop of scikit-learn over images.

    python benchmarks/slice_statistics.py [--slices 155] [--rounds 3] [--quick]

Both give precision, sensitivity and F1 of five classes and of tumour or not, of every slice of 240 x 240 pixels, and
their weighted means. Prints seconds, how many times as fast, and that the means are equal.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from medseg.learning import SliceStatistics
from medseg.learning.scores.added.slice_statistics import SCORES
from medseg.learning.scores.counts import confusions

CLASSES = ("outside", "healthy", "necrotic_core", "oedema", "enhancing")
TUMOUR = (2, 3, 4)
Labels = NDArray[np.uint8]


def volume(slices: int) -> tuple[Labels, Labels]:
    """Truth: nested balls; prediction: the same, moved."""
    places = np.moveaxis(np.indices((slices, 240, 240)), 0, -1) - np.array([slices / 2, 120, 120])
    labels = [np.zeros(places.shape[:3], np.uint8), np.zeros(places.shape[:3], np.uint8)]
    for shift, each in enumerate(labels):
        away = np.linalg.norm((places - 3 * shift) * np.array([155 / slices, 1, 1]), axis=-1)
        for index, radius in enumerate((95, 50, 35, 20), start=1):
            each[away < radius] = index
    return labels[0], labels[1]


def by_loop(truth: Labels, predicted: Labels) -> dict[tuple[str, str], float]:
    pairs = list(zip(truth, predicted, strict=True))
    of_classes = [
        precision_recall_fscore_support(t.ravel(), p.ravel(), labels=range(5), zero_division=0)
        for t, p in pairs
    ]
    of_tumour = [
        precision_recall_fscore_support(
            np.isin(t, TUMOUR).ravel(), np.isin(p, TUMOUR).ravel(), labels=[False, True], zero_division=0
        )
        for t, p in pairs
    ]
    found: dict[tuple[str, str], float] = {}
    for names, each in ((CLASSES, of_classes), (("not_tumour", "tumour"), of_tumour)):
        pixels = np.array([rows[3] for rows in each])
        for score, place in zip(SCORES, range(3), strict=True):
            values = np.array([rows[place] for rows in each])
            found |= {
                (name, score): float((pixels[:, k] @ values[:, k]) / pixels[:, k].sum())
                for k, name in enumerate(names)
            }
    return found


def by_counts(truth: Labels, predicted: Labels) -> dict[tuple[str, str], float]:
    made = SliceStatistics("tumour").table(confusions(truth, predicted, 5), CLASSES, {"tumour": TUMOUR})
    return {(row["name"], row["score"]): row["mean"] for row in made.to_dict("records")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=155)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="One round of a few slices.")
    given = parser.parse_args()
    slices, rounds = (24, 1) if given.quick else (given.slices, given.rounds)
    pair = volume(slices)
    theirs = by_loop(*pair)
    ours = by_counts(*pair)
    furthest = max(abs(ours[key] - value) for key, value in theirs.items())
    times: dict[str, list[float]] = {"loop": [], "counts": []}
    for _ in range(rounds):
        for name, call in (("loop", by_loop), ("counts", by_counts)):
            begun = time.perf_counter()
            call(*pair)
            times[name].append(time.perf_counter() - begun)
    loop, counts = (statistics.median(each) for each in times.values())
    print(f"{slices} slices: scikit-learn image by image {loop:.3f} s, from confusion counts {counts:.4f} s")
    print(f"{loop / counts:.0f} times as fast; means differ by {furthest:.1e} at most")


if __name__ == "__main__":
    main()
