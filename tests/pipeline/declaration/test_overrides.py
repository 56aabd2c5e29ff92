"""Setting single values: where a path may lead, and what a wrong one is told."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from medseg.api.opening import load_pipeline
from medseg.errors import DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import apply_set, in_effect, override
from medseg.yaml import parse_yaml

DATA: dict[str, Any] = parse_yaml(
    """
name: tumours
manifest: brats2019
channels: [flair]
slices: {size: [64, 64], keep: all}
split: {val: 0.1}
loading:
  augment:
    - {_target_: monai.transforms.RandFlipd, keys: [image], prob: 0.5}
task: {_target_: medseg.learning.ClassMasks, classes: [a, b], regions: {4: [1]}}
network: {_target_: monai.networks.nets.UNet, channels: [16, 32]}
sample: {cases: 2, set: {steps.fit.epochs: 8}}
steps:
  fit: {_target_: medseg.steps.Fit, epochs: 60, optimiser: {_target_: torch.optim.AdamW, lr: 1e-3}}
  evaluate: {_target_: medseg.steps.Evaluate}
""",
    "test",
)


def changed(*assignments: str) -> PipelineDefinition:
    return PipelineDefinition.from_dict(override(DATA, assignments), "test")


def refusal(assignment: str) -> str:
    with pytest.raises(DefinitionError) as error:
        override(DATA, [assignment])
    return str(error.value)


def test_a_value_is_yaml_1_2() -> None:
    definition = changed(
        "steps.fit.epochs=5",
        "network.channels=[8, 16]",
        "steps.fit.optimiser.lr=1e-4",
        "split.val={published_split: val}",
        "about=a = b",
        "split.test=0",
    )

    assert definition.steps["fit"]["epochs"] == 5
    assert definition.network["channels"] == [8, 16]
    assert definition.steps["fit"]["optimiser"]["lr"] == 0.0001
    assert definition.split.val == {"published_split": "val"}
    assert definition.split.test == 0
    assert definition.about == "a = b"


def test_lists_are_addressed_by_place_and_whole_number_keys_by_digits() -> None:
    definition = changed("loading.augment.0.prob=0.2", "task.regions.4=[0]", "slices.size.1=32")

    assert definition.loading.augment[0]["prob"] == 0.2
    assert definition.task["regions"] == {4: [0]}
    assert definition.slices.size == (64, 32)


def test_a_setting_that_the_file_leaves_out_is_set() -> None:
    definition = changed("loading.batch_size=4", "slices.pad=edge", "split.seed=3", "seed=9")

    assert definition.loading.batch_size == 4
    assert (definition.slices.pad, definition.split.seed, definition.seed) == ("edge", 3, 9)


def test_a_group_that_the_file_leaves_out_is_opened() -> None:
    bare = {key: value for key, value in DATA.items() if key not in {"sample", "loading"}}

    data = override(bare, ["sample.cases=4", "loading.cache=disk"])

    assert data["sample"] == {"cases": 4}
    assert data["loading"] == {"cache": "disk"}


def test_a_group_set_to_nothing_is_opened() -> None:
    assert override({**DATA, "sample": None}, ["sample.cases=4"])["sample"] == {"cases": 4}


def test_a_shorthand_is_written_out() -> None:
    keep = changed("slices.keep.draw=40").slices.keep

    assert (keep.contains, keep.draw) == ("all", 40)


def test_a_component_takes_a_new_argument_and_another_target() -> None:
    definition = changed("network.act=relu", "steps.evaluate._target_=os.system")

    assert definition.network["act"] == "relu"
    assert definition.steps["evaluate"]["_target_"] == "os.system"


def test_a_sample_setting_is_addressed_by_its_own_dotted_key() -> None:
    assert changed("sample.set.steps.fit.epochs=2").sample.set == {"steps.fit.epochs": 2}  # type: ignore[union-attr]


def test_later_assignments_see_earlier_ones() -> None:
    definition = changed("steps.fit.schedule={_target_: x.Y}", "steps.fit.schedule.gamma=0.5")

    assert definition.steps["fit"]["schedule"] == {"_target_": "x.Y", "gamma": 0.5}


def test_the_data_given_are_left_as_they_were() -> None:
    before = copy.deepcopy(DATA)
    values = {"network.channels": [1, 2]}

    data = apply_set(override(DATA, ["steps.fit.epochs=1", "slices.keep.draw=1"]), values)
    data["network"]["channels"].append(3)

    assert before == DATA
    assert values == {"network.channels": [1, 2]}


def test_a_sample_set_is_applied_by_path() -> None:
    data = apply_set(DATA, {"steps.fit.epochs": 8, "network.channels": [4]})

    assert data["steps"]["fit"]["epochs"] == 8
    assert data["network"]["channels"] == [4]


def test_a_wrong_path_in_a_sample_set_says_where_it_stands() -> None:
    with pytest.raises(
        DefinitionError, match=r"^sample.set steps.fitt.epochs: .* 'steps.fit.epochs'|'steps.fit'"
    ):
        apply_set(DATA, {"steps.fitt.epochs": 8})


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("steps.fitt.epochs=5", "'fitt' is not known at steps. Did you mean 'steps.fit'?"),
        ("steps.extra={_target_: x}", "'extra' is not known at steps."),
        ("networks.channels=1", "Did you mean 'network'?"),
        ("epochs=4", "Did you mean 'steps.fit.epochs'?"),
        ("loading.batchsize=3", "Did you mean 'loading.batch_size'?"),
        ("loading.augment.4.prob=1", "'4' is not known at loading.augment."),
        ("loading.augment.-1.prob=1", "'-1' is not known at loading.augment."),
        ("loading.augment.first.prob=1", "There is: 0."),
        ("slices.keep.drew=1", "Did you mean 'slices.keep.draw'?"),
        ("split.vals=1", "Did you mean 'split.val'?"),
        ("split.val.column=1", "'column' is not known at split.val."),
        ("name.x=1", "'x' is not known at name."),
        ("task.regions.new=[1]", "'new' is not known at task.regions."),
        ("steps.fit.schedule.gamma=1", "Give it whole: steps.fit.schedule={_target_: ..., gamma: ...}"),
        ("sample.set.steps.fit.epoch=1", "'steps' is not known at sample.set."),
        ("a..b=1", "'a' is not known at the top level."),
        ("seed", "expected path=value"),
        ("=3", "expected path=value"),
        ("seed= ", "has no value; for none write seed=null"),
        ("seed=[1", "--set seed, line 1"),
        ("seed=!!python/name:os.system", "the tag"),
        ("seed=*x", "the reference *x"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_the_nearest(assignment: str, said: str) -> None:
    message = refusal(assignment)

    assert message.startswith("--set")
    assert said in message


def test_what_a_sample_sets_is_in_effect_unless_it_was_changed_after() -> None:
    def told(*assignments: str) -> dict[str, Any]:
        return in_effect(load_pipeline("brats2d", set=assignments, sample=True))

    every = told()
    assert set(every) == set(load_pipeline("brats2d").sample.set)  # type: ignore[union-attr]
    assert set(every) - set(told("steps.fit.epochs=3")) == {"steps.fit.epochs"}
    assert set(every) - set(told("slices.keep.draw=5")) == {"slices.keep"}
    assert set(told("steps.fit.epochs=11")) == set(every)
    replaced = told("network={_target_: monai.networks.nets.BasicUNet, spatial_dims: 2}")
    assert set(every) - set(replaced) == {"network.channels"}
