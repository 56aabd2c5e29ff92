"""What a network may take while it is built, and that watching it changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from monai.networks import nets

from medseg.machine import within_memory as module
from medseg.machine.within_memory import TooLargeError, within_memory


def unet():
    torch.manual_seed(0)
    return nets.UNet(2, 1, 2, (4, 8, 16), (2, 2), num_res_units=1, norm="batch")


def test_a_network_and_what_it_computes_are_as_without():
    plain, image = unet().eval(), torch.rand(1, 1, 32, 32)
    with within_memory():
        watched = unet().eval()
    with torch.no_grad(), within_memory():
        given = watched(image)

    assert all(
        torch.equal(a, b)
        for a, b in zip(plain.state_dict().values(), watched.state_dict().values(), strict=True)
    )
    with torch.no_grad():
        assert torch.equal(plain(image), given)


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.nn.Linear(10**7, 10**7),
        lambda: torch.zeros(1).repeat(10**14),
        lambda: torch.arange(10**7)[:, None] * torch.arange(10**7),
        lambda: torch.randperm(10**14),
        lambda: [torch.empty(1000, 1000) for _ in range(10**7)],
        lambda: torch.nn.functional.pad(torch.zeros(1, 1, 8, 8), (10**6,) * 4),
    ],
)
def test_what_is_larger_than_the_memory_is_refused(monkeypatch, make):
    monkeypatch.setattr(module, "available_memory", lambda: 60_000_000)

    with within_memory(), pytest.raises(TooLargeError, match=r"does not fit into memory: it asks for .* GiB"):
        make()


def test_what_stays_may_take_half_of_the_memory_in_all(monkeypatch):
    monkeypatch.setattr(module, "available_memory", lambda: 100_000_000)  # as if nothing of it were taken

    def layers():
        return [torch.zeros(1000, 1000) for _ in range(15)]

    with within_memory():
        layers()
    with within_memory(kept=True), pytest.raises(TooLargeError, match="half of what is free"):
        layers()


def test_views_of_what_is_there_take_nothing(monkeypatch):
    held = torch.zeros(100, 1000, 1000, dtype=torch.uint8)
    monkeypatch.setattr(module, "available_memory", lambda: 0)

    with within_memory():
        assert held.view(-1)[5:].reshape(-1, 5).transpose(0, 1).expand(7, -1, -1).shape == (7, 5, 19999999)


def test_more_tensors_than_a_network_has_are_refused(monkeypatch):
    monkeypatch.setattr(module, "MOST_TENSORS", 50)

    with within_memory(), pytest.raises(TooLargeError, match="more than 50 tensors"):
        nets.UNet(2, 1, 2, (4, 8), (2,), num_res_units=10**7)


IMAGE = torch.rand(2, 4, 6, 6)


@pytest.mark.parametrize(
    "make",
    [
        *(lambda name=name: getattr(torch.nn.functional, name)(IMAGE) for name in
          ("relu", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "mish", "relu6", "hardswish", "hardtanh",
           "hardsigmoid", "softplus", "dropout", "dropout2d", "instance_norm")),
        lambda: torch.nn.functional.prelu(IMAGE, torch.rand(4)),
        lambda: torch.nn.functional.group_norm(IMAGE, 2),
        lambda: torch.nn.functional.layer_norm(IMAGE, (6, 6)),
        lambda: torch.nn.functional.batch_norm(IMAGE, torch.zeros(4), torch.ones(4)),
        lambda: torch.sigmoid(IMAGE),
        lambda: torch.tanh(IMAGE),
        lambda: torch.softmax(IMAGE, 1),
        lambda: IMAGE + IMAGE,
        lambda: IMAGE * torch.rand(6, 1),
        lambda: torch.cat([IMAGE, IMAGE, IMAGE[:1]]),
        lambda: torch.nn.functional.conv2d(IMAGE, torch.rand(3, 4, 3, 3), padding=4),
        lambda: torch.nn.functional.linear(IMAGE, torch.rand(3, 6), torch.rand(3)),
        lambda: torch.nn.functional.linear(input=torch.rand(6), weight=torch.rand(6)),
        lambda: torch.nn.functional.interpolate(IMAGE, 11),
        lambda: torch.nn.functional.interpolate(input=IMAGE, size=(11, 3), mode="bicubic"),
        lambda: torch.nn.functional.interpolate(IMAGE, scale_factor=(1.3, 2), mode="bilinear"),
        lambda: torch.nn.functional.interpolate(IMAGE.double(), size=[torch.tensor(9), torch.tensor(5)]),
        lambda: torch.nn.functional.grid_sample(IMAGE, torch.rand(2, 9, 5, 2), align_corners=False),
        lambda: torch.nn.functional.grid_sample(input=IMAGE, grid=torch.rand(2, 1, 5, 2), align_corners=True),
    ],
)  # fmt: skip
def test_what_a_function_makes_is_known_before_to_the_byte(monkeypatch, make):
    counted = []
    monkeypatch.setattr(module._Weighed, "_count", lambda _, nbytes: counted.append(nbytes))

    with within_memory():
        made = make()

    assert counted[-1] == made.nbytes


@pytest.mark.slow  # a process of its own: torch's compiler may be there already in this one
def test_a_network_is_tried_without_importing_the_compiler_of_torch(tmp_path):
    script = tmp_path / "try.py"
    script.write_text(
        "import sys, torch\n"
        "from torch import nn\n"
        "from medseg.machine.within_memory import within_memory\n"
        "with within_memory(kept=True):\n"  # what a U-Net of MONAI is made of, whose import takes ten seconds
        "    down = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.InstanceNorm2d(4), nn.Dropout(0.1), nn.PReLU())\n"
        "    up = nn.Sequential(nn.ConvTranspose2d(4, 2, 3, 2, 1, 1), nn.BatchNorm2d(2), nn.PReLU())\n"
        "    nn.init.kaiming_normal_(down[0].weight)\n"
        "with torch.no_grad(), within_memory():\n"
        "    found = up(down(torch.zeros(1, 1, 32, 32)))\n"
        "    torch.cat([found, found + found], dim=1)\n"
        "    nn.Linear(32, 2)(found)\n"
        "print('torch._dynamo' in sys.modules)\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
