"""What medseg itself declares as augmentation runs by batch, all of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from monai.transforms import Compose, Transform

from medseg.allowed import SHIPPED
from medseg.component import build
from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.pipeline.drafting.augmentation import augmentation, class_augmentation
from medseg.pipeline.drafting.cutting import Cut
from medseg.yaml import read_yaml

PIPELINES = sorted((Path(__file__).resolve().parents[2] / "pipelines").glob("*.yaml"))


def slice_by_slice(specs: list[dict[str, Any]], shape: tuple[int, int, int]) -> tuple[str, ...]:
    built = [build(spec, at="loading.augment", kind=Transform, allowed=SHIPPED) for spec in specs]
    keys = ("image", "label") if any("label" in spec["keys"] for spec in specs) else ("image",)
    return AugmentByPlace(Compose(built), 0, keys).one_by_one(shape)


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_augments_by_batch(path: Path) -> None:
    declared = read_yaml(path)

    assert slice_by_slice(declared["loading"].get("augment", []), (3, 64, 64)) == ()


@pytest.mark.parametrize("drafted", [augmentation, class_augmentation])
def test_a_drafted_pipeline_augments_by_batch(drafted: Any) -> None:
    cut = Cut((), (64, 48), 10)
    (choice,) = drafted(cut, ["background", "heart"]) if drafted is augmentation else drafted(cut)

    assert slice_by_slice(choice.value, (1, 64, 48)) == ()
