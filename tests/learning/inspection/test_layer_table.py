from __future__ import annotations

import pytest
import torch
from monai.networks import nets
from torch import nn

from medseg.errors import ModelError
from medseg.learning.inspection.layer_table import describe
from medseg.learning.networks import ClassicUNet, EncoderDecoder


def at(table, name):
    return next(i for i, row in enumerate(table.layers) if row.name == name)


NETWORKS = {
    "encoder-decoder": (EncoderDecoder, (1, 16, 16)),
    "classic": (lambda: ClassicUNet(filters=1, batch_norm=True, dropout=0.2), (3, 16, 32)),
    "unet": (lambda: nets.UNet(2, 1, 2, (4, 8, 16), (2, 2), num_res_units=2, norm="batch"), (1, 16, 16)),
    "basic": (lambda: nets.BasicUNet(2, 1, 2, features=(4, 4, 8, 8, 8, 4)), (1, 32, 32)),
    "dense": (lambda: nets.DenseNet121(spatial_dims=2, in_channels=1, out_channels=3), (1, 32, 32)),
    "residual": (lambda: nets.SegResNet(2, 8, 1, 2), (1, 32, 32)),
    "attention": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (3, 8)),
}


@pytest.mark.filterwarnings("ignore:.*post_activation.*")
@pytest.mark.parametrize("name", NETWORKS)
def test_rows_add_up_to_the_network(name):
    make, shape = NETWORKS[name]
    network = make()
    next(network.parameters()).requires_grad_(False)
    table = describe(network, shape)
    assert sum(row.parameters for row in table.layers) == table.parameters
    assert table.parameters == sum(p.numel() for p in network.parameters())
    assert sum(row.trainable for row in table.layers) == table.trainable
    assert table.trainable == sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert table.activation_bytes == sum(row.activation_bytes for row in table.layers)
    assert table.weights_bytes == sum(t.nbytes for t in (*network.parameters(), *network.buffers()))
    assert all(join < place for place, row in enumerate(table.layers) for join in row.joins)
    with torch.no_grad():
        given = network.eval()(torch.zeros(1, *shape))
    assert table.output_shape == tuple((given[0] if isinstance(given, tuple) else given).shape[1:])


class Odd(nn.Module):
    """Random even in evaluation, counts its calls, has a module in each mode."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.BatchNorm2d(1).eval()
        self.free = nn.BatchNorm2d(1)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, image):
        self.calls += 1
        return self.free(self.frozen(image)) + torch.rand(1)


def test_the_network_is_left_as_it_was():
    network = Odd()
    network.free.register_forward_hook(lambda *_: None)
    hooks = len(network.free._forward_hooks)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random = torch.get_rng_state()
    describe(network, (1, 4, 4))
    assert [network.training, network.frozen.training, network.free.training] == [True, False, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)
    assert len(network.free._forward_hooks) == hooks
    for module in network.modules():
        assert not module._forward_pre_hooks
        assert all(p.grad is None for p in module.parameters())


def test_a_shape_that_is_not_taken_is_refused_and_leaves_no_trace():
    network = EncoderDecoder()
    with pytest.raises(ModelError, match="multiples of 4"):
        describe(network, (1, 6, 6))
    assert network.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in network.modules())


def test_skips_of_the_classic_unet_join_the_level_beside_and_the_level_below():
    table = describe(ClassicUNet(filters=1), (3, 16, 16))
    for level in range(4):
        row = table.layers[at(table, f"decoder.{level}.level.0")]
        beside = 3 - level
        last = max(i for i, r in enumerate(table.layers) if r.name.startswith(f"encoder.{beside}."))
        assert row.joins == (last, at(table, f"decoder.{level}.up"))
    assert sum(bool(row.joins) for row in table.layers) == 4


def test_skips_and_residuals_of_monais_unet_are_found():
    network = nets.UNet(2, 1, 1, (4, 8, 16), (2, 2), num_res_units=2)
    table = describe(network, (1, 16, 16))
    residual, unit = at(table, "model.0.residual"), at(table, "model.0.conv.unit1.adn.A")
    assert table.layers[at(table, "model.1.submodule.0.residual")].joins == (residual, unit)
    top = table.layers[at(table, "model.2.0.conv")].joins
    assert {residual, unit} < set(top)
    below = {at(table, "model.1.submodule.2.1.residual"), at(table, "model.1.submodule.2.1.conv.unit0.adn.A")}
    assert set(top) == {residual, unit} | below
    assert table.joins == (at(table, "model.2.1.residual"), at(table, "model.2.1.conv.unit0.conv"))


def test_a_dense_layer_joins_all_before_it():
    table = describe(nets.DenseNet121(spatial_dims=2, in_channels=1, out_channels=2), (1, 32, 32))
    block = "features.denseblock1"
    pool = at(table, "features.pool0")
    convolutions = [at(table, f"{block}.denselayer{i}.layers.conv2") for i in range(1, 6)]
    row = table.layers[at(table, f"{block}.denselayer6.layers.norm1")]
    assert row.joins == (pool, *convolutions)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))
        self.layer = nn.Conv2d(1, 1, 3, padding=1)
        self.tied = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.tied.weight = self.layer.weight
        self.unused = nn.Linear(2, 2)
        self.relu = nn.ReLU(inplace=True)
        self.end = nn.Conv2d(3, 1, 1)

    def forward(self, image):
        one = self.layer(image)
        two = self.relu(self.layer(one))
        joined = torch.cat([one, nn.functional.pad(two, (0, 0, 0, 0)), self.tied(two)], dim=1)
        return self.end(joined * self.scale[:, None, None]) + 1


def test_what_is_used_twice_stands_twice_and_counts_once():
    table = describe(Twice(), (1, 4, 4))
    rows = [(row.name, row.parameters, row.joins) for row in table.layers]
    assert rows == [
        ("", 3, ()),
        ("layer", 10, ()),
        ("layer", 0, ()),
        ("relu", 0, ()),
        ("tied", 0, ()),
        ("end", 4, (1, 3, 4)),
        ("unused", 6, ()),
    ]
    assert table.layers[-1].shape is None
    assert table.layers[0].shape == (1, 4, 4)
    assert table.parameters == 23


def test_memory_is_that_of_new_outputs_for_one_image():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True), nn.Dropout(), nn.Flatten())
    network.append(nn.Linear(4 * 16, 2))
    table = describe(network, (1, 4, 4))
    assert [row.activation_bytes for row in table.layers] == [4 * 4 * 16, 0, 0, 0, 8]
    assert [row.shape for row in table.layers] == [(4, 4, 4), (4, 4, 4), (4, 4, 4), (64,), (2,)]
    assert table.input_shape == (1, 4, 4)


def test_half_precision_is_described_as_it_is():
    network = nn.Sequential(nn.Linear(4, 2)).to(torch.bfloat16)
    table = describe(network, (4,))
    assert (table.weights_bytes, table.activation_bytes) == (20, 4)
