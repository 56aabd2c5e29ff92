from __future__ import annotations

from functools import partial

import pytest
import torch
from monai.networks.nets import DenseNet121, UNet

from medseg.learning.training.engine.on_cuda import as_it_computes, device_lost, fused, is_lost, layout

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def unet(norm):
    return UNet(2, 1, 2, (4, 8), (2,), norm=norm)


@pytest.mark.parametrize("norm", ["instance", ("group", {"num_groups": 2})])
def test_channels_stay_first_where_they_are_normalised_one_by_one(norm: object) -> None:
    assert layout(unet(norm), CUDA) == torch.contiguous_format


def test_channels_come_last_for_batch_normalisation() -> None:
    assert layout(unet("batch"), CUDA) == torch.channels_last
    assert layout(DenseNet121(2, 1, 2), CUDA) == torch.channels_last


def test_a_cpu_keeps_what_it_has() -> None:
    adam = partial(torch.optim.Adam, lr=0.1)
    assert layout(unet("batch"), CPU) == torch.contiguous_format
    assert fused(adam, CPU) is adam


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD])
def test_optimisers_with_one_kernel_take_it(kind: type) -> None:
    for make in (kind, partial(kind, lr=0.1)):
        made = fused(make, CUDA)(params=[torch.zeros(2)])
        assert made.defaults["fused"] is True


@pytest.mark.parametrize(
    "own", [{"fused": False}, {"foreach": True}, {"capturable": True}, {"differentiable": True}]
)
def test_a_declared_way_stays(own: dict[str, bool]) -> None:
    make = partial(torch.optim.AdamW, **own)
    assert fused(make, CUDA) is make


def test_other_optimisers_are_left_alone() -> None:
    class Own(torch.optim.AdamW):
        pass

    for kind in (torch.optim.Adagrad, torch.optim.RMSprop, Own):
        assert fused(kind, CUDA) is kind


def test_a_state_of_another_device_does_not_change_how_it_computes_here() -> None:
    weight = torch.nn.Parameter(torch.zeros(2))
    there = torch.optim.AdamW([weight], lr=0.3, fused=True)
    here = torch.optim.AdamW([weight], lr=0.1)
    again = as_it_computes(here)

    here.load_state_dict(there.state_dict())
    assert here.param_groups[0]["fused"] is True
    again()

    assert here.param_groups[0]["fused"] is None
    assert here.param_groups[0]["lr"] == 0.3


def test_a_lost_device_is_told_from_other_errors() -> None:
    lost = RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ...")

    assert is_lost(lost)
    assert not is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    text = str(device_lost(CUDA, lost))
    assert "unspecified launch failure. What was trained is kept" in text
    assert "kernel errors" not in text
