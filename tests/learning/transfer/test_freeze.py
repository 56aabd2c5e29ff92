from __future__ import annotations

import copy
from functools import partial

import pytest
import torch
from torch import nn

from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import Batches, SliceDataset
from medseg.learning.training.engine.parts import Watch
from medseg.learning.training.fit import fit
from medseg.learning.training.memory import MemoryNeed, measure_need
from medseg.learning.training.optimiser import make_optimiser
from medseg.learning.training.plan import Plan
from medseg.learning.transfer.freeze import counted, frozen, frozen_part, still_statistics, trained_blocks
from medseg.testing.cases import slice_store

CPU = torch.device("cpu")
CLASSES = ("background", "edge", "core")
SHAPE = (2, 16, 16)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, told apart from a real one."""


def make_network(seed=0):
    """Two blocks of convolution, batch normalisation and dropout, and a head."""
    torch.manual_seed(seed)
    block = lambda given: (nn.Conv2d(given, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.3))  # noqa: E731
    return nn.Sequential(*block(2), *block(6), nn.Conv2d(6, 3, 1))


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network, before):
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


FIRST = {
    "0.weight",
    "0.bias",
    "1.weight",
    "1.bias",
    "1.running_mean",
    "1.running_var",
    "1.num_batches_tracked",
}
SECOND = {
    "4.weight",
    "4.bias",
    "5.weight",
    "5.bias",
    "5.running_mean",
    "5.running_var",
    "5.num_batches_tracked",
}
HEAD = {"8.weight", "8.bias"}
TRAINED = {"features": HEAD, 1: HEAD | SECOND, 2: HEAD | SECOND | FIRST, None: HEAD | SECOND | FIRST}


def part_of(network, freeze):
    given = {"all_but_last_blocks": freeze} if isinstance(freeze, int) else freeze
    return frozen_part(network, SHAPE, trained_blocks(given))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return slice_store(tmp_path_factory.mktemp("store"), {"a": "train", "b": "train", "c": "val", "d": "val"})


def train(store, folder, network, *, epochs=2, watch=None, **plan):
    def batches(role):
        data = SliceDataset(store, store.role(role), augment=None, seed=11, keep_on=None)
        return Batches(data, batch_size=3, seed=11, shuffle=role == "train")

    return fit(
        network,
        ClassMasks(CLASSES),
        batches("train"),
        batches("val"),
        plan=Plan(epochs, partial(torch.optim.AdamW, lr=5e-3, weight_decay=0.1), **plan),
        device=CPU,
        seed=5,
        folder=folder,
        need=MemoryNeed(100, 10),
        watch=watch or Watch(),
    )


@pytest.mark.parametrize("freeze", TRAINED)
def test_after_training_what_was_frozen_is_the_same_bit_for_bit_and_all_else_is_not(store, tmp_path, freeze):
    """Running statistics too, although the trainer puts the network into training mode at each batch."""
    network = make_network()
    before = state(network)
    with frozen(network, part_of(network, freeze)):
        train(store, tmp_path, network)
    assert changed(network, before) == TRAINED[freeze]


@pytest.mark.parametrize("freeze", ["features", 1])
def test_dropout_of_the_frozen_part_is_off_and_of_the_rest_on(freeze):
    network = make_network()
    drops = {name: [] for name in ("3", "7")}
    for name, seen in drops.items():
        network.get_submodule(name).register_forward_hook(
            lambda _, given, out, seen=seen: seen.append(torch.equal(given[0], out))
        )
    with frozen(network, part_of(network, freeze)):
        for _ in range(8):
            network.train()
            network(torch.rand(2, *SHAPE))
    drops = {name: seen[-8:] for name, seen in drops.items()}
    assert all(drops["3"])
    assert all(drops["7"]) == (freeze == "features")


def test_a_frozen_part_gives_what_it_gives_in_evaluation_mode():
    network = make_network()
    image = torch.rand(2, *SHAPE)
    expected = network.eval()(image)
    with frozen(network, part_of(network, "features")):
        assert torch.equal(network.train()(image), expected)
    assert not torch.equal(network.train()(image), expected)


def test_a_copy_of_a_frozen_network_stands_still_by_itself():
    network = make_network()
    with frozen(network, part_of(network, "features")):
        other = copy.deepcopy(network)
    before = state(other)
    other.train()(torch.rand(2, *SHAPE))
    assert not changed(other, before)
    network.train()(torch.rand(2, *SHAPE))
    assert changed(network, before)


@pytest.mark.parametrize("fails", [False, True])
def test_afterwards_everything_is_as_it_was(fails):
    network = make_network()
    network[0].bias.requires_grad_(False)
    network.train()
    network[5].eval()
    needed = [parameter.requires_grad for parameter in network.parameters()]
    modes = [module.training for module in network.modules()]
    try:
        with frozen(network, part_of(network, 1)):
            network(torch.rand(2, *SHAPE))
            if fails:
                raise Interrupted
    except Interrupted:
        assert fails
    assert [parameter.requires_grad for parameter in network.parameters()] == needed
    assert [module.training for module in network.modules()] == modes
    assert not network._forward_pre_hooks


def test_nothing_frozen_changes_nothing():
    network = make_network()
    with frozen(network, ()):
        assert all(parameter.requires_grad for parameter in network.parameters())
        assert not network._forward_pre_hooks


def test_the_optimiser_holds_only_what_is_trained():
    network = make_network()
    with frozen(network, part_of(network, "features")):
        optimiser, _ = make_optimiser(network, Plan(1, partial(torch.optim.SGD, lr=0.1)), steps=1)
        assert counted(network) == (6 * 3 + 3, sum(p.numel() for p in network.parameters()))
    held = [id(parameter) for group in optimiser.param_groups for parameter in group["params"]]
    assert held == [id(network[8].weight), id(network[8].bias)]


def test_memory_for_the_way_back_is_counted_for_the_trained_part_alone():
    network = make_network()
    loss = ClassMasks(CLASSES).loss()
    whole = measure_need(network, loss, SHAPE)
    with frozen(network, part_of(network, "features")):
        head = measure_need(network, loss, SHAPE)
    trained, every = 21 * 4, 4 * sum(p.numel() for p in network.parameters())
    assert (whole.fixed, head.fixed) == (4 * every, every + 3 * trained)
    assert head.each < whole.each / 2


def two_stages(store, folder, *, stop=None):
    """All parts, then the head: gradients of the first stage must not count in the norm of the second."""
    network = make_network()
    train(store, folder / "all", network, epochs=1)

    def watched(row):
        if stop == row["epoch"]:
            raise Interrupted

    with frozen(network, part_of(network, "features")):
        train(store, folder / "head", network, epochs=3, clip=0.05, watch=Watch(epoch_done=watched))
    return network


@pytest.mark.parametrize("stop", [1, 2])
def test_a_training_that_goes_on_ends_as_if_it_had_not_been_interrupted(store, tmp_path, stop):
    whole = two_stages(store, tmp_path / "whole")
    with pytest.raises(Interrupted):
        two_stages(store, tmp_path / "cut", stop=stop)
    resumed = two_stages(store, tmp_path / "cut")
    assert not changed(resumed, state(whole))


@pytest.mark.parametrize(
    ("freeze", "blocks"), [(None, None), ("features", 0), ({"all_but_last_blocks": 3}, 3)]
)
def test_freezing_is_said_in_one_of_three_ways(freeze, blocks):
    assert trained_blocks(freeze) == blocks


@pytest.mark.parametrize(
    "freeze",
    [
        "all",
        "",
        1,
        True,
        ["features"],
        {},
        {"all_but_last_blocks": 0},
        {"all_but_last_blocks": -1},
        {"all_but_last_blocks": True},
        {"all_but_last_blocks": 1.0},
        {"all_but_last_blocks": "2"},
        {"last": 1},
        {"all_but_last_blocks": 1, "more": 2},
    ],
)
def test_any_other_way_is_refused(freeze):
    with pytest.raises(ValueError, match=r"expected `features`, `\{all_but_last_blocks: N\}`"):
        trained_blocks(freeze)


def test_more_blocks_than_there_are_are_refused_with_their_names():
    with pytest.raises(
        DefinitionError, match=r"at\.all_but_last_blocks is 3; Sequential has 2 blocks.*: 0, 4\."
    ):
        frozen_part(make_network(), SHAPE, 3, at="at")


def test_a_network_without_a_known_head_is_refused_where_it_was_asked_for():
    with pytest.raises(DefinitionError, match=r"^steps\.fit\.freeze: it is not known"):
        frozen_part(nn.Conv2d(2, 3, 1), SHAPE, 0, at="steps.fit.freeze")
    assert frozen_part(nn.Conv2d(2, 3, 1), SHAPE, None) == ()


def test_still_statistics_stay_while_weights_of_normalisation_are_trained():
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3),
        torch.nn.BatchNorm2d(3),
        torch.nn.ReLU(),
        torch.nn.Dropout(0.5),
        torch.nn.Flatten(),
    )
    norm, image = network[1], torch.randn(4, 1, 8, 8) * 5 + 3
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    with still_statistics(network, still=True):
        network.train()  # as the trainer does in each iteration
        network(image).square().sum().backward()
        assert network[3].training
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())
    assert norm.weight.grad.abs().sum() > 0
    network.train()
    network(image)
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_moving_statistics_move():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(1))
    with still_statistics(network, still=False):
        network.train()
        network(torch.randn(4, 1, 8, 8) + 3)
    assert network[0].running_mean.abs().sum() > 0
