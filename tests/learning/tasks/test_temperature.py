"""Temperature scaling finds the temperature that logits were multiplied by."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from medseg.component import build
from medseg.errors import DataError, DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.learning.tasks.task import TASK, temperature_task
from medseg.learning.tasks.temperature import best_temperature, probabilities

NAMES = ("a", "b", "c")


def drawn(many: bool, count: int = 400):
    """Logits, and truths that are drawn by just their probabilities."""
    random = np.random.default_rng(0)
    logits = random.normal(scale=2, size=(count, 3)).astype(np.float32)
    if many:
        return logits, random.random((count, 3)) < 1 / (1 + np.exp(-logits))
    shares = torch.softmax(torch.from_numpy(logits), dim=1).numpy()
    return logits, (random.random((count, 1)) < shares.cumsum(axis=1)).cumsum(axis=1) == 1


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
@pytest.mark.parametrize("factor", [0.01, 0.3, 1.0, 4.0, 100.0])
def test_logits_that_were_made_too_sure_or_unsure_are_brought_back(many: bool, factor: float) -> None:
    logits, truth = drawn(many)
    task = ImageTags(NAMES) if many else ImageClasses(NAMES)

    found = best_temperature(task, [(row * factor)[None] for row in logits], truth)

    assert found == pytest.approx(factor, rel=0.2)


def test_the_choice_among_exclusive_classes_stays_as_it_is() -> None:
    logits, _ = drawn(many=False, count=50)
    task = ImageClasses(NAMES)

    before, after = (probabilities(each, [logits]) for each in (task, task.at_temperature(3)))

    assert (before.argmax(axis=1) == after.argmax(axis=1)).all()
    assert (after.max(axis=1) < before.max(axis=1)).all()


def test_cases_that_are_all_right_have_no_temperature() -> None:
    with pytest.raises(DataError, match="every case is right"):
        best_temperature(
            ImageClasses(NAMES), [np.array([[4.0, 0, 0]], np.float32)] * 3, np.eye(3)[[0] * 3] > 0
        )


def test_logits_that_tell_nothing_have_none_either() -> None:
    logits = [np.array([row], np.float32) for row in ([4.0, 0, 0], [0, 4.0, 0], [0, 0, 4.0])]

    with pytest.raises(DataError, match="equal probabilities"):
        best_temperature(ImageClasses(NAMES), logits, np.roll(np.eye(3), 1, axis=1) > 0)


@pytest.mark.parametrize(
    "task", [ImageClasses(NAMES, class_weights=[1, 2, 3]), ImageTags(NAMES, threshold=0.3)]
)
def test_the_temperature_is_kept_by_the_model_and_one_of_before_has_none(task) -> None:
    assert "temperature" not in task.spec()

    scaled = task.at_temperature(2.5)

    assert build(scaled.spec(), at="task", kind=TASK).temperature == 2.5
    assert (scaled.class_weights, scaled.select) == (task.class_weights, task.select)
    counted = type(task)(NAMES, class_weights="frequency", temperature=2.5).weighted(np.array([1, 2, 3]))
    assert counted.temperature == 2.5


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), "2", True, 10**400])
@pytest.mark.parametrize("make", [ImageClasses, ImageTags])
def test_a_temperature_that_is_none_is_refused(make, wrong) -> None:
    with pytest.raises(DefinitionError, match=r"task\.temperature"):
        make(NAMES, temperature=wrong)


def test_a_task_of_label_maps_has_no_temperature() -> None:
    with pytest.raises(DefinitionError, match="classes of whole images"):
        temperature_task(ClassMasks(["background", "a"]))
