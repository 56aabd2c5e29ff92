"""A blank batch tells which outputs a network gives, and whether they fit."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.pipeline.checks.network_check import check_network


class Twofold(torch.nn.Module):
    """Gives blank outputs of these shapes as it trains, and the first of them in evaluation."""

    def __init__(self, *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.shapes = shapes

    def forward(self, images: torch.Tensor) -> Any:
        given = [images.new_zeros((len(images), *shape)) for shape in self.shapes]
        return given if self.training else given[0]


def outputs_of(task: Any, *shapes: tuple[int, ...], **network: Any) -> int:
    asked: Any = SimpleNamespace(
        inputs=("a",), slices=SimpleNamespace(size=(8, 8)), network={"_target_": "Twofold", **network}
    )
    return check_network(asked, Twofold(*shapes), task, trains=True)


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ((4, 8, 8), r"2 outputs.*number 2 has the shape \(2, 4, 8, 8\); expected \(2, 3, h, w\)"),
        ((3, 16, 8), r"number 2 has the shape \(2, 3, 16, 8\).*no larger than 8 x 8"),
        ((3,), r"number 2 has the shape \(2, 3\)"),
    ],
)
def test_an_output_that_the_label_map_cannot_be_brought_to_is_refused(
    second: tuple[int, ...], told: str
) -> None:
    task = ClassMasks(("a", "b", "c"))

    assert outputs_of(task, (3, 8, 8), (3, 3, 4)) == 2
    with pytest.raises(DefinitionError, match=told):
        outputs_of(task, (3, 8, 8), second)


def test_classes_of_images_are_learned_from_one_output_alone() -> None:
    task = ImageClasses(("a", "b", "c"))

    assert outputs_of(task, (3,)) == 1
    with pytest.raises(
        DefinitionError, match=r"list of 2 as it trains.*auxiliary.*network\.aux_logits to false"
    ):
        outputs_of(task, (3,), (3,), aux_logits=True)
