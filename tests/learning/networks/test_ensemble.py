"""Several networks as one give the mean of their logits."""

from __future__ import annotations

import pytest


def test_the_output_is_the_mean_of_the_outputs() -> None:
    import torch
    from torch import nn

    from medseg.learning.networks.ensemble import Ensemble

    networks = [nn.Conv2d(2, 3, 1), nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 3, 5, padding=2)]
    image = torch.rand(4, 2, 8, 6)

    torch.testing.assert_close(
        Ensemble(networks)(image), torch.stack([each(image) for each in networks]).mean(dim=0)
    )


@pytest.mark.parametrize("count", [0, 1])
def test_one_network_is_no_ensemble(count) -> None:
    from torch import nn

    from medseg.learning.networks.ensemble import Ensemble

    with pytest.raises(ValueError, match="expected two or more"):
        Ensemble([nn.Identity()] * count)
