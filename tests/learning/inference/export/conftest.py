"""A model that takes a thousandth of a second, with all that an ONNX file says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "in_channels": 4,
    "out_channels": 1,
    "channels": [4, 8],
    "strides": [2],
    "norm": "instance",
}
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "nonzero": True}


@pytest.fixture(scope="session")
def tumour(monai_imported):
    """Make a model of one foreground, with a threshold, flips and post-processing."""
    import torch

    from medseg.component import build
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.cleaning import Cleaning
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.binary_mask import BinaryMask
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    manifest = Manifest.from_yaml(Path(__file__).parents[4] / "data_manifests" / "lgg.yaml")
    rule = SliceRule.model_validate({"size": [16, 24], "transforms": [NORMALISE]})
    torch.manual_seed(0)
    spec = UNET | {"in_channels": len(manifest.channels)}
    network = build(spec, at="network", kind=torch.nn.Module).eval()
    made = Predictor(
        network, spec, BinaryMask(manifest.classes), Preparation(manifest.channels, rule), manifest
    )
    return replace(
        made,
        task=made.task.at(0.375),
        about={"pipeline": "tiny", "run": "20260101-000000", "data.kind": "real"},
        flips=((0,), (1,), (0, 1)),
        cleaning=(Cleaning(1, largest=True),),
    )
