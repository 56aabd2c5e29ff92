"""Networks of several outputs are trained as those of one are: exactly, again, and compiled."""

from __future__ import annotations

from functools import partial, partialmethod
from typing import Any

import pytest
import torch
from monai.networks.nets import DynUNet, SegResNetDS

from medseg.learning.outputs.deep_supervision import DeepSupervision
from medseg.learning.outputs.main_output import with_main_output
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import MemoryNeed, measure_need
from medseg.learning.training.plan import Plan
from medseg.testing.cases import slice_store

CPU = torch.device("cpu")
TASK = ClassMasks(("background", "edge", "core"))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return slice_store(tmp_path_factory.mktemp("store"), {"a": "train", "b": "train", "c": "val"})


def stacked(seed=0, *, deep=True):
    torch.manual_seed(seed)
    settings: dict[str, Any] = {
        "kernel_size": [3, 3, 3],
        "strides": [1, 2, 2],
        "upsample_kernel_size": [2, 2],
    }
    return DynUNet(2, 2, 3, **settings, filters=[4, 4, 8], deep_supervision=deep)


def by_size(seed=0):
    torch.manual_seed(seed)
    return SegResNetDS(2, 4, 2, 3, blocks_down=[1, 1, 1], dsdepth=2, norm="instance")


def train(store, folder, network, *, watch=None, **plan):
    batches = {
        role: Batches(
            SliceDataset(store, store.role(role), augment=None, seed=1, keep_on=None),
            batch_size=3,
            seed=1,
            shuffle=role == "train",
        )
        for role in ("train", "val")
    }
    standing = fit(
        network,
        TASK,
        batches["train"],
        batches["val"],
        plan=Plan(**{"epochs": 2, "optimiser": partial(torch.optim.AdamW, lr=5e-3), **plan}),
        device=CPU,
        seed=5,
        folder=folder,
        need=MemoryNeed(100, 10),
        watch=watch or Watch(),
    )
    return network, standing


@pytest.mark.slow
@pytest.mark.parametrize("make", [stacked, by_size])
def test_an_interrupted_training_ends_as_one_that_was_not(store, tmp_path, make):
    def stop(row):
        if row["epoch"] == 1:
            raise Interrupted

    whole, standing = train(store, tmp_path / "whole", make())
    with pytest.raises(Interrupted):
        train(store, tmp_path / "parts", make(), watch=Watch(epoch_done=stop))
    torch.manual_seed(1234)
    again, resumed = train(store, tmp_path / "parts", make(seed=99))

    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())
    assert [row["train/loss"] for row in standing.history] == [row["train/loss"] for row in resumed.history]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch asks its own outputs for it as it traces
def test_compiled_it_learns_the_same(store, tmp_path, monkeypatch):
    # traced and differentiated as always; the C++ of the default backend takes half a minute
    monkeypatch.setattr(
        torch.nn.Module, "compile", partialmethod(torch.nn.Module.compile, backend="aot_eager")
    )
    plain, compiled = (
        train(store, tmp_path / str(wanted), by_size(), epochs=1, compile=wanted)[1].history[0]
        for wanted in (False, True)
    )

    assert compiled["train/loss"] == pytest.approx(plain["train/loss"], rel=1e-3)
    assert compiled["val/loss"] == pytest.approx(plain["val/loss"], rel=1e-3)


def test_every_head_learns(store, tmp_path):
    before = {name: value.clone() for name, value in stacked().state_dict().items()}
    network, _ = train(store, tmp_path, stacked(), epochs=1)

    heads = [name for name in before if name.startswith("deep_supervision_heads")]
    assert heads
    assert all(not torch.equal(before[name], network.state_dict()[name]) for name in heads)


def test_the_memory_of_all_outputs_is_counted():
    loss = DeepSupervision(TASK.loss())
    networks = (with_main_output(stacked(deep=deep)) for deep in (True, False))
    deep, plain = (measure_need(network, loss, (2, 16, 16)).each for network in networks)

    assert deep > plain
