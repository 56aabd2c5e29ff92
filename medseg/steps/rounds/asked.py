"""What a network says of images: probabilities of cases, and how good they are on those whose class is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from monai.transforms import Compose
from numpy.typing import NDArray

from medseg.class_names import class_name, key_name
from medseg.datasets.roles import UNLABELLED
from medseg.errors import DataError, ModelError, OtherSettingsError
from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.learning.inference.predictor import Predictor
from medseg.learning.scores.class_measures import ClassMeasures
from medseg.learning.selftraining.agreement import Agreement, deviation_of
from medseg.learning.selftraining.rounds import Quality
from medseg.learning.selftraining.rules import Rule
from medseg.learning.tasks.target import indicator
from medseg.learning.tasks.temperature import best_temperature, probabilities
from medseg.recorder import SCORE_OF
from medseg.slices.store.store import Sample
from medseg.steps.features.groupings import class_task
from medseg.steps.step import Run, Work

Ask = Callable[[Sequence[Sample]], NDArray[np.float32]]
"""Gives logits (N, K) of slices."""


def by_network(work: Work) -> Ask:
    """What sends slices through the network of the work; it raises a ModelError where that gives NaN or infinity."""

    def ask(samples: Sequence[Sample]) -> NDArray[np.float32]:
        return work.predictor.logits(
            np.stack([work.store.image(each) for each in samples]).astype(np.float32)
        )

    return ask


def by_views(work: Work, augment: Sequence[Callable[[Any], Any]], seed: int, view: int) -> Ask:
    """What sends augmented slices without a label through the network; a view is the same whenever it is asked."""
    random = AugmentByPlace(Compose(list(augment)), seed, ("image",))
    place = {(each.case, each.position): index for index, each in enumerate(work.store.role(UNLABELLED))}

    def ask(samples: Sequence[Sample]) -> NDArray[np.float32]:
        images = np.stack([work.store.image(each) for each in samples]).astype(np.float32)
        _, *shape = images.shape
        batch = {"image": torch.from_numpy(images), "label": torch.zeros(len(samples), 1, dtype=torch.uint8)}
        random(
            batch, random.draw([(view, place[each.case, each.position]) for each in samples], tuple(shape))
        )
        return work.predictor.logits(batch["image"].numpy())

    return ask


def quality(work: Work, run: Run, ask: Ask) -> Quality:
    """How good the network of the work is on the validation images, at the temperature that fits these best.

    A network that has learned is as sure as it has become, whatever temperature fitted the one before it. Where no
    temperature fits, it keeps that of the task.

    Raises:
        ModelError: It gives NaN or infinity.
    """
    samples, task = work.store.role("val"), class_task(work.predictor, "SelfTrain")
    found = _asked(work, samples, ask, "predicting the validation images", run)
    rows: dict[str, list[int]] = {}
    for row, each in enumerate(samples):
        rows.setdefault(each.case, []).append(row)
    logits = [found[of_case] for of_case in rows.values()]
    labels = np.stack([indicator(each.labels or (), task.classes) for each in samples])
    truth = labels[[of_case[0] for of_case in rows.values()]].astype(bool)
    try:
        scaled = task.at_temperature(best_temperature(task, logits, truth))
    except DataError as error:
        run.progress.say(f"The temperature stays at {task.temperature:g}: {error}.")
        scaled = task
    scorer = scaled.scorer()
    scorer.update([each.case for each in samples], torch.from_numpy(found), torch.from_numpy(labels))
    score = float(scorer.compute()["score"])
    run.recorder.tags({SCORE_OF: scorer.score_name})  # as all networks are asked of the same images
    before, after = (
        ClassMeasures(each.decision, truth, probabilities(each, logits)).point for each in (task, scaled)
    )
    return Quality(
        score,
        float(after[None, "log_loss"][0]),
        float(before[None, "calibration_error"][0]),
        float(after[None, "calibration_error"][0]),
        scaled.temperature,
    )


def predictions(work: Work, run: Run, ask: Ask, rule: Rule, number: int) -> pd.DataFrame:
    """What the network of the work says of each image without a label, and whether a round accepts it.

    Where the rule asks for augmented views, probabilities are means over these.

    Returns:
        Columns `case`, `group`, `label` (the most probable class), `probability` (of it), `accepted`, where there are
        views `deviation` (of that probability over them), and `probability_<class>` of each class.

    Raises:
        ModelError: The network gives NaN or infinity.
    """
    samples, classes = work.store.role(UNLABELLED), work.predictor.task.classes
    label = f"round {number}: predicting the unlabelled"
    if isinstance(rule, Agreement):
        asks = [
            by_views(work, rule.augment, run.seed, number * rule.views + view) for view in range(rule.views)
        ]
    else:
        asks = [ask]
    frames = [_by_case(work.predictor, samples, _asked(work, samples, each, label, run)) for each in asks]
    views = np.stack([_chances(each) for each in frames])
    frame, chances = frames[0].copy(), views.mean(axis=0)
    frame[list(frame.filter(regex="^probability_").columns)] = chances
    frame.insert(2, "label", [classes[index] for index in chances.argmax(axis=1)])
    frame.insert(3, "probability", chances.max(axis=1))
    if isinstance(rule, Agreement):
        frame.insert(4, "accepted", rule.accept_views(number, views))
        frame.insert(5, "deviation", deviation_of(views))
    else:
        frame.insert(4, "accepted", rule.accept(number, chances))
    return frame


def precision(work: Work, accepted: pd.DataFrame, key: str | None) -> float | None:
    """Share of accepted labels that are those of the key; None where it tells of none of them."""
    if key is None:
        return None
    told = [class_name(work.cases[case].extra.get(key) or "") for case in accepted["case"]]
    right = [name == label for name, label in zip(told, accepted["label"], strict=True) if name]
    return float(np.mean(right)) if right else None


def _asked(work: Work, samples: Sequence[Sample], ask: Ask, label: str, run: Run) -> NDArray[np.float32]:
    """Logits (N, K) of slices, in batches."""
    if not samples:
        raise DataError(f"{label}: there are none. Change slices.keep, or the data.")
    each, found = work.predictor.batch_size, []
    with run.progress.bar(label, len(samples), "slices") as bar:
        for start in range(0, len(samples), each):
            here = samples[start : start + each]
            try:
                found.append(ask(here))
            except ModelError as error:
                raise type(error)(f"{label}: {error}") from error
            if not np.isfinite(found[-1]).all():
                raise OtherSettingsError(
                    f"{label}: the network gives NaN or infinity. Training diverged: lower optimiser.lr of the step "
                    "that learned it."
                )
            bar.advance(len(here))
    return np.concatenate(found)


def _by_case(predictor: Predictor, samples: Sequence[Sample], logits: NDArray[np.float32]) -> pd.DataFrame:
    """`case`, `group` and `probability_<class>`: the mean over the slices of a case, which are in the order given."""
    chances = predictor.task.probabilities(torch.from_numpy(logits)).numpy().astype(np.float64)
    keys = pd.DataFrame([[each.case, each.group] for each in samples], columns=["case", "group"])
    names = [f"probability_{key_name(name)}" for name in predictor.task.classes]
    frame = pd.concat([keys, pd.DataFrame(chances, columns=names)], axis=1)
    return frame.groupby(["case", "group"], sort=False, as_index=False).mean()


def _chances(frame: pd.DataFrame) -> NDArray[np.float64]:
    found: NDArray[np.float64] = frame.filter(regex="^probability_").to_numpy(np.float64)
    return found
