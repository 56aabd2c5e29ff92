"""What is drawn of a validation pass, by what is learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from medseg.cases.target import Truth
from medseg.figures.claim import Claim
from medseg.figures.claim_grid import claim_grid
from medseg.learning.batches import SliceDataset
from medseg.learning.predictor import Predictor
from medseg.learning.task import LabelTask
from medseg.steps.attention_pictures import BETWEEN
from medseg.steps.pictures import shown_channels, validation_picture

_SHOWN = 12


def class_picture(
    predictor: Predictor, dataset: SliceDataset, scores: Mapping[str, float], *, heading: str
) -> Figure:
    """Show up to twelve validation images, evenly from the best to the worst, as the network sees them.

    Args:
        predictor: With the network to ask.
        dataset: The validation slices.
        scores: Of each case, by id.
        heading: Above the picture.

    Raises:
        TypeError: The task tells no classes of whole images.
    """
    task = predictor.task
    if not isinstance(task, LabelTask):
        raise TypeError(f"{type(task).__name__} tells no classes of whole images")
    order = sorted(scores, key=lambda case: (-scores[case], case))
    places = np.unique(np.linspace(0, len(order) - 1, min(_SHOWN, len(order))).round().astype(int))
    first = {sample.case: row for row, sample in reversed([*enumerate(dataset.samples)])}
    claims = []
    for case in (order[place] for place in places):
        item = dataset[(0, first[case])]
        image, label = item["image"].cpu().numpy(), item["label"].cpu().numpy()
        chances = predictor.probabilities(image[None])[0]
        said = task.chosen(chances)
        truth = [name for name, there in zip(task.classes, label, strict=True) if there]
        sure = max((float(chances[task.classes.index(name)]) for name in said), default=float("nan"))
        picture = next(iter(shown_channels(predictor.channels, image).values()))
        claims.append(Claim(picture, BETWEEN.join(truth) or "none", BETWEEN.join(said) or "none", sure))
    note = f"{len(claims)} of {len(order)} images, evenly from the best to the worst"
    return claim_grid(claims, heading=heading, note=note)


Drawing = Callable[..., Figure]

VALIDATION_PICTURES: Mapping[Truth, Drawing] = {
    "masks": validation_picture,
    "one": class_picture,
    "many": class_picture,
}
"""How a validation pass is drawn, by the truth that is learned from."""
