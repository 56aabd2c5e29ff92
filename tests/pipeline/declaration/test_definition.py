"""A definition: what is read, what every wrong key is told, and what its data are good for."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medseg.errors import DefinitionError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.splits.rule import SplitRule
from medseg.yaml import parse_yaml, to_yaml

TEXT = """
name: tumours
about: Five classes.
seed: 7
manifest: brats2019
channels: [flair, t1]
slices:
  size: [240, 200]
  keep: {contains: foreground, draw: 40}
  transforms:
    - {_target_: monai.transforms.NormalizeIntensityd, keys: [image]}
split: {val: 0.1, test: {published_split: [val, extra]}}
loading:
  batch_size: 8
  augment:
    - {_target_: monai.transforms.RandFlipd, keys: [image, label], prob: 0.5}
task: {_target_: medseg.learning.ClassMasks, classes: [outside, healthy]}
network: {_target_: monai.networks.nets.UNet, channels: [16, 32]}
sample: {cases: 12, seed: 1, set: {steps.fit.epochs: 8}}
steps:
  fit: {_target_: medseg.steps.Fit, epochs: 60, optimiser: {_target_: torch.optim.AdamW, lr: 1e-3}}
  evaluate: {_target_: medseg.steps.Evaluate}
"""


def data(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(parse_yaml(TEXT, "test")), **changes}


def read(**changes: Any) -> PipelineDefinition:
    return PipelineDefinition.from_dict(data(**changes), "tumours.yaml")


def refusal(**changes: Any) -> str:
    with pytest.raises(DefinitionError) as error:
        read(**changes)
    return str(error.value)


def test_a_single_channel_may_be_written_without_a_list() -> None:
    assert read(channels="flair").channels == ("flair",)


def test_a_file_is_read_with_its_types(tmp_path: Path) -> None:
    path = tmp_path / "tumours.yaml"
    path.write_text(TEXT, encoding="utf-8")

    definition = PipelineDefinition.from_yaml(path)

    assert definition.channels == ("flair", "t1")
    assert definition.slices.size == (240, 200)
    assert (definition.slices.axis, definition.slices.pad, definition.slices.store) == (
        "axial",
        "constant",
        "float16",
    )
    assert (definition.slices.keep.contains, definition.slices.keep.draw) == ("foreground", 40)
    assert definition.split.val == 0.1
    assert definition.split.test == {"published_split": ["val", "extra"]}
    assert (definition.loading.cache, definition.loading.workers) == ("auto", "auto")
    assert definition.steps["fit"]["optimiser"]["lr"] == 0.001
    assert list(definition.steps) == ["fit", "evaluate"]


def test_a_minimal_definition_has_the_documented_defaults() -> None:
    whole = data(slices={"size": [8, 8]})
    expected = ("name", "manifest", "channels", "slices", "task", "network", "steps")

    definition = PipelineDefinition.from_dict({key: whole[key] for key in expected}, "test")

    assert (definition.split.val, definition.split.test, definition.split.by) == (0.15, 0.15, "group")
    assert definition.loading.batch_size == 32
    assert definition.slices.keep.contains == "image"
    assert definition.sample is None


def test_keep_may_be_one_word() -> None:
    assert read(slices={"size": [8, 8], "keep": "all"}).slices.keep.contains == "all"


def test_plain_data_read_back_equal_through_yaml_and_json() -> None:
    definition = read()
    plain = definition.to_dict()

    assert PipelineDefinition.from_dict(parse_yaml(to_yaml(plain), "test"), "test") == definition
    assert PipelineDefinition.from_dict(json.loads(json.dumps(plain)), "test") == definition


def test_a_split_file_reads_back_equal() -> None:
    definition = read(split={"file": "roles.csv"})

    assert definition.split.val is None
    assert PipelineDefinition.from_dict(definition.to_dict(), "test") == definition


def test_flat_names_are_dotted_and_plain_lists_stay_whole() -> None:
    flat = read().flat()

    assert flat["loading.augment.0.prob"] == 0.5
    assert flat["network.channels"] == [16, 32]
    assert flat["split.test.published_split"] == ["val", "extra"]
    assert flat["steps.fit.optimiser.lr"] == 0.001
    assert flat["slices.keep.contains"] == "foreground"


def test_the_fingerprint_knows_values_and_the_order_of_steps_but_not_the_order_of_keys() -> None:
    first = read()
    steps = data()["steps"]

    assert read().fingerprint() == first.fingerprint()
    assert (
        PipelineDefinition.from_dict(dict(reversed(data().items())), "x").fingerprint() == first.fingerprint()
    )
    assert read(seed=8).fingerprint() != first.fingerprint()
    assert read(steps=dict(reversed(steps.items()))).fingerprint() != first.fingerprint()
    assert len(first.fingerprint()) == 32


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"chanels": ["t1"]}, "at chanels: 'chanels' is not known here. Did you mean 'channels'?"),
        ({"loading": {"batch_sise": 3}}, "'batch_sise' is not known here. Did you mean 'batch_size'?"),
        (
            {"loading": {"cache": "ram"}},
            "at loading.cache: got 'ram'; expected 'auto', 'memory', 'disk' or 'gpu'.",
        ),
        ({"loading": {"batch_size": "32"}}, "at loading.batch_size: got '32'; expected a whole number."),
        ({"loading": {"batch_size": 0}}, "at loading.batch_size: got 0; expected more than 0."),
        ({"loading": {"batch_size": True}}, "at loading.batch_size: got True; expected a whole number."),
        (
            {"loading": {"workers": "many"}},
            "at loading.workers: got 'many'; expected a whole number or 'auto'.",
        ),
        (
            {"loading": {"augment": [{"prob": 1}]}},
            "at loading.augment.0: got {'prob': 1}; expected an object",
        ),
        ({"loading": 3}, "at loading: got 3; expected a mapping"),
        ({"slices": {}}, "at slices.size: is missing: add it."),
        ({"slices": {"size": [240]}}, "at slices.size.1: is missing"),
        ({"slices": {"size": [240, -1]}}, "at slices.size.1: got -1; expected more than 0."),
        (
            {"slices": {"size": [1, 1], "keep": {"contain": "all"}}},
            "at slices.keep.contain: 'contain' is not known",
        ),
        ({"slices": {"size": [1, 1], "axis": "axail"}}, "at slices.axis: got 'axail'; expected 'axial', "),
        (
            {"slices": {"size": [1, 1], "transforms": {}}},
            "at slices.transforms: got {}; expected a list, such as [a, b].",
        ),
        ({"split": {"val": 1.0}}, "at split.val: got 1.0; expected a ratio in [0, 1), or {column: value}"),
        ({"split": {"val": -0.1}}, "at split.val: got -0.1; expected a ratio"),
        ({"split": {"val": {}}}, "at split.val: got {}; expected a ratio"),
        ({"split": {"val": {"fold": []}}}, "at split.val: got {'fold': []}; expected a text"),
        ({"split": {"val": 0.5, "test": 0.5}}, "add up to 1; expected less than 1"),
        ({"split": {"file": "a.csv", "val": 0.1}}, "remove `train`, `val` and `test`"),
        ({"split": {"file": "a.csv", "stratify": "grade"}}, "remove `stratify`"),
        ({"split": {"by": "case"}}, "at split.by: got 'case'; expected 'group' or 'slice'."),
        ({"channels": []}, "at channels: got []; expected one channel or more, each once."),
        ({"channels": ["t1", "t1"]}, "each once"),
        ({"channels": 1}, "at channels: got 1; expected a list, such as [a, b]."),
        ({"name": "My Pipeline"}, "at name: got 'My Pipeline'; expected a name of lower-case letters"),
        ({"name": "a/../b"}, "expected a name of lower-case letters"),
        ({"name": "a\n"}, "expected a name of lower-case letters"),
        ({"seed": 1.5}, "at seed: got 1.5; expected a whole number."),
        ({"seed": -1}, "at seed: got -1;"),
        ({"steps": {}}, "at steps: got {}; expected at least one step."),
        ({"steps": {"Fit it": {"_target_": "x"}}}, "at steps.Fit it: got 'Fit it'; expected a name of"),
        ({"steps": {"fit": {"epochs": 3}}}, "at steps.fit: got {'epochs': 3}; expected an object"),
        ({"network": {"_target_": 3}}, "at network: got {'_target_': 3}; expected an object"),
        ({"network": "UNet"}, "at network: got 'UNet'; expected a mapping"),
        ({"sample": {"seed": 1}}, "at sample.cases: is missing"),
        (
            {"sample": {"cases": 1, "sets": {}}},
            "at sample.sets: 'sets' is not known here. Did you mean 'set'?",
        ),
    ],
)
def test_a_wrong_key_is_named_with_what_was_met_and_what_is_wanted(
    changes: dict[str, Any], said: str
) -> None:
    message = refusal(**changes)

    assert message.startswith("tumours.yaml cannot be used:")
    assert said in message
    assert message.count("\n") == 1


def test_all_wrong_keys_are_told_at_once() -> None:
    message = refusal(seed="x", loading={"batch_size": -1, "cache": 3})

    assert [line.partition(":")[0] for line in message.splitlines()[1:]] == [
        "  at seed",
        "  at loading.batch_size",
        "  at loading.cache",
    ]


def test_a_definition_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        read().seed = 3  # type: ignore[misc]


def test_a_whole_number_selects_the_text_that_a_column_holds() -> None:
    assert SplitRule(val={"fold": 1}, test={"fold": [2, "3"]}).test == {"fold": ["2", "3"]}


@given(st.floats(0, 0.999), st.floats(0, 0.999))
def test_ratios_are_taken_when_and_only_when_something_is_left_for_training(val: float, test: float) -> None:
    if val + test < 1:
        assert SplitRule(val=val, test=test).val == val
    else:
        with pytest.raises(ValueError, match="less than 1"):
            SplitRule(val=val, test=test)


def test_reading_definitions_imports_nothing_heavy() -> None:
    code = (
        "import sys, medseg.pipeline.declaration.overrides, medseg.named\n"
        "heavy = {'torch', 'monai', 'pandas', 'numpy', 'scipy', 'nibabel'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
