"""Every part of a definition is built before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError


@pytest.fixture
def check(monai_imported: None, tiny: tuple[str, ...]) -> Callable[..., Any]:
    from medseg.api import check_pipeline

    return lambda *sets: check_pipeline("brats2d", set=[*tiny, *sets])


def test_a_definition_may_name_the_channel_that_figures_show_and_no_other(check: Callable[..., Any]) -> None:
    assert check("shown=t2").predictor.manifest.shown == "t2"
    assert check().predictor.manifest.shown == Manifest.named("brats2019").shown
    for wrong in ("shown=t9", "shown=t1ce", "channels=[t1, t2]"):
        with pytest.raises(DefinitionError, match="which is not among 'channels': expected one of"):
            check("shown=flair", "channels=[flair, t2]", "network.in_channels=2", wrong)


def test_what_fits_is_built_with_its_parameters_counted(check: Callable[..., Any]) -> None:
    resolved = check()

    assert list(resolved.steps) == ["fit", "evaluate"]
    assert resolved.parameters == sum(p.numel() for p in resolved.predictor.network.parameters())


@pytest.mark.slow
def test_the_first_weights_come_from_the_seed(check: Callable[..., Any]) -> None:
    first, same, other = (check(f"seed={seed}").predictor.network.state_dict() for seed in (1, 1, 2))

    assert all((first[name] == same[name]).all() for name in first)
    assert any((first[name] != other[name]).any() for name in first)


def test_a_blank_batch_leaves_running_statistics_as_they_were(check: Callable[..., Any]) -> None:
    network = check("network.norm=batch").predictor.network
    means = [values for name, values in network.state_dict().items() if name.endswith("running_mean")]

    assert means
    assert all(not values.any() for values in means)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ("slices.size=[33,33]", "slices.size"),
        ("network.in_channels=3", "in_channels"),
        ("network.out_channels=3", "out_channels to 5"),
        ("network.channels=[10000000,10000000]", "at network: .*does not fit into memory: it asks for"),
        ("channels=[flair, t9, t1, t2]", "t9"),
        ("slices.keep.contains=lesion", "lesion"),
        ("slices.keep=5", r"slices\.keep.* is 5, expected all, image, foreground"),
        ("task.regions={a: 1}", r"task\.regions is \{'a': 1\}, expected the class indices"),
        ("task.loss.reduction=none", r"task\.loss"),
        ("task.loss={_target_: torch.nn.BCELoss}", r"task\.loss"),
        ("steps.fit.epochs=0", "epochs"),
        ("steps.fit.precision=float8", "precision"),
        ("steps.fit.optimiser._target_=torch.nn.Linear", "optimiser"),
        ("steps.evaluate.role=holdout", "role"),
        ("steps.evaluate._target_=torch.nn.Linear", "steps.evaluate"),
        ("task._target_=torch.nn.Identity", "task"),
        ("loading.augment.0.prob=maybe", "augment"),
        ("loading.augment.0._target_=monai.transforms.SaveImaged", "SaveImaged"),
        ("slices.transforms.0._target_=monai.transforms.RandFlipd", "slices.transforms"),
        ("network._target_=subprocess.Popen", "subprocess"),
        ("network._target_=monai.networks.nets.unet.torch.hub.load", "network"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(check: Callable[..., Any], wrong: str, word: str) -> None:
    with pytest.raises(DefinitionError, match=word):
        check(wrong)


def test_weights_that_are_made_at_the_first_input_may_take_half_of_the_memory_too(
    monai_imported: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from medseg.machine import within_memory
    from medseg.pipeline.checks.network_check import blank_outputs

    monkeypatch.setattr(within_memory, "available_memory", lambda: 100_000_000)
    network = torch.nn.Sequential(*(torch.nn.LazyConv2d(2000, 1) for _ in range(5)))  # 16 MB each
    asked: Any = SimpleNamespace(inputs=("a",), slices=SimpleNamespace(size=(2, 2)), network={})

    with pytest.raises(DefinitionError, match="half of what is free"):
        blank_outputs(asked, network, training=False)


def test_an_augmentation_that_changes_the_size_is_refused(check: Callable[..., Any]) -> None:
    spec = "{_target_: monai.transforms.CenterSpatialCropd, keys: [image, label], roi_size: [16, 16]}"
    with pytest.raises(
        DefinitionError, match=r"loading\.augment\.0 \(CenterSpatialCropd\) turns slices of \(32, 32\)"
    ):
        check(f"loading.augment=[{spec}]")


def test_what_runs_slice_by_slice_is_named(check: Callable[..., Any]) -> None:
    scale = "{_target_: monai.transforms.RandScaleIntensityd, keys: [image], factors: 0.1}"
    bias = "{_target_: monai.transforms.RandBiasFieldd, keys: [image]}"

    assert check(f"loading.augment=[{scale}, {bias}]").slice_by_slice == ("RandBiasFieldd",)


def test_a_quarter_turn_of_slices_that_are_not_square_is_refused_though_it_is_rare(
    check: Callable[..., Any],
) -> None:
    spec = "{_target_: monai.transforms.RandRotate90d, keys: [image, label], prob: 0.01}"
    check(f"loading.augment=[{spec}]")
    with pytest.raises(DefinitionError, match=r"RandRotate90d\) turns slices of \(32, 48\).*square"):
        check(f"loading.augment=[{spec}]", "slices.size=[32, 48]")


MONAI = "monai.networks.nets"
OURS = "spatial_dims: 2, in_channels: 4, out_channels: 5"
DYNAMIC = (
    f"_target_: {MONAI}.DynUNet, {OURS}, kernel_size: [3, 3, 3], strides: [1, 2, 2], "
    "upsample_kernel_size: [2, 2]"
)
RESIDUAL = "in_channels: 4, out_channels: 5, spatial_dims: 2, init_filters: 4, blocks_down: [1, 1, 1]"


NESTED = f"_target_: {MONAI}.BasicUNetPlusPlus, {OURS}, features: [4, 4, 4, 4, 4, 4], deep_supervision: true"


@pytest.mark.parametrize(
    ("network", "outputs"),
    [
        (f"{{{DYNAMIC}, filters: [4, 4, 8], deep_supervision: true}}", 2),
        (f"{{_target_: {MONAI}.SegResNetDS, {RESIDUAL}, dsdepth: 2}}", 2),
        (f"{{{NESTED}}}", 4),
    ],
)
def test_each_output_of_a_network_is_learned_from_and_the_check_says_so(
    check: Callable[..., Any], network: str, outputs: int
) -> None:
    resolved = check(f"network={network}")

    assert resolved.outputs == outputs
    assert f"{outputs} outputs as it trains" in resolved.supervision


def test_of_a_network_of_one_output_nothing_is_said(check: Callable[..., Any]) -> None:
    assert (check().outputs, check().supervision) == (1, "")


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (
            f"{{_target_: {MONAI}.SegResNetDS2, {RESIDUAL}, dsdepth: 2}}",
            r"SegResNetDS2 gives a tuple of 2 for a batch.*in one list.*network\.dsdepth to 1",
        ),
        (
            f"{{{DYNAMIC}, filters: [4, 4, 8], deep_supervision: true}}".replace(
                "out_channels: 5", "out_channels: 6"
            ),
            r"gives \(2, 6, 32, 32\).*network\.out_channels to 5",
        ),
    ],
)
def test_outputs_that_do_not_fit_are_refused(check: Callable[..., Any], network: str, told: str) -> None:
    with pytest.raises(DefinitionError, match=told):
        check(f"network={network}")


SHIFTED = f"{MONAI}.SwinUNETR, {OURS}, feature_size: 12, depths: [1, 1, 1, 1], num_heads: [1, 1, 1, 1]"
PATCHES = f"{MONAI}.UNETR, {OURS}, img_size: 64, feature_size: 4, hidden_size: 12, mlp_dim: 12, num_heads: 2"


@pytest.mark.parametrize("network", [SHIFTED, PATCHES], ids=["SwinUNETR", "UNETR"])
def test_transformers_are_built_and_need_their_extra(
    check: Callable[..., Any], network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert check(f"network={{_target_: {network}}}", "slices.size=[64,64]").outputs == 1
    monkeypatch.setitem(sys.modules, "einops", None)  # as if it were not installed

    with pytest.raises(
        DefinitionError, match=r"needs einops, which is not installed.*pip install .*`transformers`"
    ):
        check(f"network={{_target_: {network}}}")


@pytest.mark.parametrize(
    "network",
    [
        f"{{{DYNAMIC}, filters: [4, 4, 8], deep_supervision: false}}",
        f"{{_target_: {MONAI}.SegResNetDS, {RESIDUAL}, dsdepth: 1}}",
    ],
)
def test_with_deep_supervision_switched_off_there_is_one_output(
    check: Callable[..., Any], network: str
) -> None:
    assert check(f"network={network}").outputs == 1
