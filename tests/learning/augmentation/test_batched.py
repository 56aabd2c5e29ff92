"""What transforms make of a batch is what MONAI makes of each slice of it alone."""

from __future__ import annotations

import inspect
import itertools
import pickle
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
    Rand2DElasticd,
    RandAdjustContrastd,
    RandAffined,
    RandAxisFlipd,
    RandCoarseDropoutd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandGridDistortiond,
    RandHistogramShiftd,
    RandRotate90d,
    RandRotated,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
    RandSimulateLowResolutiond,
    RandSpatialCropd,
    RandStdShiftIntensityd,
    RandZoomd,
)
from monai.transforms.transform import RandomizableTransform

from medseg.errors import DefinitionError
from medseg.learning.augmentation.batched import noise, table
from medseg.learning.augmentation.batched.form import Drawn, OfImage
from medseg.learning.augmentation.batched.table import FORMS
from medseg.learning.augmentation.by_place import AugmentByPlace
from medseg.learning.augmentation.sending import packed, taken_apart

BOTH, IMAGE = ["image", "label"], ["image"]
MODES = ["bilinear", "nearest"]
ROWS = 9
MOVES = (RandAffined, RandRotated, RandZoomd, Rand2DElasticd)

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
    RandRotated: [
        *each_option(
            RandRotated,
            {"keys": BOTH, "prob": 0.7, "range_x": 0.6},
            mode=[MODES, ["bicubic", "nearest"], "nearest"],
            padding_mode=["zeros", "border", "reflection"],
            align_corners=[False, True, [True, False]],
        ),
        lambda: RandRotated(BOTH, range_x=(1.5, 1.6), range_y=0.3, prob=0.7, mode=MODES),
        lambda: RandRotated(BOTH, range_x=(np.pi / 2, np.pi / 2), prob=0.7, mode=MODES),
    ],
    RandZoomd: [
        *each_option(
            RandZoomd,
            {"keys": BOTH, "prob": 0.7, "min_zoom": 0.7, "max_zoom": 1.4},
            mode=[["area", "nearest"], ["bilinear", "nearest-exact"], ["nearest", "nearest"]],
            padding_mode=["edge", "constant", "reflect"],
        ),
        lambda: RandZoomd(
            BOTH,
            prob=0.9,
            min_zoom=(0.7, 1.0),
            max_zoom=(0.9, 1.4),
            mode=["bicubic", "nearest"],
            align_corners=[True, None],
        ),
        lambda: RandZoomd(IMAGE, prob=0.7, min_zoom=0.9, max_zoom=1.1),
    ],
    Rand2DElasticd: [
        *each_option(
            Rand2DElasticd,
            {"keys": BOTH, "prob": 0.7, "magnitude_range": (1, 2)},
            spacing=[(8, 8), (5, 7), 6],
            mode=[MODES, ["bicubic", "nearest"]],
            padding_mode=["zeros", "border"],
        ),
        lambda: Rand2DElasticd(
            BOTH,
            spacing=(6, 6),
            magnitude_range=(0, 1),
            prob=0.7,
            rotate_range=0.4,
            scale_range=0.2,
            shear_range=0.1,
            translate_range=2,
            mode=MODES,
        ),
    ],
    RandStdShiftIntensityd: list(
        each_option(
            RandStdShiftIntensityd,
            {"keys": IMAGE, "prob": 0.7, "factors": 0.8},
            nonzero=[False, True],
            channel_wise=[False, True],
        )
    ),
    RandScaleIntensityFixedMeand: list(
        each_option(
            RandScaleIntensityFixedMeand,
            {"keys": IMAGE, "prob": 0.7, "factors": (-0.4, 0.6)},
            fixed_mean=[False, True],
            preserve_range=[False, True],
            channel_wise=[False, True],
        )
    ),
    RandAdjustContrastd: list(
        each_option(
            RandAdjustContrastd,
            {"keys": IMAGE, "prob": 0.7},
            gamma=[2.5, (0.6, 1.7)],
            invert_image=[False, True],
            retain_stats=[False, True],
        )
    ),
    RandHistogramShiftd: list(
        each_option(RandHistogramShiftd, {"keys": IMAGE, "prob": 0.7}, num_control_points=[3, 10, (4, 8)])
    ),
    RandGaussianNoised: list(
        each_option(
            RandGaussianNoised,
            {"keys": IMAGE, "prob": 0.7, "std": 0.3},
            mean=[0.0, 0.2],
            sample_std=[True, False],
            dtype=[np.float32, None],
        )
    ),
    RandGaussianSmoothd: [
        *each_option(
            RandGaussianSmoothd, {"keys": IMAGE, "prob": 0.7}, approx=["erf", "sampled", "scalespace"]
        ),
        lambda: RandGaussianSmoothd(IMAGE, sigma_x=(0.05, 3), sigma_y=(1, 1), prob=0.9),
    ],
    RandSimulateLowResolutiond: list(
        each_option(
            RandSimulateLowResolutiond,
            {"keys": IMAGE, "prob": 0.7, "zoom_range": (0.3, 0.9)},
            downsample_mode=["nearest", "area", "bilinear"],
            upsample_mode=["bilinear", "bicubic", "nearest"],
            align_corners=[False, True],
        )
    ),
    RandCoarseDropoutd: [
        *each_option(
            RandCoarseDropoutd,
            {"keys": BOTH, "prob": 0.7, "holes": 2, "spatial_size": (4, 3), "fill_value": 0},
            dropout_holes=[True, False],
            max_holes=[None, 5],
            max_spatial_size=[None, (9, 7)],
        ),
        lambda: RandCoarseDropoutd(IMAGE, holes=3, spatial_size=5, fill_value=-0.7, prob=0.7),
    ],
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


@pytest.fixture
def monais_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The field of noise that MONAI would draw, in place of that of torch."""
    states: dict[int, np.random.RandomState] = {}
    drawn = noise.GaussianNoise.draw

    def remembered(self: Any, seed: int) -> Any:
        found = drawn(self, seed)
        if found is None:
            return None
        state = np.random.RandomState(seed)
        state.rand()
        if self.transform.rand_gaussian_noise.sample_std:
            state.uniform()
        states[found["seed"]] = state
        return found

    def of_monai(seeds: Any, like: torch.Tensor) -> Iterator[torch.Tensor]:
        for seed in seeds.tolist():
            yield torch.from_numpy(states[seed].normal(size=like.shape)).float()

    monkeypatch.setattr(noise.GaussianNoise, "draw", remembered)
    monkeypatch.setattr(noise, "standard_normal", of_monai)


@pytest.mark.usefixtures("monais_noise")
@pytest.mark.parametrize(("kind", "number"), NUMBERED, ids=lambda each: getattr(each, "__name__", str(each)))
def test_a_batch_is_what_monai_makes_of_each_slice(kind: type, number: int) -> None:
    shapes = [(2, 20, 20) if kind is RandRotate90d else (2, 24, 18), (1, 17, 21)]
    for shape in shapes if kind in MOVES else shapes[:1]:
        batch, places = made_up(shape), [(1, index) for index in range(ROWS)]
        augment = CASES[kind][number]()
        expected = one_by_one(Compose([augment]), batch, places)
        assert torch.equal(expected["image"], batch["image"]) == (augment.prob == 0)
        assert_same(by_batch(Compose([CASES[kind][number]()]), batch, places), expected)


@pytest.mark.parametrize(
    "transform",
    [
        RandAffined(BOTH, prob=1.0, rotate_range=0.5, scale_range=0.2, shear_range=0.1, mode=MODES),
        RandRotated(BOTH, prob=1.0, range_x=0.5, mode=MODES),
        Rand2DElasticd(BOTH, (20, 20), (1, 2), prob=1.0, rotate_range=0.3, mode=MODES),
    ],
    ids=lambda each: type(each).__name__,
)
def test_no_label_of_large_slices_is_another(transform: Any) -> None:
    """Among so many, some lie between two pixels to the sixth digit."""
    batch, places = made_up((1, 192, 160), rows=32), [(1, index) for index in range(32)]
    found, expected = (way(Compose([transform]), batch, places) for way in (by_batch, one_by_one))

    assert torch.equal(found["label"].float(), expected["label"].float())


def test_every_form_is_compared() -> None:
    assert set(CASES) == {kind for kind in FORMS if kind.__module__.startswith("monai.")}


def test_a_form_lists_the_arguments_that_its_transform_has() -> None:
    for kind, form in FORMS.items():
        assert set(form.arguments) == set(inspect.signature(kind.__init__).parameters) - {"self"}, kind


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


# --- what decides whether there is a form


def kept_apart(transform: Any, shape: tuple[int, int, int] = (2, 24, 18)) -> bool:
    """Whether a transform is run slice by slice."""
    return bool(AugmentByPlace(Compose([transform]), 5, ("image", "label")).one_by_one(shape))


@pytest.mark.parametrize(
    "transform",
    [
        OwnFlipd(BOTH),
        RandFlipd([*BOTH, "other"]),
        RandFlipd(["image", "image"]),
        RandFlipd(BOTH, spatial_axis=2),
        RandRotate90d(BOTH),  # of slices that are not square
        RandAffined(BOTH, mode="bilinear"),
        RandAffined(BOTH, mode=[3, "nearest"]),
        RandAffined(BOTH, mode=MODES, spatial_size=(24, 18)),
        RandRotated(BOTH, range_x=0.3, mode=MODES, keep_size=False),
        RandRotated(BOTH, range_x=0.3, mode=MODES, dtype=np.float64),
        RandZoomd(BOTH, mode=["area", "area"]),
        RandZoomd(BOTH, mode=["area", "nearest"], constant_values=3),
        RandZoomd(BOTH, mode=["area", "nearest"], keep_size=False),
        Rand2DElasticd(BOTH, (8, 8), (1, 2), mode="bilinear"),
        RandScaleIntensityd(BOTH, factors=0.3),
        RandScaleIntensityd(IMAGE, factors=0.3, dtype=np.float16),
        RandShiftIntensityd(IMAGE, offsets=0.3, safe=True),
        RandShiftIntensityd(IMAGE, offsets=0.3, factor_key="mean"),
        RandSimulateLowResolutiond(IMAGE),  # trilinear, which MONAI refuses of slices
        RandCoarseDropoutd(IMAGE, holes=1, spatial_size=3),  # filled with noise
        RandCoarseDropoutd(BOTH, holes=1, spatial_size=3, fill_value=-1),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_setting_that_no_form_knows_is_left_to_monai(transform: Any) -> None:
    assert kept_apart(transform)


def test_an_argument_of_a_newer_monai_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def newer(self: Any, keys: Any, prob: float = 0.1, spatial_axis: Any = None, tilt: float = 0.0) -> None:
        plain(self, keys, prob, spatial_axis)

    plain = RandFlipd.__init__
    assert not kept_apart(RandFlipd(BOTH))
    monkeypatch.setattr(RandFlipd, "__init__", newer)

    assert kept_apart(RandFlipd(BOTH))


def test_keys_that_may_be_missing_are_passed_over() -> None:
    augment = Compose([RandFlipd([*BOTH, "other"], prob=0.5, allow_missing_keys=True)])
    batch, places = made_up((2, 24, 18)), [(1, index) for index in range(ROWS)]

    assert_same(by_batch(augment, batch, places), one_by_one(augment, batch, places))


def test_a_compose_with_options_of_its_own_is_run_whole() -> None:
    """Such as one that gives a transform twice, which draws on where it stopped."""
    flip = RandFlipd(BOTH, prob=0.5, spatial_axis=0)
    for augment in (Compose([flip, flip]), Compose([flip], map_items=False)):
        ours = AugmentByPlace(augment, 5, ("image", "label"))
        batch, places = made_up((2, 24, 18)), [(1, index) for index in range(ROWS)]
        found = {key: value.clone() for key, value in batch.items()}
        ours(found, ours.draw(places, (2, 24, 18)))

        assert ours.one_by_one((2, 24, 18)) == ("Compose",)
        assert_same(found, one_by_one(augment, batch, places))


class Brighter(RandomizableTransform, MapTransform):
    """A transform of a stranger's package."""

    def __init__(self, keys: Any, prob: float = 0.5) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Any) -> Any:
        self.randomize(None)
        return {**data, "image": data["image"] + 1} if self._do_transform else dict(data)


def test_another_package_gives_a_form_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "FORMS", dict(FORMS))
    assert kept_apart(Brighter(IMAGE))

    @table.by_batch(Brighter)
    class BrighterForm(OfImage):
        arguments = ("keys", "prob")

        def draw(self, seed: int) -> dict[str, Any] | None:
            return {} if self.chosen(seed) else None

        def changed(self, images: torch.Tensor, drawn: Drawn) -> torch.Tensor:
            return images.add_(1)

    batch, places = made_up((2, 24, 18)), [(1, index) for index in range(ROWS)]
    found = by_batch(Compose([Brighter(IMAGE)]), batch, places)
    assert_same(found, one_by_one(Compose([Brighter(IMAGE)]), batch, places))


def test_a_copy_in_another_process_augments_alike() -> None:
    batch, places = made_up((2, 26, 22)), [(4, index) for index in range(ROWS)]
    ours = AugmentByPlace(mixed(), 5, ("image", "label"))
    draws = ours.draw(places, (2, 26, 22))
    copied = pickle.loads(pickle.dumps(ours))  # noqa: S301 - our own
    found, expected = ({key: value.clone() for key, value in batch.items()} for _ in range(2))
    copied(found, pickle.loads(pickle.dumps(copied.draw(places, (2, 26, 22)))))  # noqa: S301
    ours(expected, draws)

    assert_same(found, expected, within=0)


# --- noise, which is not MONAI's


def noisy() -> Compose:
    return Compose([RandGaussianNoised(IMAGE, prob=0.7, std=0.3), RandFlipd(BOTH, prob=0.5)])


def test_noise_depends_on_the_place_alone() -> None:
    batch, places = made_up((2, 24, 18)), [(1, index) for index in range(ROWS)]
    found, again = by_batch(noisy(), batch, places), by_batch(noisy(), batch, places)
    turned = by_batch(noisy(), {key: value.flip(0) for key, value in batch.items()}, places[::-1])
    added = found["image"] - by_batch(Compose([noisy().transforms[1]]), batch, places)["image"]

    assert torch.equal(found["image"], again["image"])
    assert torch.equal(found["image"], turned["image"].flip(0))
    assert len(added.flatten(1).std(1).unique()) > ROWS / 2


def test_noise_takes_no_numbers_from_the_generator_of_the_network() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    by_batch(noisy(), made_up((2, 24, 18)), [(1, index) for index in range(ROWS)])

    assert torch.equal(torch.get_rng_state(), before)


def test_a_field_of_noise_is_normal() -> None:
    fields = torch.stack(list(noise.standard_normal(np.arange(50), torch.empty(2, 40, 40))))

    assert abs(fields.mean().item()) < 0.01
    assert abs(fields.std().item() - 1) < 0.01
    assert abs(torch.corrcoef(fields.flatten(1)) - torch.eye(50)).max() < 0.1


# --- batches


@pytest.mark.parametrize("augment", [several, mixed, noisy], ids=lambda each: each.__name__)
def test_batches_of_another_size_or_order_have_the_same_slices(augment: Callable[[], Compose]) -> None:
    batch, places = made_up((2, 26, 22)), [(2, index) for index in range(ROWS)]
    shape, order = (2, 26, 22), torch.randperm(ROWS, generator=torch.Generator().manual_seed(1)).tolist()
    ours = AugmentByPlace(augment(), 5, ("image", "label"))
    whole = {key: value.clone() for key, value in batch.items()}
    ours(whole, ours.draw(places, shape))
    for start in range(0, ROWS, 5):
        rows = order[start : start + 5]
        part = {key: value[rows] for key, value in batch.items()}
        ours(part, ours.draw([places[row] for row in rows], shape))
        for key in BOTH:
            torch.testing.assert_close(part[key], whole[key][rows], atol=1e-6, rtol=0)


def test_slices_with_a_predicted_truth_go_through_their_own_transforms() -> None:
    batch, places = made_up((2, 26, 22)), [(2, index) for index in range(ROWS)]
    ours = AugmentByPlace(several(), 5, ("image", "label"), mixed())
    pseudo = [index % 3 == 0 for index in range(ROWS)]
    found = {key: value.clone() for key, value in batch.items()}
    ours(found, ours.draw(places, (2, 26, 22), pseudo))
    one, other = (one_by_one(augment, batch, places) for augment in (several(), mixed()))
    which = torch.tensor(pseudo)[:, None, None, None]

    assert_same(found, {key: torch.where(which, other[key].float(), one[key].float()) for key in BOTH})


def test_a_transform_that_crops_is_refused_by_name_of_the_setting() -> None:
    ours = AugmentByPlace(Compose([RandSpatialCropd(BOTH, (5, 5), random_size=False)]), 5, ("image", "label"))
    batch = made_up((2, 24, 18))
    with pytest.raises(
        DefinitionError, match=r"loading\.augment turns the image of a slice of \(2, 24, 18\)"
    ):
        ours(batch, ours.draw([(1, index) for index in range(ROWS)], (2, 24, 18)))


def test_what_is_sent_in_one_piece_arrives_as_it_was() -> None:
    arrays = [
        {"rows": np.arange(3), "affine": np.random.default_rng(0).random((3, 2, 3), dtype=np.float32)},
        {},
        {"flags": np.array([True, False]), "nothing": np.empty((0, 4)), "factor": np.array([0.5, 2.0])},
    ]
    for given, arrived in zip(arrays, taken_apart(packed(arrays, pinned=False), arrays), strict=True):
        assert list(given) == list(arrived)
        for name, value in given.items():
            np.testing.assert_array_equal(arrived[name].numpy(), value, strict=True)


# --- on a GPU

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def on_cuda(augment: Compose, batch: Batch, places: list[tuple[int, int]]) -> Batch:
    """What is made of a batch on a GPU, which must not be waited for."""
    ours = AugmentByPlace(augment, 5, ("image", "label"))
    _, *shape = batch["image"].shape
    draws = ours.draw(places, tuple(shape))
    for _ in range(2):  # the first may wait, as memory is taken
        found = {key: value.cuda() for key, value in batch.items()}
        ours(found, draws)
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode("error")
        try:
            found = {key: value.pin_memory().to("cuda", non_blocking=True) for key, value in batch.items()}
            ours(found, draws)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    return {key: value.cpu() for key, value in found.items()}


@CUDA
@pytest.mark.parametrize("kind", [kind for kind in CASES if kind is not RandGaussianNoised])
def test_on_cuda_a_batch_is_what_it_is_on_a_processor(kind: type) -> None:
    """Here and there a pixel that lies between two may be another."""
    for case in CASES[kind]:
        batch, places = made_up((2, 64, 64)), [(1, index) for index in range(ROWS)]
        found, expected = (way(Compose([case()]), batch, places) for way in (on_cuda, by_batch))
        for key in BOTH:
            differ = (found[key].float() - expected[key].float()).abs() > 1e-4
            assert differ.float().mean() < 1e-3


@CUDA
def test_on_cuda_noise_depends_on_the_place_alone() -> None:
    batch, places = made_up((2, 64, 64)), [(1, index) for index in range(ROWS)]
    found, again = (on_cuda(noisy(), batch, places) for _ in range(2))
    spreads = [
        (each["image"] - batch["image"]).flatten(1).std(1)
        for each in (found, by_batch(noisy(), batch, places))
    ]

    assert torch.equal(found["image"], again["image"])
    torch.testing.assert_close(*spreads, atol=0.02, rtol=0.05)
