"""Weights of classes mean the same in the order of the classes and by name, in every task that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from medseg.errors import DefinitionError
from medseg.learning import BinaryMask, ClassMasks, ImageClasses, ImageTags
from medseg.learning.tasks.class_weights import weights_of

TASKS = [BinaryMask, ClassMasks, ImageClasses, ImageTags]


@pytest.mark.parametrize("task", TASKS)
def test_a_class_is_weighed_by_its_name_wherever_it_stands(task: Callable[..., Any]) -> None:
    for classes, weights in ((("no", "yes"), (1.0, 3.0)), (("yes", "no"), (3.0, 1.0))):
        assert task(classes, class_weights={"yes": 3.0}).class_weights == weights
        assert task(classes, class_weights=list(weights)).class_weights == weights


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("weights", "reason"),
    [
        ({"maybe": 3.0}, r"names \['maybe'\], expected some of the classes \['no', 'yes'\]"),
        ({"yes": -1.0}, r"is {'yes': -1.0}, expected 2 finite numbers"),
        ({"yes": 0, "no": 0}, "2 finite numbers, 0 or more"),
        ({"yes": "3"}, "finite numbers"),
        ([1.0, float("nan")], "finite numbers"),
        ([1.0], "2 finite numbers"),
        ("sizes", "is 'sizes', expected `frequency`"),
        (3.0, "is 3.0, expected `frequency`"),
    ],
)
def test_what_cannot_weigh_is_refused_by_every_task(
    task: Callable[..., Any], weights: object, reason: str
) -> None:
    with pytest.raises(DefinitionError, match=r"^task\.class_weights " + ".*" + reason):
        task(("no", "yes"), class_weights=weights)


def test_a_word_and_nothing_stay_what_they_are() -> None:
    assert weights_of("frequency", ("a", "b")) == "frequency"
    assert weights_of(None, ("a", "b")) is None
