from __future__ import annotations

import os
import subprocess
import sys

import pytest

from medseg.learning.networks import torchvision_operators
from medseg.learning.networks.torchvision_operators import import_torchvision

#: As somebody meets it: torchvision was tried first, and left half imported where it does not fit.
PROGRAM = """
import warnings
warnings.simplefilter("ignore")
try:
    import torchvision
except RuntimeError as error:
    assert "operator torchvision::nms" in str(error)
import torch
from medseg.learning.networks import TimmNetwork
network = TimmNetwork("MobileNetV2", 1, 2, size=[32, 32]).eval()
print(tuple(network(torch.rand(2, 1, 32, 32)).shape))
import torchvision
from torchvision.transforms import functional
print(tuple(functional.hflip(torch.rand(1, 3, 4)).shape))
boxes = torch.tensor([[0.0, 0, 1, 1], [0, 0, 1, 1]])
try:
    print(torchvision.ops.nms(boxes, torch.tensor([1.0, 0.5]), 0.5).tolist())
except RuntimeError as error:
    assert "Couldn't load custom C++ ops" in str(error)
    print([0])
"""


@pytest.mark.slow
def test_a_fresh_process_has_timm_and_torchvision_whatever_was_tried_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.stdout.splitlines() == ["(2, 2)", "(1, 3, 4)", "[0]"], done.stderr


@pytest.mark.parametrize(
    "error", [RuntimeError("another reason"), ImportError("not here"), OSError("no file")]
)
def test_what_cannot_be_mended_is_raised_and_declares_nothing(error, monkeypatch):
    def refuse(name):
        raise error

    monkeypatch.setattr(torchvision_operators, "import_module", refuse)
    monkeypatch.setattr(torchvision_operators, "_kept", [])
    with pytest.raises(type(error), match=str(error)):
        import_torchvision()
    assert torchvision_operators._kept == []


def test_operators_are_declared_once(monkeypatch):
    def refuse(name):
        raise RuntimeError("operator torchvision::another does not exist")

    monkeypatch.setattr(torchvision_operators, "import_module", refuse)
    monkeypatch.setattr(torchvision_operators, "_kept", ["declared before"])
    with pytest.raises(RuntimeError, match="torchvision::another"):
        import_torchvision()
