"""What is drawn of a validation pass over whole images."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from medseg.figures.classes.claim import Claim
from medseg.figures.classes.claim_grid import claim_grid
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import LabelTask, label_task
from medseg.learning.training.batches import SliceDataset
from medseg.steps.claims import claim
from medseg.steps.pictures import shown_channels

_SHOWN = 12


def class_picture(
    predictor: Predictor, dataset: SliceDataset, scores: Mapping[str, float], *, heading: str
) -> Figure:
    """Show up to twelve validation images, evenly from the best to the worst, as the network sees them.

    Of an image of several slices, as tiles are, the middle one is shown; the prediction is that of all together.

    Args:
        predictor: With the network to ask.
        dataset: The validation slices.
        scores: Of each case, by id.
        heading: Above the picture.

    Raises:
        DefinitionError: The task tells no classes of whole images.
    """
    task = label_task(predictor.task)
    order = sorted(scores, key=lambda case: (-scores[case], case))
    places = np.unique(np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(int))
    rows: defaultdict[str, list[int]] = defaultdict(list)
    for row, sample in enumerate(dataset.samples):
        rows[sample.case].append(row)
    claims = [_claim(predictor, task, dataset, rows[order[place]]) for place in places]
    note = f"{len(claims)} of {len(order)} images, evenly from the best to the worst"
    return claim_grid(claims, heading=heading, note=note)


def _claim(predictor: Predictor, task: LabelTask, dataset: SliceDataset, rows: list[int]) -> Claim:
    """The prediction for the case that has these rows."""
    items = [dataset[(0, row)] for row in rows]
    images = np.stack([item["image"].cpu().numpy() for item in items])
    chances = predictor.probabilities(images).mean(axis=0)
    label = items[0]["label"].cpu().numpy()  # that of the case: all have it
    truth = [name for name, there in zip(task.classes, label, strict=True) if there]
    picture = next(iter(shown_channels(predictor, images[len(images) // 2]).values()))
    return claim(picture, truth, task.chosen(chances), chances, task.classes)
