"""Pictures of the best, the median and the worst patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from medseg.class_names import joined
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.reading.volume import Volume, read_volume
from medseg.datasets.unannotated import UNANNOTATED, annotated
from medseg.figures.classes.claim import Claim
from medseg.figures.classes.claim_grid import claim_grid
from medseg.figures.overlay import grey
from medseg.figures.slices.slice_grid import SliceView, slice_grid
from medseg.geometry.axes import AXES
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import MaskTask
from medseg.learning.training.batches import SliceDataset
from medseg.slices.rule import SliceRule


def best_median_worst(scores: Mapping[str, float]) -> dict[str, str]:
    """Name the cases with the best, the middle and the worst score, each case once.

    Returns:
        Case id to what it is; fewer than three entries where there are fewer cases. Ties go by name.
    """
    order = sorted(scores, key=lambda case: (-scores[case], case))
    picked: dict[str, str] = {}
    first = "best" if len(order) > 1 else "only case"
    for place, kind in ((0, first), (len(order) - 1, "worst"), ((len(order) - 1) // 2, "median")):
        if order and order[place] not in picked:
            picked[order[place]] = kind
    rank = {first: 0, "median": 1, "worst": 2}
    return dict(sorted(picked.items(), key=lambda item: rank[item[1]]))


def fullest(labels: Sequence[NDArray[Any]] | NDArray[Any]) -> int:
    """The slice with most voxels that are not of the first class; the middle one where there are none.

    For derived classes that fill the body, the rarer classes decide: each class counts by its share.

    Args:
        labels: (S, H, W) class indices; what nobody annotated counts as the first class.
    """
    stack = np.asarray(labels)
    stack = np.where(annotated(stack), stack, 0)
    totals = np.bincount(stack.ravel()).astype(float)
    weight = np.zeros_like(totals)
    weight[1:] = np.divide(1.0, totals[1:], out=np.zeros_like(totals[1:]), where=totals[1:] > 0)
    sums = weight[stack].sum(axis=(1, 2))
    return int(np.argmax(sums)) if sums.any() else len(stack) // 2


def validation_picture(
    predictor: Predictor, dataset: SliceDataset, scores: Mapping[str, float], *, heading: str
) -> Figure:
    """Show the fullest slice of the best, the median and the worst validation case, as the network sees it.

    Args:
        predictor: With the network to ask.
        dataset: The validation slices.
        scores: Of each case, by id.
        heading: Above the picture.
    """
    views = []
    task = predictor.task if isinstance(predictor.task, MaskTask) else None
    for case, kind in best_median_worst(scores).items():
        rows = [i for i, sample in enumerate(dataset.samples) if sample.case == case]
        labels = np.stack([dataset[(0, i)]["label"][0].cpu().numpy() for i in rows])
        shown, batch = fullest(labels), predictor.batch_size
        first = shown // batch * batch  # among those of its batch, by which some networks normalise
        images = np.stack([dataset[(0, i)]["image"].cpu().numpy() for i in rows[first : first + batch]])
        image, truth, row = images[shown - first], labels[shown], rows[shown]
        predicted = predictor.labels(images)[shown - first]
        # a picture is one slice, so no place is named, unless it was cut into tiles
        place = f", slice {dataset.samples[row].position}" if len(rows) > 1 else ""
        title = f"{kind}: {case}{place}, {dice_text(scores[case], labels, task)}"
        views.append(SliceView(title, shown_channels(predictor, image), truth, predicted))
    return slice_grid(views, predictor.task.classes, heading=heading)


def dice_text(dice: float, truth: NDArray[Any], task: MaskTask | None = None) -> str:
    """The mean Dice of a case in words: 1 where there is nothing to find is no overlap.

    Args:
        dice: In [0, 1]; 1 where truth and prediction have nothing of what is scored.
        truth: Class indices of all of it.
        task: Whose selected classes and regions the mean is over; None where it is over all but the first class.
    """
    shown = {int(index) for index in np.unique(truth)} - {UNANNOTATED}
    if dice != 1 or (shown - {0} if task is None else shown & selected(task)):
        return f"mean Dice {dice:.3f}"
    if task is None or selected(task) >= set(range(1, len(task.classes))):
        return "truth and prediction are empty"
    return f"no {' or '.join(task.select)} in truth and prediction"


def selected(task: MaskTask) -> set[int]:
    """Indices of the classes that are selected, by themselves or in a region."""
    members = {name: (index,) for index, name in enumerate(task.classes)} | dict(task.regions)
    return {index for name in task.select for index in members[name]}


def data_picture(
    cases: Sequence[Case], manifest: Manifest, channels: Sequence[str], rule: SliceRule, *, heading: str
) -> Figure:
    """Show the fullest slice of each case with all its channels and its truth, as stored, before training.

    Of cases with classes, the middle slice of each, with its classes above.

    Raises:
        DataError: A file of a case cannot be used.
    """
    if any(case.is_whole for case in cases):
        return _labelled_picture(cases, manifest, channels, rule, heading=heading)
    views, axis, reference = [], rule.axis, rule.reference(channels)
    for case in cases:
        volume = read_volume(
            case, channels, manifest.label_rule(), files=manifest.files(), reference=reference
        )
        images = AXES[axis].cut(volume.image)
        truth = None if volume.label is None else AXES[axis].cut(volume.label)
        place = len(images) // 2 if truth is None else fullest(truth)
        rows, columns = AXES[axis].seen(ras_spacing(volume))[1:]
        views.append(
            SliceView(
                f"{case.id}, {axis} slice {place}" if len(images) > 1 else case.id,
                arranged(channels, images[place], manifest.shown),
                None if truth is None else truth[place],
                spacing=(rows, columns),
            )
        )
    return slice_grid(views, manifest.classes, heading=heading)


def shown_cases(cases: Sequence[Case], count: int) -> list[Case]:
    """The first few cases; where they have classes, of every class in turn, and of those without a label.

    Args:
        cases: In the order of their ids.
        count: How many; of cases with classes four times as many, since these are small pictures.
    """
    if not any(case.is_whole for case in cases):
        return list(cases[:count])
    by_class: dict[tuple[bool, tuple[str, ...]], list[Case]] = {}
    for case in cases:
        by_class.setdefault((case.unlabelled, case.labels or ()), []).append(case)
    turns = zip_longest(*(by_class[labels] for labels in sorted(by_class)))
    return [case for turn in turns for case in turn if case is not None][: 4 * count]


def _labelled_picture(
    cases: Sequence[Case], manifest: Manifest, channels: Sequence[str], rule: SliceRule, *, heading: str
) -> Figure:
    claims = []
    for case in cases:
        reference = rule.reference(channels)
        volume = read_volume(case, channels, None, files=manifest.files(), reference=reference)
        slices = AXES[rule.axis].cut(volume.image)
        image = next(iter(arranged(channels, slices[len(slices) // 2], manifest.shown).values()))
        truth = "without a label" if case.unlabelled else ""
        truth = truth if case.labels is None else joined(case.labels, "none")
        claims.append(Claim(image, truth, "", float("nan")))
    return claim_grid(claims, heading=heading)


def shown_channels(predictor: Predictor, image: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """What people are shown of a slice (C, H, W) that a network sees: see `arranged`."""
    return arranged(predictor.channels, image, predictor.manifest.shown)


def arranged(
    channels: Sequence[str], image: NDArray[Any], first: str | None = None
) -> dict[str, NDArray[Any]]:
    """What people are shown of a slice: each channel in grey, but red, green and blue as one colour picture.

    Args:
        channels: Their names.
        image: (C, H, W) intensities of any range.
        first: The channel that comes first, over which masks are drawn, if it is among them.
    """
    if tuple(channels) != ("red", "green", "blue"):
        return {channels[place]: image[place] for place in shown_order(channels, first)}
    # one window for all three, so that colours stay true
    return {"picture": grey(np.moveaxis(image, 0, 2), (float(image.min()), float(image.max()) + 1e-6))}


def shown_order(channels: Sequence[str], first: str | None) -> list[int]:
    """The places of channels in the order in which people are shown them: see `arranged`."""
    return sorted(range(len(channels)), key=lambda place: channels[place] != first)


def ras_spacing(volume: Volume) -> tuple[float, float, float]:
    """Voxel size along I, J and K of the reoriented volume, mm."""
    x, y, z = np.sqrt((volume.geometry.ras_affine[:3, :3] ** 2).sum(axis=0))
    return (float(x), float(y), float(z))
