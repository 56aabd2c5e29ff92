"""Every shipped pipeline of whole images is in order: as it is, on its sample, with other networks and tasks."""

from __future__ import annotations

from pathlib import Path

import pytest

PIPELINES = Path(__file__).parents[1] / "pipelines"


def labelled() -> list[str]:
    from medseg.api.opening import open_pipeline

    manifests = {path.stem: open_pipeline(path).manifest for path in sorted(PIPELINES.glob("*.yaml"))}
    return [name for name, each in manifests.items() if each.truth != "masks"]


NAMES = labelled()


def checked(name: str, *sets: str, sample: bool = False):
    from medseg.api import check_pipeline

    return check_pipeline(name, set=sets, sample=sample)


def test_those_of_the_issue_are_shipped() -> None:
    assert {"radiology", "radiology_cnn", "radiology_transfer", "mednist", "brain_tumor"} <= set(NAMES)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [False, True], ids=["as it is", "of the sample"])
@pytest.mark.parametrize("name", NAMES)
def test_each_is_in_order_and_scores_the_test_part(name: str, sample: bool, monai_imported: None) -> None:
    resolved = checked(name, sample=sample)
    task = resolved.predictor.task

    assert resolved.parameters > 100_000
    assert list(resolved.steps)[-1] == "evaluate"
    assert resolved.steps["evaluate"].roles == ("test",)
    assert task.target.truth == "one"
    assert tuple(task.classes) == tuple(resolved.manifest.classes)
    assert task.out_channels == len(task.classes)
    assert resolved.definition.split.by == "group"
    assert (
        resolved.definition.network.items() >= {"in_channels": 1, "out_channels": len(task.classes)}.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        "{_target_: monai.networks.nets.DenseNet169, spatial_dims: 2}",
        "{_target_: monai.networks.nets.EfficientNetBN, model_name: efficientnet-b0, pretrained: false}",
        "{_target_: monai.networks.nets.SEResNet50, spatial_dims: 2}",
        "{_target_: medseg.learning.networks.ResNet, depth: 18}",
        "{_target_: medseg.learning.networks.EfficientNetLite0, size: [32, 32]}",
    ],
)
def test_other_networks_are_named_and_nothing_is_counted(network: str, monai_imported: None) -> None:
    sets = (f"network={network}", "slices.size=[32,32]", "slices.transforms=[]")
    assert checked("radiology", *sets).predictor.task.out_channels == 6
