"""What transforms make of a batch is what MONAI makes of each slice of it alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import set_track_meta
from monai.data.meta_obj import get_track_meta
from monai.transforms import (
    Compose,
    MapTransform,
    RandAffined,
    RandAxisFlipd,
    RandFlipd,
    RandGridDistortiond,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
)

from medseg.learning.augmentation.batched.table import FORMS
from medseg.learning.augmentation.by_place import AugmentByPlace

BOTH, IMAGE = ["image", "label"], ["image"]
MODES = ["bilinear", "nearest"]
ROWS = 12

Batch = dict[str, torch.Tensor]


def each_option(kind: type, always: dict[str, Any], **options: list[Any]) -> Iterator[Callable[[], Any]]:
    """The transform with each pair of options."""
    for values in itertools.product(*options.values()):
        given = {**always, **dict(zip(options, values, strict=True))}
        yield lambda given=given: kind(**given)


def affine(**given: Any) -> Callable[[], Any]:
    return lambda: RandAffined(**{"keys": BOTH, "prob": 0.7, "mode": MODES, **given})


CASES: dict[type, list[Callable[[], Any]]] = {
    RandFlipd: list(each_option(RandFlipd, {"prob": 0.6}, keys=[BOTH, IMAGE], spatial_axis=[None, 0, 1, -1])),
    RandAxisFlipd: list(each_option(RandAxisFlipd, {"prob": 0.7}, keys=[BOTH, IMAGE])),
    RandRotate90d: list(
        each_option(RandRotate90d, {"keys": BOTH, "prob": 0.8}, max_k=[1, 3], spatial_axes=[(0, 1), (1, 0)])
    ),
    RandAffined: [
        *each_option(
            RandAffined,
            {"keys": BOTH, "prob": 0.7, "rotate_range": 0.5, "scale_range": (0.2, 0.2)},
            mode=[MODES, ["bicubic", "nearest"], ["nearest", "nearest"], "nearest"],
            padding_mode=["zeros", "border", "reflection", ["border", "zeros"]],
        ),
        affine(
            rotate_range=3.1, shear_range=(0.2, 0.4), translate_range=(3, 2), scale_range=[(-0.3, 0.1), 0.2]
        ),
        affine(shear_range=0.3, translate_range=[(1, 2)], padding_mode="border"),
        affine(scale_range=0.3),
        affine(translate_range=[(0.5, 0.5), (-0.5, -0.5)]),  # between two pixels
        affine(translate_range=[(2, 2), (-1, -1)]),
        affine(rotate_range=[(np.pi / 2, np.pi / 2)]),
        affine(prob=0.0),
    ],
    RandScaleIntensityd: list(
        each_option(
            RandScaleIntensityd,
            {"keys": IMAGE, "prob": 0.7},
            factors=[0.3, (-0.5, 0.1)],
            channel_wise=[False, True],
            dtype=[np.float32, None],
        )
    ),
    RandShiftIntensityd: list(
        each_option(
            RandShiftIntensityd,
            {"keys": IMAGE, "prob": 0.7},
            offsets=[0.3, (-0.5, 0.1)],
            channel_wise=[False, True],
        )
    ),
}


def made_up(shape: tuple[int, int, int], rows: int = ROWS) -> Batch:
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(rows, *shape, generator=generator)
    return {
        "image": (image - image.mean()) / image.abs().max(),
        "label": torch.randint(0, 4, (rows, 1, *shape[1:]), generator=generator, dtype=torch.uint8),
    }


def one_by_one(augment: Compose, batch: Batch, places: list[tuple[int, int]], seed: int = 5) -> Batch:
    """What MONAI makes of each slice, seeded in its own way."""
    tracked, items = get_track_meta(), []
    set_track_meta(False)
    try:
        for row, place in enumerate(places):
            augment.set_random_state(seed=int(np.random.SeedSequence([seed, *place]).generate_state(1)[0]))
            items.append(augment({key: batch[key][row].clone() for key in BOTH}))
    finally:
        set_track_meta(tracked)
    return {key: torch.stack([torch.as_tensor(item[key]) for item in items]) for key in BOTH}


def by_batch(augment: Compose, batch: Batch, places: list[tuple[int, int]], seed: int = 5) -> Batch:
    """What is made of all of them at once; nothing may be left to be run slice by slice."""
    ours = AugmentByPlace(augment, seed, ("image", "label"))
    _, *shape = batch["image"].shape
    assert ours.one_by_one(tuple(shape)) == ()
    found = {key: value.clone() for key, value in batch.items()}
    ours(found, ours.draw(places, tuple(shape)))
    return found


def assert_same(found: Batch, expected: Batch, within: float = 1e-5) -> None:
    torch.testing.assert_close(found["image"], expected["image"].float(), atol=within, rtol=0)
    assert torch.equal(found["label"].float(), expected["label"].float())


NUMBERED = [(kind, number) for kind, cases in CASES.items() for number in range(len(cases))]


@pytest.mark.parametrize(("kind", "number"), NUMBERED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_batch_is_what_monai_makes_of_each_slice(kind: type, number: int) -> None:
    for shape in ((2, 20, 20),) if kind is RandRotate90d else ((2, 24, 18), (1, 17, 21)):
        batch, places = made_up(shape), [(1, index) for index in range(ROWS)]
        expected = one_by_one(Compose([CASES[kind][number]()]), batch, places)
        assert_same(by_batch(Compose([CASES[kind][number]()]), batch, places), expected)


def test_every_form_is_compared() -> None:
    assert set(CASES) == {kind for kind in FORMS if kind.__module__.startswith("monai.")}


def several() -> Compose:
    return Compose(
        [
            RandFlipd(BOTH, prob=0.5, spatial_axis=0),
            RandAffined(BOTH, prob=0.6, rotate_range=0.5, mode=MODES, padding_mode="zeros"),
            RandScaleIntensityd(IMAGE, 0.3, prob=0.5, channel_wise=True),
            RandShiftIntensityd(IMAGE, 0.3, prob=0.5),
        ]
    )


def test_several_in_a_row_are_too() -> None:
    batch, places = made_up((3, 26, 22)), [(4, 3 * index) for index in range(ROWS)]

    assert_same(by_batch(several(), batch, places), one_by_one(several(), batch, places))


class Doubled(MapTransform):
    """A transform of another package, that draws nothing."""

    def __call__(self, data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {**data, **{key: data[key] * 2 for key in self.key_iterator(data)}}


class OwnFlipd(RandFlipd):
    """Built on one of MONAI, and another."""

    def __call__(self, data: Any, lazy: bool | None = None) -> Any:
        return Doubled(IMAGE)(super().__call__(data, lazy))


def mixed() -> Compose:
    return Compose(
        [
            OwnFlipd(BOTH, prob=0.5),
            RandAffined(BOTH, prob=0.6, rotate_range=0.5, mode=MODES, padding_mode="zeros"),
            RandGridDistortiond(BOTH, prob=0.7, mode=MODES),
            Doubled(IMAGE),
            RandShiftIntensityd(IMAGE, 0.3, prob=0.5),
        ]
    )


def test_what_has_no_form_is_run_slice_by_slice_in_its_place() -> None:
    batch, places = made_up((2, 26, 22)), [(4, index) for index in range(ROWS)]
    ours = AugmentByPlace(mixed(), 5, ("image", "label"))
    assert ours.one_by_one((2, 26, 22)) == ("OwnFlipd", "RandGridDistortiond", "Doubled")
    found = {key: value.clone() for key, value in batch.items()}
    ours(found, ours.draw(places, (2, 26, 22)))

    assert_same(found, one_by_one(mixed(), batch, places))
