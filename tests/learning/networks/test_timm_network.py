from __future__ import annotations

import logging
import socket

import pytest
import torch
from safetensors.torch import load_file, save_file

from medseg.component import build
from medseg.errors import DefinitionError, ModelError
from medseg.learning.networks import TimmNetwork
from medseg.learning.networks.timm_names import TUTORIAL, import_timm, timm_name

#: Small sides that the architecture takes; batch normalisation of two images needs more than one pixel in all.
SIDES = {"Xception": 32, "InceptionV3": 75, "ResNet50": 32, "VGG16": 32, "VGG19": 32, "MobileNetV2": 32}

#: Sizes, means and standard deviations as torchvision and Keras publish them, as far as timm's weights are theirs.
PUBLISHED = {
    "Xception": ((299, 299), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "InceptionV3": ((299, 299), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "ResNet50": ((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "VGG16": ((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "VGG19": ((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "MobileNetV2": ((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}


@pytest.fixture
def no_connection(monkeypatch):
    met = []

    def refuse(self, address, *rest):
        met.append(address)
        raise OSError("a connection was tried")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return met


@pytest.mark.slow
@pytest.mark.parametrize(
    ("channels", "name"), [(1 + 2 * (place % 2), each) for place, each in enumerate(TUTORIAL)]
)
def test_each_model_of_the_tutorial_builds_trains_a_step_and_predicts(name, channels, no_connection):
    torch.manual_seed(0)
    network = TimmNetwork(name, channels, 2, size=[SIDES[name]] * 2)
    image, label = torch.rand(2, channels, 40, 48), torch.tensor([0, 1])
    first = next(network.model.parameters())
    logits = network(image)
    loss = torch.nn.functional.cross_entropy(logits, label)
    loss.backward()
    assert logits.shape == (2, 2)
    assert first.shape[1] == channels
    assert first.grad.abs().max() > 0
    assert network.head().weight.grad.abs().max() > 0
    before = network.head().weight.detach().clone()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)  # the gradients of Inception start in thousands
    torch.optim.SGD(network.parameters(), 1e-2).step()
    assert not torch.equal(before, network.head().weight)
    network.eval()
    with torch.no_grad():
        found = network(image)
    assert found.shape == (2, 2)
    assert torch.isfinite(found).all()
    assert no_connection == []


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_a_few_steps_make_the_loss_fall(channels):
    torch.manual_seed(0)
    network = TimmNetwork("MobileNetV2", channels, 2, size=[32, 32])
    image, label = torch.rand(6, channels, 32, 32), torch.arange(6) % 2
    image[label == 1, :, :16] += 1
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    losses = []
    for _ in range(8):
        optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(network(image), label)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("name", ["ResNet50", "MobileNetV2", "InceptionV3", "Xception"])
def test_images_get_the_published_size_and_normalisation(name):
    size, mean, std = PUBLISHED[name]
    prepare = TimmNetwork(name, 3, 2).prepare
    image = torch.rand(1, 3, *size)
    expected = torch.stack([(image[:, c] - mean[c]) / std[c] for c in range(3)], dim=1)
    assert torch.allclose(prepare(image), expected, atol=1e-6)
    assert prepare(torch.rand(1, 3, 50, 70)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", TUTORIAL)
def test_published_numbers_are_those_of_timms_own_configuration(name):
    timm = import_timm()
    published = timm.get_pretrained_cfg(timm_name(name))
    assert (published.input_size[1:], published.mean, published.std) == PUBLISHED[name]


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_other_numbers_of_channels_get_the_average(channels):
    prepare = TimmNetwork("MobileNetV2", channels, 2, size=[32, 32]).prepare
    found = prepare(torch.full((1, channels, 32, 32), 0.75))
    mean, std = (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3
    assert torch.allclose(found, torch.tensor((0.75 - mean) / std), atol=1e-6)


def test_resizing_keeps_means_and_does_not_alias():
    """Every third column white: without antialiasing each pixel would show what stands at its middle alone."""
    prepare = TimmNetwork("MobileNetV2", 1, 2, size=[32, 32]).prepare
    stripes = torch.zeros(1, 1, 320, 320)
    stripes[..., ::3] = 1
    found = prepare(stripes) * prepare.std + prepare.mean
    assert float((found - 1 / 3).abs().max()) < 0.05


def test_an_image_of_the_very_size_is_not_resampled(monkeypatch):
    prepare = TimmNetwork("MobileNetV2", 1, 2, size=[32, 48]).prepare
    monkeypatch.setattr(torch.nn.functional, "interpolate", None)
    assert prepare(torch.rand(1, 1, 32, 48)).shape == (1, 1, 32, 48)


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("Xception", "legacy_xception"),
        ("xception", "legacy_xception"),
        ("vgg16", "vgg16"),
        ("RESNET50", "resnet50"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("mobilenetv2_100", "mobilenetv2_100"),
        ("convnext_atto", "convnext_atto"),
    ],
)
def test_names_of_the_tutorial_and_of_timm_are_both_known(given, found):
    assert timm_name(given) == found


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("ResNet51", "no model 'ResNet51'. Did you mean ResNet50 or"),
        ("mobilnetv2_100", "Did you mean mobilenetv2_100 or"),
        ("hf-hub:timm/resnet50", "no model 'hf-hub:timm/resnet50'"),
        ("hf_hub:timm/resnet50", "no model"),
        ("local-dir:/tmp/x", "no model"),
        ("../resnet50", "no model"),
        ("resnet50.nonesuch", "no weights 'nonesuch' of resnet50; expected .*resnet50.a1_in1k"),
        ("", "expected the name of a model"),
        (50, "expected the name of a model"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_and_asks_no_hub(name, message, no_connection):
    with pytest.raises(ValueError, match=message):
        TimmNetwork(name, 1, 2)
    assert no_connection == []


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("InceptionV3", [64, 64]), ("VGG16", [16, 64])])
def test_a_size_that_is_too_small_is_refused_with_the_models_own(name, size):
    own = " x ".join(map(str, PUBLISHED[name][0]))
    with pytest.raises(ValueError, match=rf"size is {size[0]} x {size[1]}.*too small.*{own}"):
        TimmNetwork(name, 1, 2, size=size)


def test_a_transformer_is_built_for_the_size():
    network = TimmNetwork("vit_tiny_patch16_224", 1, 3, size=[32, 48])
    assert network(torch.rand(1, 1, 64, 64)).shape == (1, 3)
    assert network.head() is network.model.head


def test_a_model_with_two_last_layers_is_refused():
    with pytest.raises(ValueError, match="without one last layer"):
        TimmNetwork("deit_tiny_distilled_patch16_224", 1, 2)


def test_auxiliary_logits_of_inception_are_off():
    network = TimmNetwork("InceptionV3", 1, 2, size=[75, 75])
    assert not any("Aux" in name for name, _ in network.named_modules())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"in_channels": 0}, "in_channels is 0"),
        ({"out_channels": "2"}, "out_channels is '2'"),
        ({"dropout": 2}, "dropout is 2"),
        ({"size": 64}, r"size is 64, expected height and width: \[H, W\]"),
    ],
)
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        TimmNetwork("MobileNetV2", **settings)


def test_dropout_reaches_the_model():
    assert TimmNetwork("MobileNetV2", 1, 2, dropout=0.3).model.drop_rate == 0.3


def test_a_spec_builds_it_again_and_its_weights_fit(tmp_path, no_connection):
    spec = {"_target_": "medseg.learning.networks.TimmNetwork", "name": "MobileNetV2", "size": [32, 32]}
    one, other = (
        build(spec, at="network", kind=torch.nn.Module, in_channels=1, out_channels=3) for _ in "12"
    )
    save_file(one.state_dict(), tmp_path / "weights.safetensors")
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    image = torch.rand(2, 1, 40, 40)
    with torch.no_grad():
        assert torch.equal(one.eval()(image), other.eval()(image))
    assert all(name.startswith("model.") for name in one.state_dict())
    assert no_connection == []


def test_weights_in_timms_names_get_those_of_the_network():
    network = TimmNetwork("MobileNetV2", 1, 2, size=[32, 32])
    own = network.state_dict()
    bare = {name.removeprefix("model."): value for name, value in own.items()}
    assert list(network.renamed(bare)) == list(own)
    assert list(network.renamed(own)) == list(own)
    more = {**bare, "AuxLogits.fc.weight": torch.zeros(1)}
    assert "model.AuxLogits.fc.weight" in network.renamed(more)


def test_features_of_a_file_of_timm_fit_a_grey_network_of_other_classes():
    from medseg.learning.transfer.weights import fill

    timm = import_timm()
    torch.manual_seed(0)
    colour = timm.create_model("mobilenetv2_100")
    network = TimmNetwork("MobileNetV2", 1, 2, size=[32, 32]).eval()
    head = network.head().weight.detach().clone()
    given = network.renamed(colour.state_dict())
    filled = fill(network, given, part="features", shape=(1, 32, 32))
    assert set(filled.left) == {"model.classifier.weight", "model.classifier.bias"}
    assert torch.equal(network.model.conv_stem.weight, colour.conv_stem.weight.sum(1, keepdim=True))
    assert torch.equal(network.model.conv_head.weight, colour.conv_head.weight)
    assert torch.equal(network.head().weight, head)


def test_own_weights_come_from_timms_loader_and_only_when_asked(monkeypatch):
    timm = import_timm()
    network = TimmNetwork("MobileNetV2", 1, 2, size=[32, 32])
    made = timm.create_model("mobilenetv2_100")
    asked = []

    def create(name, **settings):
        asked.append((name, settings))
        return made

    monkeypatch.setattr(timm, "create_model", create)
    found = network.own_weights()
    assert asked == [("mobilenetv2_100", {"pretrained": True})]
    assert found["model.conv_stem.weight"].shape == (32, 3, 3, 3)
    assert found["model.classifier.weight"].shape == (1000, 1280)


@pytest.mark.parametrize(("name", "size"), [("MobileNetV2", [32, 32]), ("vit_tiny_patch16_224", [32, 48])])
def test_names_and_shapes_of_own_weights_are_known_without_fetching_them(
    name, size, no_connection, monkeypatch
):
    timm = import_timm()
    network, published = TimmNetwork(name, 1, 2, size=size), timm.create_model(timm_name(name))
    forms = network.own_forms()
    assert no_connection == []
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: published)
    own = network.own_weights()
    assert {key: value.shape for key, value in forms.items()} == {
        key: value.shape for key, value in own.items()
    }


@pytest.mark.parametrize("name", ["MobileNetV2", "Xception"])  # one from the hub, one from an address
def test_without_a_network_the_error_says_how_to_bring_a_file(name, no_connection, monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    logging.getLogger("timm").setLevel(logging.ERROR)
    network = TimmNetwork(name, 1, 2, size=[32, 32])
    with pytest.raises(ModelError, match=r"cannot be fetched: .*safetensors, bring the file.*weights: PATH"):
        network.own_weights()


def test_a_model_without_weights_says_so():
    timm = import_timm()
    name = next(each for each in timm.list_models("resnet*") if not timm.list_pretrained(f"{each}*"))
    network = TimmNetwork(name, 1, 2)
    for ask in (network.own_weights, network.own_forms):
        with pytest.raises(ModelError, match="publishes no weights"):
            ask()


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (
            ImportError("no timm"),
            r"in the folder of medseg's sources, pip install -c constraints\.txt \"\.\[zoo\]\"",
        ),
        (
            RuntimeError("odd"),
            r"torchvision \(\d.*\) does not fit torch \(\d.*install the release of torchvision",
        ),
    ],
)
def test_without_timm_the_error_says_what_to_install(error, remedy, monkeypatch):
    from medseg.learning.networks import timm_names

    def refuse(name):
        raise error

    monkeypatch.setattr(timm_names, "import_module", refuse)
    with pytest.raises(ModelError, match=rf"{error}\. .*{remedy}"):
        TimmNetwork("ResNet50", 1, 2)
    with pytest.raises(DefinitionError, match=rf"at network: .*{remedy}"):
        build(
            {"_target_": "medseg.learning.networks.TimmNetwork", "name": "ResNet50"},
            at="network",
            kind=torch.nn.Module,
        )
