"""MONAI's transformers for label maps, which need the extra `transformers`, learn and predict in two dimensions."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from medseg.component import build
from medseg.learning.tasks.class_masks import ClassMasks

OURS = {"spatial_dims": 2, "in_channels": 1, "out_channels": 3}
SPECS: dict[str, dict[str, Any]] = {
    "SwinUNETR": {"feature_size": 12, "depths": [1, 1, 1, 1], "num_heads": [1, 1, 1, 1]},
    "UNETR": {"img_size": 64, "feature_size": 4, "hidden_size": 12, "mlp_dim": 12, "num_heads": 2},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_it_learns_a_step_and_predicts(name):
    torch.manual_seed(0)
    spec = {"_target_": f"monai.networks.nets.{name}", **OURS, **SPECS[name]}
    network = build(spec, at="network", kind=torch.nn.Module).train()
    images, label = torch.rand(2, 1, 64, 64), torch.ones(2, 1, 64, 64, dtype=torch.uint8)
    optimiser, loss = torch.optim.SGD(network.parameters(), lr=1e-3), ClassMasks(("a", "b", "c")).loss()
    losses = []
    for _ in range(2):
        optimiser.zero_grad()
        found = loss(network(images), label)
        found.backward()
        optimiser.step()
        losses.append(found.item())

    assert losses[1] < losses[0]
    with torch.no_grad():
        assert network.eval()(images).shape == (2, 3, 64, 64)
