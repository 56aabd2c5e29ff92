"""Every shipped pipeline on pictures is in order: as it is, on its sample, with the originals' networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from medseg.pipeline.resolve import Resolved

PIPELINES = Path(__file__).parents[1] / "pipelines"
SMALL = "slices.size=[64,64]"  # for what is the same at any size
ENCODER_DECODER = "network={_target_: medseg.learning.networks.EncoderDecoder}"


def pictured() -> list[str]:
    """Names of the shipped pipelines whose manifest is of pictures with masks."""
    from medseg.api.opening import open_pipeline

    manifests = {path.stem: open_pipeline(path).manifest for path in sorted(PIPELINES.glob("*.yaml"))}
    return [name for name, each in manifests.items() if each.pictures and each.truth == "masks"]


PICTURED = pictured()


def checked(name: str, *sets: str, sample: bool = False) -> Resolved:
    from medseg.api import check_pipeline

    return check_pipeline(name, set=sets, sample=sample)


def classic(filters: int) -> str:
    return f"network={{_target_: medseg.learning.networks.ClassicUNet, filters: {filters}}}"


def test_particles_nuclei_and_gliomas_are_shipped() -> None:
    assert {"emps", "nuclei", "lgg"} <= set(PICTURED)


@pytest.mark.slow
@pytest.mark.parametrize("sample", [False, True], ids=["as it is", "of the sample"])
@pytest.mark.parametrize("name", PICTURED)
def test_each_is_in_order_and_searches_a_threshold_before_it_scores_the_test(
    name: str, sample: bool, monai_imported: None
) -> None:
    resolved = checked(name, sample=sample)

    assert list(resolved.steps) == ["fit", "threshold", "evaluate"]
    assert resolved.steps["threshold"].roles == ("val",)
    assert resolved.steps["evaluate"].roles == ("test",)
    assert resolved.predictor.task.out_channels == 1
    assert resolved.predictor.task.maps == ("foreground",)
    assert resolved.definition.split.by == "group"
    assert resolved.definition.split.val > 0
    assert resolved.parameters == sum(p.numel() for p in resolved.predictor.network.parameters()) > 100_000


@pytest.mark.parametrize("name", PICTURED)
def test_each_has_a_sample_with_settings_of_its_own_and_no_others(name: str) -> None:
    from medseg.api import load_pipeline
    from medseg.pipeline.declaration.definition import flatten

    given, sampled = load_pipeline(name), load_pipeline(name, sample=True)
    assert given.sample is not None
    assert given.sample.set
    before, after = flatten(given.to_dict()), flatten(sampled.to_dict())
    changed = {key for key in before | after if before.get(key) != after.get(key)}
    assert changed
    for place, value in flatten(given.sample.set).items():
        assert after[place] == value
    assert all(key.startswith(tuple(given.sample.set)) for key in changed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "sets", "parameters"),
    [
        ("emps", ("slices.size=[128,128]", ENCODER_DECODER), 664_961),
        ("nuclei", (SMALL, classic(4)), 2_158_705),
        ("nuclei", (SMALL, classic(8)), 8_630_497),
        ("lgg", (SMALL, classic(4)), 2_158_705),
    ],
)
def test_networks_of_the_originals_take_the_place_of_ours(
    name: str, sets: Sequence[str], parameters: int, monai_imported: None
) -> None:
    assert checked(name, *sets).parameters == parameters


@pytest.mark.slow
@pytest.mark.parametrize(
    "loss", ["cross_entropy=0", "dice=0", "class_weights=frequency", "class_weights=[0.2,0.8]"]
)
def test_losses_are_chosen_by_a_word(loss: str, monai_imported: None) -> None:
    task = checked("emps", SMALL, f"task.{loss}").predictor.task

    assert task.spec()["_target_"] == "medseg.learning.BinaryMask"


@pytest.mark.slow
@pytest.mark.parametrize("fit", ["pad", "resize", "tile"])
def test_each_way_to_one_size_is_in_order(fit: str, monai_imported: None) -> None:
    assert checked("emps", f"slices.fit={fit}").predictor.preparation.rule.fit == fit


@pytest.mark.parametrize(
    ("name", "wrong", "word"),
    [
        ("nuclei", "network={_target_: medseg.learning.networks.EncoderDecoder, in_channels: 1}", "channels"),
        ("emps", "network.out_channels=2", "out_channels"),
        ("emps", "steps.threshold.score=beauty", "score"),
        ("emps", "steps.threshold.over=all", "over"),
        ("emps", "task.threshold=2", "threshold"),
        ("emps", "task.class_weights=[1,2,3]", "class_weights"),
        ("emps", "slices.fit=squeeze", "fit"),
        ("emps", "slices.spacing=[1,1]", r"slices\.spacing is given in mm.*slices\.fit=resize"),
        (
            "emps",
            "task={_target_: medseg.learning.ClassMasks, classes: [background, foreground]}",
            "BinaryMask|out_ch",
        ),
        ("emps", "steps.evaluate._target_=medseg.steps.EvaluateBackground", "EvaluateForeground"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_runs(
    name: str, wrong: str, word: str, monai_imported: None
) -> None:
    from medseg.errors import DefinitionError

    with pytest.raises(DefinitionError, match=word):
        checked(name, wrong)
