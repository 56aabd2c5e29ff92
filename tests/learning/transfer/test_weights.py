from __future__ import annotations

import hashlib
import pickle
import zipfile

import numpy as np
import pytest
import torch
from monai.networks import nets
from safetensors.torch import save_file
from torch import nn

from medseg.errors import DefinitionError, ModelError
from medseg.learning.networks import ClassicUNet, EncoderDecoder
from medseg.learning.transfer import reading
from medseg.learning.transfer.parts import encoder_names
from medseg.learning.transfer.weights import fill, load_weights, match, tensors_digest, weights_digest


def state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def packed(path):
    """The same archive, with its parts packed."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def test_a_file_that_unpacks_to_more_than_it_holds_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_PACKED", 1_000_000)
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "a.pt")
    packed(tmp_path / "a.pt")
    with pytest.raises(ModelError, match="unpacks to 400"):
        load_weights(tmp_path / "a.pt")


def test_a_tensor_of_more_numbers_than_its_file_is_refused(tmp_path):
    torch.save({"a": torch.zeros(1).expand(10**12), "b": torch.zeros(3)}, tmp_path / "a.pt")
    with pytest.raises(ModelError, match="no plain state dict: a take more memory than the file holds"):
        load_weights(tmp_path / "a.pt")


def unet(classes=2, channels=1, seed=0):
    torch.manual_seed(seed)
    return nets.UNet(2, channels, classes, (4, 8, 16), (2, 2), num_res_units=1, norm="batch")


WAYS = {
    "safetensors": lambda held, path: save_file(held, path.with_suffix(".safetensors")),
    "state dict": torch.save,
    "lightning": lambda held, path: torch.save({"epoch": 3, "state_dict": held}, path),
    "a run's checkpoint": lambda held, path: torch.save({"network": held, "standing": {"epoch": 2}}, path),
    "model in a state": lambda held, path: torch.save({"state_dict": {"model": held}}, path),
}


@pytest.mark.parametrize("way", WAYS)
def test_weights_come_back_as_they_were_saved(tmp_path, way):
    held = state(unet())
    WAYS[way](held, tmp_path / "given.pt")
    (file,) = tmp_path.iterdir()
    assert equal(load_weights(file), held)
    assert weights_digest(str(file)) == hashlib.sha256(file.read_bytes()).hexdigest()[:16]


def test_the_folder_of_a_saved_model_stands_for_its_weights(tmp_path):
    save_file(state(unet()), tmp_path / "weights.safetensors")
    assert equal(load_weights(tmp_path), state(unet()))
    assert weights_digest(tmp_path) == weights_digest(tmp_path / "weights.safetensors")


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("save", [torch.save, lambda held, path: path.write_bytes(pickle.dumps(held))])
def test_code_in_a_file_is_never_run(tmp_path, save):
    save({"layer.weight": Trap(tmp_path / "ran")}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="never run"):
        load_weights(tmp_path / "evil.pt")
    assert not (tmp_path / "ran").exists()


def test_a_whole_pickled_network_is_refused_with_what_to_save(tmp_path):
    torch.save(nn.Linear(2, 2), tmp_path / "network.pt")
    with pytest.raises(ModelError, match=r"Save network\.state_dict\(\)"):
        load_weights(tmp_path / "network.pt")


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_torchscript_archive_is_refused(tmp_path):
    torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)).save(tmp_path / "script.pt")
    with pytest.raises(ModelError, match="neither safetensors nor"):
        load_weights(tmp_path / "script.pt")


@pytest.mark.parametrize("name", ["gone.safetensors", "gone.pt", "folder"])
def test_a_file_that_is_not_there_is_refused_without_its_path(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(ModelError, match="working folder") as caught:
        load_weights(tmp_path / name)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
@pytest.mark.parametrize("kept", [0, 3, 0.3, 0.9])
def test_a_damaged_file_is_refused_without_its_path(tmp_path, suffix, kept):
    file = tmp_path / f"given{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(state(unet()), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with pytest.raises(ModelError, match="damaged") as caught:
        load_weights(file)
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_noise_is_refused(tmp_path, suffix, seed):
    file = tmp_path / f"noise{suffix}"
    file.write_bytes(np.random.default_rng(seed).bytes(400))
    with pytest.raises(ModelError):
        load_weights(file)


@pytest.mark.parametrize(
    "held", [{}, [torch.zeros(2)], torch.zeros(2), {"a": torch.zeros(2), "b": 3}, {"a": {}}]
)
def test_what_holds_no_tensors_by_name_is_refused(tmp_path, held):
    torch.save(held, tmp_path / "given.pt")
    with pytest.raises(ModelError, match=r"by name|plain state dict"):
        load_weights(tmp_path / "given.pt")


def test_a_file_that_holds_itself_is_refused(tmp_path):
    held = {}
    held["model"] = held
    torch.save(held, tmp_path / "given.pt")
    with pytest.raises(ModelError):
        load_weights(tmp_path / "given.pt")


@pytest.mark.parametrize("prefix", ["", "module.", "network.", "_orig_mod.module.", "model."])
def test_all_weights_are_taken_and_a_common_prefix_is_left_out(prefix):
    given, network = unet(seed=1), unet(seed=2)
    found = fill(network, {prefix + name: value for name, value in given.state_dict().items()})
    assert equal(state(network), state(given))
    assert (found.prefix, found.left, found.unused) == (prefix, (), ())
    assert set(found.loaded) == set(state(network))
    assert (f"the prefix {prefix!r}" in found.text()) == bool(prefix)


def test_half_precision_is_converted():
    given, network = state(unet(seed=1)), unet(seed=2)
    fill(
        network, {name: value.half() if value.is_floating_point() else value for name, value in given.items()}
    )
    for name, value in network.state_dict().items():
        assert value.dtype == given[name].dtype
        torch.testing.assert_close(value, given[name], atol=1e-3, rtol=1e-2)


WRONG = {
    "another shape": (
        lambda held: held | {"model.0.conv.unit0.conv.weight": torch.zeros(4, 3, 3, 3)},
        "got (4, 3, 3, 3), expected (4, 1, 3, 3)",
    ),
    "missing": (lambda held: {k: v for k, v in held.items() if "residual" not in k}, "are missing"),
    "unknown": (
        lambda held: held | {"extra.weight": torch.zeros(1)},
        "1 are of no layer of the network: extra.weight",
    ),
    "not finite": (
        lambda held: held | {"model.0.residual.bias": torch.full((4,), torch.nan)},
        "1 hold values that are not finite: model.0.residual.bias",
    ),
    "another kind": (
        lambda held: held | {"model.0.residual.bias": torch.ones(4, dtype=torch.int64)},
        "got (4,) int64, expected (4,)",
    ),
}


@pytest.mark.parametrize("fault", WRONG)
def test_weights_that_do_not_fit_are_named_and_change_nothing(fault):
    spoil, said = WRONG[fault]
    network = unet(seed=2)
    before = state(network)
    with pytest.raises(ModelError) as caught:
        fill(network, spoil(state(unet(seed=1))), at="steps.start.weights")
    assert said in str(caught.value)
    assert str(caught.value).startswith("steps.start.weights: ")
    assert equal(state(network), before)


def test_many_faults_are_counted_and_the_first_named():
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    with pytest.raises(ModelError, match=r"8 are missing in the file: 0\.weight, 0\.bias, .* and 4 more"):
        fill(network, {"x": torch.zeros(1)})


def test_matching_changes_nothing():
    network = unet(seed=2)
    before = state(network)
    assert match(network, state(unet(seed=1))) == match(network, state(unet(seed=3)))
    assert equal(state(network), before)


ENCODED = {
    "encoder-decoder": (lambda c: EncoderDecoder(1, c), lambda n: n.startswith("encoder."), (1, 1, 8, 8)),
    "classic": (
        lambda c: ClassicUNet(1, c, 1, batch_norm=True),
        lambda n: n.startswith("encoder."),
        (1, 1, 16, 16),
    ),
    "unet": (
        unet,
        lambda n: ".2." not in f".{n.split('.conv')[0]}." or n.startswith("model.1.submodule.1."),
        (1, 1, 8, 8),
    ),
    "basic": (
        lambda c: nets.BasicUNet(2, 1, c, (4, 4, 4, 4, 4, 4)),
        lambda n: n.startswith(("conv_0", "down_")),
        (1, 1, 32, 32),
    ),
    "dense": (
        lambda c: nets.DenseNet(2, 1, c, 4, 2, (1, 2)),
        lambda n: n.startswith("features"),
        (1, 1, 32, 32),
    ),
    "resnet": (
        lambda c: nets.resnet18(spatial_dims=2, n_input_channels=1, num_classes=c),
        lambda n: not n.startswith("fc"),
        (1, 1, 32, 32),
    ),
    "segres": (
        lambda c: nets.SegResNet(2, 8, 1, c),
        lambda n: n.startswith(("convInit", "down_")),
        (1, 1, 16, 16),
    ),
}


@pytest.mark.parametrize("name", ENCODED)
def test_an_encoder_starts_a_network_for_other_classes(name):
    make, down, shape = ENCODED[name]
    torch.manual_seed(1)
    given = make(2).eval()
    torch.manual_seed(2)
    network = make(5).eval()
    before = state(network)
    found = fill(network, state(given), part="encoder")
    after = state(network)
    assert set(found.loaded) == {key for key in after if down(key)}
    assert set(found.left) == set(after) - set(found.loaded)
    assert found.left
    for key, value in after.items():
        assert torch.equal(value, (given.state_dict() if key in found.loaded else before)[key]), key
    assert set(found.unused) == set(given.state_dict()) - set(found.loaded)
    with torch.no_grad():
        assert network(torch.zeros(shape)).shape[1] == 5


@pytest.mark.parametrize("levels", [2, 3, 4])
@pytest.mark.parametrize("units", [0, 2])
def test_the_way_down_of_monais_unet_is_what_computes_before_the_first_step_up(levels, units):
    network = nets.UNet(2, 1, 1, (4,) * levels, (2,) * (levels - 1), num_res_units=units)
    order = []
    for name, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda m, *_, name=name: order.append((name, type(m).__name__)))
    network(torch.zeros(1, 1, 16, 16))
    first_up = next(i for i, (_, kind) in enumerate(order) if kind == "ConvTranspose2d")
    down = {f"{name}." for name, _ in order[:first_up]}
    expected = {key for key in network.state_dict() if key.startswith(tuple(down))}
    assert encoder_names(network) == expected


def test_a_missing_part_of_the_encoder_is_refused():
    held = {k: v for k, v in state(EncoderDecoder()).items() if k != "encoder.4.bias"}
    with pytest.raises(ModelError, match=r"1 are missing in the file: encoder\.4\.bias"):
        fill(EncoderDecoder(1, 3), held, part="encoder")


def test_a_network_whose_encoder_is_not_known_says_which_are():
    network = nn.Sequential(nn.Conv2d(1, 1, 1))
    with pytest.raises(ModelError, match=r"encoder: known are UNet, BasicUNet.*attribute `encoder`"):
        fill(network, state(network), part="encoder")


SMALL = {
    "dense": lambda channels, classes: nets.DenseNet(2, channels, classes, 4, 2, (1, 2)),
    "resnet": lambda channels, classes: nets.ResNet(
        "basic",
        (1, 1, 1, 1),
        (4, 8, 8, 8),
        spatial_dims=2,
        n_input_channels=channels,
        num_classes=classes,
        bias_downsample=False,
    ),
    "unet": lambda channels, classes: unet(classes, channels),
}


def lived(network, channels):
    """The network after some images in training mode: its running statistics are not those it began with."""
    with torch.no_grad():
        for _ in range(3):
            network.train()(torch.rand(4, channels, 32, 32) * 3)
    return network.eval()


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize(("given", "taking"), [(3, 1), (1, 3)])
def test_a_grey_image_gives_the_same_logits_in_one_channel_as_repeated_in_three(name, given, taking):
    torch.manual_seed(1)
    source = lived(SMALL[name](given, 4), given)
    network = SMALL[name](taking, 4).eval()
    found = fill(network, state(source), shape=(taking, 32, 32))
    grey = torch.rand(5, 1, 32, 32)
    with torch.no_grad():
        expected = source(grey.expand(-1, given, -1, -1))
        met = network(grey.expand(-1, taking, -1, -1))
    torch.testing.assert_close(met, expected, rtol=1e-5, atol=1e-5)
    assert ("summed over the 3 channels" if given == 3 else "thirds over 3 channels") in found.text()
    stem = (
        [key for key, value in state(network).items() if not torch.equal(value, source.state_dict()[key])]
        if given == taking
        else [k for k, v in state(source).items() if v.shape != state(network)[k].shape]
    )
    assert stem
    assert all(key in found.adapted for key in stem)


def test_filters_that_fit_are_taken_as_they_are():
    source, network = SMALL["dense"](3, 2), SMALL["dense"](3, 2)
    assert fill(network, state(source), shape=(3, 32, 32)).adapted == ""
    assert equal(state(network), state(source))


@pytest.mark.parametrize(("given", "taking"), [(3, 2), (4, 1), (2, 3), (1, 4)])
def test_other_channels_are_refused_and_the_layer_is_named(given, taking):
    network = SMALL["dense"](taking, 2)
    before = state(network)
    with pytest.raises(
        ModelError, match=rf"features\.conv0\.weight \(got \(4, {given}, 7, 7\), expected"
    ) as caught:
        fill(network, state(SMALL["dense"](given, 2)), part="features", shape=(taking, 32, 32))
    assert str(caught.value).count("got (") == 1
    assert equal(state(network), before)


def test_only_what_sees_the_image_is_summed():
    """A later layer of 3 channels in the file and 1 in the network is another network's."""
    make = lambda width: nn.Sequential(nn.Conv2d(1, width, 1), nn.Conv2d(width, 2, 1))  # noqa: E731
    with pytest.raises(ModelError, match=r"1\.weight \(got \(2, 3, 1, 1\), expected \(2, 1, 1, 1\)\)"):
        fill(make(1), state(make(3)), shape=(1, 4, 4))


def test_half_precision_is_summed_in_full():
    source, network = SMALL["dense"](3, 2), SMALL["dense"](1, 2)
    held = {key: value.half() if value.is_floating_point() else value for key, value in state(source).items()}
    fill(network, held, shape=(1, 32, 32))
    expected = held["features.conv0.weight"].float().sum(1, keepdim=True)
    assert torch.equal(network.features.conv0.weight.detach(), expected)


@pytest.mark.parametrize("name", ["dense", "resnet"])
def test_features_start_a_network_for_other_classes_and_leave_its_head(name):
    torch.manual_seed(1)
    source, network = lived(SMALL[name](3, 7), 3), SMALL[name](1, 2)
    before = state(network)
    found = fill(network, state(source), part="features", shape=(1, 32, 32))
    assert all(key.startswith(("class_layers.", "fc.")) for key in found.left)
    assert len(found.left) == len(found.unused) == 2
    for key, value in state(network).items():
        if key in found.left:
            assert torch.equal(value, before[key])
        elif key not in found.adapted:
            assert torch.equal(value, source.state_dict()[key]), key


def test_features_cannot_be_told_without_the_shape_of_an_image():
    with pytest.raises(DefinitionError, match="shape of an image"):
        fill(SMALL["dense"](1, 2), state(SMALL["dense"](1, 2)), part="features")


def test_tensors_are_named_by_what_they_are_and_in_no_order():
    held = state(SMALL["dense"](1, 2))
    name = "class_layers.out.bias"
    backwards = dict(reversed(held.items()))
    others = [
        held | {name: held[name] + 1},
        held | {name: held[name][None]},
        held | {name: held[name].double()},
        {key: value for key, value in held.items() if key != name},
        {("x" if key == name else key): value for key, value in held.items()},
    ]
    assert tensors_digest(held) == tensors_digest(backwards)
    assert len({tensors_digest(each) for each in (held, *others)}) == 6
