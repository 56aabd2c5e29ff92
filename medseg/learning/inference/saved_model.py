"""What a saved model's folder must hold, before its network is filled."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from medseg.component import Allowed, build
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import ModelError
from medseg.files.regular import read_json, refuse_irregular
from medseg.images.formats import FileKind
from medseg.learning.inference.flips import Flips, flips_of
from medseg.learning.inference.training_profile import TrainingProfile
from medseg.learning.tasks.task import Task
from medseg.learning.training.loading import AT_ONCE, MOST_AT_ONCE
from medseg.machine.within_memory import is_unmade, within_memory
from medseg.packages import allowing, further_packages
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.transforms import TRANSFORMS_KEY, Chain

FORM = 1


def described_in(folder: Path) -> dict[str, Any]:
    """The content of `model.json` in the folder of a saved model.

    Raises:
        ModelError: The folder is no saved model, or of another form.
    """
    try:
        described: dict[str, Any] = read_json(folder / "model.json")
    except OSError as error:
        raise ModelError(
            "no saved model there: expected a folder with model.json and weights.safetensors"
        ) from error
    except ValueError as error:
        why = "it is not JSON" if isinstance(error, JSONDecodeError | UnicodeDecodeError) else str(error)
        raise ModelError(f"model.json of the saved model is damaged: {why}") from error
    form = described.get("form") if isinstance(described, dict) else None
    if form != FORM:
        raise ModelError(f"the model is of form {form}; this medseg reads form {FORM}")
    return described


def unbuilt(described: Mapping[str, Any], allowed: Allowed, reason: str) -> ModelError:
    """Why a saved model cannot be built, with what helps.

    Args:
        described: The content of its `model.json`.
        allowed: Where its parts may come from.
        reason: Of whatever refused a part.
    """
    parts = [described.get(key) for key in ("network", "task", "slices", "others")]
    further = further_packages(parts, allowed)
    pythons_own = {each.partition(".")[0] for each in further} & sys.stdlib_module_names  # never offered
    if further and not pythons_own:
        return ModelError(
            f"the saved model needs {', '.join(further)}, which nothing allows. If you trust it:{allowing(further)}, "
            f"or in a script MEDSEG_ALLOW='{' '.join(further)}'."
        )
    return ModelError(
        f"the saved model cannot be built: {reason}. Its model.json was changed, or is of another version of medseg: "
        "take the folder anew from its run."
    )


@dataclass(frozen=True)
class Part:
    """A network of a saved model, its weights not yet read, with how its slices are made.

    Attributes:
        network: As its declaration builds it.
        spec: The declaration.
        preparation: From volumes to its slices.
        flips: Mirror images of a slice that are predicted too.
        batch_size: Slices at a time.
    """

    network: torch.nn.Module
    spec: Mapping[str, Any]
    preparation: Preparation
    flips: Flips
    batch_size: int


def part_of(
    described: Mapping[str, Any], channels: tuple[str, ...], files: FileKind, allowed: Allowed
) -> Part:
    """Build a network of a saved model.

    Args:
        described: `network` and `slices`, and where they are not the usual ones `flips` and `batch_size`.
        channels: Of the model.
        files: That it reads.
        allowed: Where its components may come from.

    Raises:
        LookupError, TypeError, ValueError, MedsegError: Something is missing, or none that it can be.
    """
    with within_memory(kept=True):
        network = build(described["network"], at="network", kind=torch.nn.Module, allowed=allowed)
    preparation = Preparation(channels, _rule_of(described["slices"]), allowed, files)
    Chain(preparation.rule.chain, at=TRANSFORMS_KEY, allowed=allowed)  # refused now, not at an input
    flips, at_once = flips_of(described.get("flips", [])), batch_size_of(described.get("batch_size", AT_ONCE))
    return Part(network, described["network"], preparation, flips, at_once)


def _rule_of(described: Any) -> SliceRule:
    """The rule of slices of a saved model.

    Raises:
        ValueError: A value of it is none that it can have; names each.
    """
    try:
        return SliceRule.model_validate(described)
    except ValidationError as error:
        wrong = (f"slices.{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise ValueError("; ".join(wrong)) from error


def batch_size_of(given: Any) -> int:
    """Slices that a model predicts at a time, as its description has them.

    Raises:
        ValueError: It is no such number.
    """
    if not isinstance(given, int) or isinstance(given, bool) or not 0 < given <= MOST_AT_ONCE:
        raise ValueError(f"batch_size is {given!r}, expected a whole number from 1 to {MOST_AT_ONCE}")
    return given


def refuse_contradictions(
    network: torch.nn.Module,
    task: Task,
    preparation: Preparation,
    manifest: Manifest,
    profile: TrainingProfile | None,
) -> None:
    """Compare the parts of a model with each other, so that no class is written under another's value.

    Raises:
        ModelError: They contradict each other.
    """
    if tuple(task.classes) != tuple(manifest.classes):
        raise ModelError(f"its task has the classes {task.classes}, its manifest {manifest.classes}")
    if task.target.truth != manifest.truth:
        raise ModelError(f"its task learns {task.target.noun}, which its manifest does not tell")
    unknown = set(preparation.channels) - set(manifest.channels)
    if unknown:
        raise ModelError(f"its channels {sorted(unknown)} are none of its manifest's")
    if profile is not None and (
        set(profile.intensities) != set(preparation.channels) or len(profile.spacing) != 3
    ):
        raise ModelError("its record of the training data is of other channels or axes")
    height, width = preparation.rule.size
    try:
        with torch.no_grad(), within_memory(kept=is_unmade(network)):
            given = network.eval()(torch.zeros(1, len(preparation.inputs), height, width))
        shape, expected = tuple(given.shape), (1, *task.target.output(task.out_channels, (height, width)))
    except Exception as error:  # networks raise anything at a shape they do not take
        raise ModelError(f"its network does not take its slices: {error!s:.300}") from error
    if shape != expected:
        raise ModelError(f"its network gives {shape} where its task expects {expected}")


def fill(network: torch.nn.Module, path: Path) -> None:
    """Give a network the weights of a file; shapes are compared before any is read.

    Raises:
        ModelError: The file is missing or damaged, or its weights are of another network.
    """
    try:
        refuse_irregular(path)
        with safe_open(path, framework="pt") as held:  # the header alone
            shapes = {name: tuple(held.get_slice(name).get_shape()) for name in held.keys()}  # noqa: SIM118
        expected = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
        differing = sorted(
            name for name in shapes.keys() | expected.keys() if shapes.get(name) != expected.get(name)
        )
        if differing:
            name = differing[0]
            raise ModelError(
                f"the weights do not fit the network: {len(differing)} tensors differ, the first is {name}, got "
                f"{shapes.get(name, 'none')}, expected {expected.get(name, 'none')}. Copy it anew from its run."
            )
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise ModelError("weights.safetensors of the saved model is missing or damaged") from error
    except RuntimeError as error:
        raise ModelError(
            f"the weights do not fit the network: {' '.join(str(error).split())[:500]}"
        ) from error
