"""What is written as ONNX gives torch's logits on other shapes than it was traced with, or is refused."""

from __future__ import annotations

import pytest

from medseg.errors import ModelError

pytestmark = pytest.mark.usefixtures("monai_imported")


@pytest.fixture
def torch():
    import torch

    torch.manual_seed(0)
    return torch


def compared(network, shape, batches):
    """Write a network as ONNX, and compute batches with onnxruntime alone: the largest difference, and the step."""
    import onnxruntime
    import torch

    from medseg.learning.inference.export.checked import checked_graph

    network = network.eval()
    graph = checked_graph(network, shape)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph.content, options, providers=["CPUExecutionProvider"])
    largest = 0.0
    for batch in batches:
        image = torch.rand(*batch)
        with torch.inference_mode():
            expected = network(image).numpy()
        (given,) = session.run(["logits"], {"image": image.numpy()})
        largest = max(largest, float(abs(given - expected).max()))
    return largest, graph.divisor


def unet(seed=0, **settings):
    import torch
    from monai.networks.nets import UNet

    torch.manual_seed(seed)
    given = {"channels": (4, 8, 16), "strides": (2, 2), "num_res_units": 2, "norm": "instance"} | settings
    return UNet(2, 2, 3, **given)


def test_a_unet_takes_any_batch_and_any_size_in_its_steps() -> None:
    difference, step = compared(unet(), (2, 16, 24), [(1, 2, 16, 24), (5, 2, 32, 20), (2, 2, 64, 64)])

    assert difference < 1e-4
    assert step == 4


def test_a_size_whose_map_would_be_another_counts_for_none() -> None:
    """17 rows become 9 and then 18."""
    assert compared(unet(channels=(4, 8), strides=(2,)), (2, 16, 16), [(1, 2, 18, 16)])[1] == 2


def test_an_ensemble_of_unets_too() -> None:
    from medseg.learning.networks import Ensemble

    difference, step = compared(Ensemble([unet(0), unet(1)]), (2, 16, 16), [(3, 2, 32, 24)])

    assert difference < 1e-4
    assert step == 4


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("BasicUNetPlusPlus", {"features": [2] * 6, "deep_supervision": True}),
        ("SegResNetDS", {"init_filters": 4, "blocks_down": [1, 1], "dsdepth": 2}),
    ],
)
def test_of_several_outputs_that_which_counts_is_written(name, settings, torch) -> None:
    from monai.networks import nets

    from medseg.learning.outputs.main_output import with_main_output

    network = getattr(nets, name)(spatial_dims=2, in_channels=1, out_channels=2, **settings)
    difference, _ = compared(with_main_output(network), (1, 32, 32), [(3, 1, 32, 32)])

    assert difference < 1e-4


@pytest.mark.parametrize(
    ("name", "settings", "shape", "step"),
    [
        ("EncoderDecoder", {"in_channels": 2, "out_channels": 3}, (2, 16, 16), 4),
        ("ClassicUNet", {"in_channels": 1, "out_channels": 2}, (1, 16, 16), 16),
        ("TutorialCNN", {"image_size": (24, 32)}, (1, 24, 32), 0),
    ],
)
def test_networks_of_medseg_give_the_same(name, settings, shape, step, torch) -> None:
    from medseg.learning import networks as shipped

    difference, found = compared(getattr(shipped, name)(**settings), shape, [(3, *shape)])

    assert difference < 1e-4
    assert found == step


@pytest.mark.slow
@pytest.mark.parametrize("size", [(32, 32), (48, 40)])
def test_resizing_with_antialiasing_inside_a_network_is_exact(torch, size) -> None:
    """ONNX's own resizing is not: by up to 0.05 of images in [0, 1]."""
    from medseg.learning.networks.normalisation import Prepared

    network = torch.nn.Sequential(
        Prepared([0.5], [0.25], channels=1, size=(32, 32)), torch.nn.Conv2d(1, 2, 1, bias=False)
    )
    difference, step = compared(network, (1, *size), [(1, 1, *size), (4, 1, *size)])

    assert difference < 1e-5
    assert step == 0, "what was written for one size would not resize another"


def test_a_densenet_takes_any_size(torch) -> None:
    from monai.networks.nets import DenseNet

    network = DenseNet(2, 1, 2, init_features=4, growth_rate=2, block_config=(1, 1))
    difference, step = compared(network, (1, 16, 16), [(3, 1, 24, 31)])

    assert difference < 1e-4
    assert step == 1


def test_a_network_that_predicts_as_it_is_trained_is_refused_by_the_names_of_its_layers(capfd) -> None:
    from medseg.learning.inference.export.checked import checked_graph
    from medseg.learning.networks import NotebookUNet

    network = NotebookUNet(1, 2, 1).eval()
    with pytest.raises(ModelError, match=r"BatchStatistics2d and SeededDropout .*as_in_training=false"):
        checked_graph(network, (1, 48, 48))
    assert capfd.readouterr() == ("", "")


def test_an_operator_that_onnx_lacks_is_named_and_no_graph_is_printed(torch, capfd) -> None:
    from medseg.learning.inference.export.checked import checked_graph

    class Bessel(torch.nn.Module):
        def forward(self, image):
            return torch.special.bessel_j0(image)

    with pytest.raises(ModelError, match="bessel_j0"):
        checked_graph(Bessel().eval(), (1, 8, 8))
    assert capfd.readouterr() == ("", "")


def test_a_network_whose_trace_is_right_for_one_size_alone_is_written_for_that(torch) -> None:
    class OfTheSize(torch.nn.Module):
        def forward(self, image):
            return image * (2.0 if image.shape[2] == 8 else 3.0)

    difference, step = compared(OfTheSize(), (1, 8, 8), [(2, 1, 8, 8)])

    assert (difference, step) == (0.0, 0)


def test_a_network_that_depends_on_more_than_its_input_is_refused(torch) -> None:
    from medseg.learning.inference.export.checked import checked_graph

    class Counting(torch.nn.Module):
        def forward(self, image):
            return image * float(image.shape[0])

    with pytest.raises(ModelError, match=r"\(1, 1, 8, 8\) its logits differ from torch's by"):
        checked_graph(Counting().eval(), (1, 8, 8))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_network_that_gives_no_numbers_is_refused_as_diverged(torch, value) -> None:
    from medseg.learning.inference.export.checked import checked_graph

    network = torch.nn.Conv2d(1, 2, 3, padding=1).eval()
    torch.nn.init.constant_(network.bias, value)
    with pytest.raises(ModelError, match=r"NaN or infinity .* its training diverged"):
        checked_graph(network, (1, 8, 8))
