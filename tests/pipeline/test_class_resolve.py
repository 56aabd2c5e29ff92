"""What a definition leaves to data of whole images is filled in, and what does not suit them is refused by place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from medseg.errors import DefinitionError, MedsegError
from medseg.testing.labelled import write_class_folders

TINY = (
    "manifest=image_folders",
    "slices.size=[32,32]",
    "split.stratify=class",
    "network={_target_: medseg.learning.networks.TutorialCNN, conv_blocks: 1, feature_maps: 2, dense: 4}",
)
DENSE = "monai.networks.nets.DenseNet"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pictures of each of three classes; never change them."""
    return write_class_folders(tmp_path_factory.mktemp("pictures"), ("a", "b", "é"), cases=6, size=(32, 32))


@pytest.fixture
def check(monai_imported: None, pictures: Path) -> Callable[..., Any]:
    from medseg.api import check_pipeline

    def checked(*sets: str) -> Any:
        return check_pipeline("radiology_cnn", set=[*TINY, *sets], data=pictures, jobs=1)

    return checked


@pytest.mark.slow
def test_classes_inputs_outputs_and_size_are_those_of_the_data(check: Callable[..., Any]) -> None:
    resolved = check()

    assert resolved.manifest.classes == resolved.predictor.task.classes == ("a", "b", "é")
    network = resolved.definition.network
    assert (network["in_channels"], network["out_channels"], network["image_size"]) == (1, 3, [32, 32])
    with torch.no_grad():
        assert resolved.predictor.network.eval()(torch.zeros(2, 1, 32, 32)).shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "outputs"),
    [
        (
            f"{{_target_: {DENSE}, spatial_dims: 2, init_features: 4, growth_rate: 2, block_config: [1, 1]}}",
            "out_channels",
        ),
        (
            "{_target_: monai.networks.nets.EfficientNetBN, model_name: efficientnet-b0, pretrained: false}",
            "num_classes",
        ),
        ("{_target_: medseg.learning.networks.EfficientNetLite0, size: [32, 32]}", "out_channels"),
    ],
)
def test_networks_get_as_many_outputs_as_there_are_classes_by_their_own_name_for_it(
    check: Callable[..., Any], network: str, outputs: str
) -> None:
    assert check(f"network={network}").definition.network[outputs] == 3


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            "network.out_channels=2",
            r"gives \(2, 2\) where the task, with 3 classes, wants \(2, 3\)\. Set network",
        ),
        ("network.in_channels=3", r"batch \(2, 1, 32, 32\).*network\.in_channels"),
        ("network.conv_blocks=9", "at network: .*nothing is left of images of 32 x 32 after 9 poolings"),
        ("network.activation=swish", "activation is 'swish', expected one of relu, selu, leaky_relu"),
        (
            f"network={{_target_: {DENSE}121, spatial_dims: 2, pretrained: true}}",
            r"at network\.pretrained: .*`pretrained: false`",
        ),
        (
            "task.classes=[a, b]",
            r"task\.classes is \['a', 'b'\], the data set image_folders has \['a', 'b', 'é'\]",
        ),
        ("task.class_weights=[1, 2]", r"task\.class_weights is \[1, 2\], expected 3 finite numbers"),
        ("task.class_weights=sizes", "expected `frequency`"),
        ("task.select=dice", "task.select is 'dice', expected one of accuracy, balanced_accuracy"),
        ("task.label_smoothing=2", "label_smoothing is 2, expected a number"),
        ("task={_target_: medseg.learning.ClassMasks}", "task is ClassMasks, .*ImageClasses"),
        (
            "slices.keep=foreground",
            r"slices\.keep\.contains is 'foreground', expected one of \['all', 'image'\]",
        ),
        ("slices.keep.contains=a", r"expected one of \['all', 'image'\]"),
        ("steps.evaluate.top_k=3", r"at steps\.evaluate: .*top_k is 3 of 3 classes; expected 2\.\.2"),
        ("steps.evaluate.beta=0", r"at steps\.evaluate: .*beta is 0"),
        ("steps.fit.freeze=all", r"at steps\.fit: .*freeze is 'all', expected `features`"),
        ("steps.fit.freeze={all_but_last_blocks: 0}", r"at steps\.fit: .*whole N from 1 on"),
        ("steps={threshold: {_target_: medseg.steps.TuneThreshold}}", r"at steps\.threshold: .*BinaryMask"),
        (
            "steps={probe: {_target_: medseg.steps.Probe}, embed: {_target_: medseg.steps.Embed}}",
            r"steps\.probe needs features, and no step before it gives them. Put steps\.embed before it",
        ),
        (
            "steps={reduce: {_target_: medseg.steps.Reduce}}",
            r"steps\.reduce needs features, .* such as \{_target_: medseg\.steps\.Embed\}",
        ),
        ("steps={embed: {_target_: medseg.steps.Embed, layer: head}}", r"at steps\.embed: .*no layer 'head'"),
    ],
)
def test_what_does_not_suit_whole_images_is_refused_by_its_place(
    check: Callable[..., Any], wrong: str, words: str
) -> None:
    with pytest.raises(DefinitionError, match=words):
        check(wrong)


@pytest.mark.parametrize(
    ("start", "head", "rest", "words"),
    [
        ("gone.pt", "1.0", "", r"^at steps\.start: weights: .* got no file"),
        ("own", "1.0", "", r"^at steps\.start: weights: .* brings no weights of its own"),
        ("own, part: tail", "1.0", "", r"^at steps\.start: .*part is 'tail'"),
        ("", "-1.0", "", r"^at steps\.head\.optimiser: .*Invalid learning rate"),
        (
            "",
            "1.0",
            ", freeze: {all_but_last_blocks: 9}",
            r"^at steps\.rest: freeze\.all_but_last_blocks is 9",
        ),
        (
            "",
            "1.0",
            ", schedule: {_target_: torch.optim.lr_scheduler.ReduceLROnPlateau}",
            r"^at steps\.rest: schedule: ReduceLROnPlateau waits for a score",
        ),
    ],
)
def test_of_several_stages_the_one_that_is_wrong_is_named(
    check: Callable[..., Any], start: str, head: str, rest: str, words: str
) -> None:
    fit = "{_target_: medseg.steps.Fit, optimiser: {_target_: torch.optim.SGD, lr: "
    stages = [f"head: {fit}{head}}}, freeze: features}}", f"rest: {fit}1.0}}{rest}}}"]
    first = [f"start: {{_target_: medseg.steps.StartFrom, weights: {start}}}"] if start else []
    with pytest.raises(MedsegError, match=words):
        check(f"steps={{{', '.join([*first, *stages])}}}")


def test_classes_that_are_not_known_without_data_are_those_of_the_sample_or_asked_for(
    monai_imported: None,
) -> None:
    from medseg.api import check_pipeline

    assert len(check_pipeline("radiology_cnn", set=TINY[1:]).predictor.task.classes) == 6
    with pytest.raises(DefinitionError, match="found in the data: give its folder with --data, or name them"):
        check_pipeline("radiology_cnn", set=TINY)


def test_images_of_a_class_are_not_drawn_by_foreground(check: Callable[..., Any]) -> None:
    with pytest.raises(
        DefinitionError, match=r"at steps\.fit: foreground_share is 0\.3.*class_weights: frequency"
    ):
        check("steps.fit.foreground_share=0.3")
    check("task.class_weights=frequency")  # the remedy works
