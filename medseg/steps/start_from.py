"""The step that gives a network its first weights: fine-tuning, transfer learning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, get_args

import torch

from medseg.errors import DefinitionError, ModelError
from medseg.files.regular import read_json
from medseg.learning.inference.predictor import Predictor
from medseg.learning.transfer.parts import Part
from medseg.learning.transfer.weights import (
    fill,
    load_weights,
    match,
    tensors_digest,
    weights_digest,
    weights_file,
)
from medseg.splits.split import Role
from medseg.steps.step import Fits, Run, Stage, Work

OWN = "own"
"""Stands for the weights that a network brings itself."""


class StartFrom:
    """Fill the network with given weights, before or instead of training.

    The filled network is kept in the run's own folder, so that the run can go on when the file is gone. A
    tracker learns the digest of the file, never its path. Filters for colour images are summed for grey ones.

    Args:
        weights: A `.safetensors` file, a torch state dict, or the folder of a saved model; a relative path
            counts from the working folder. Nothing in it is run. Or `own`: those that the network brings
            itself, through its method `own_weights`; one that must fetch them gives, through `own_forms`,
            tensors of the same names and shapes to check with. (A file of that name is `./own`.)
        part: `all`; only the `encoder`, the way down; or the `features`, all but the head. With a part the
            number of classes may differ.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    fits: ClassVar[Fits] = {"first weights": None}

    def __init__(self, weights: str, part: Part = "all") -> None:
        if not isinstance(weights, str) or not weights.strip():
            raise ValueError(f"weights is {weights!r}, expected the path of a file, or {OWN}")
        if part not in get_args(Part):
            raise ValueError(f"part is {part!r}, expected {' or '.join(get_args(Part))}")
        self.weights, self.part = weights, part

    @property
    def roles(self) -> tuple[Role, ...]:
        """None: nothing is learned here."""
        return ()

    def __call__(self, work: Work, run: Run) -> Work:
        """Fill the network of the work."""
        at = f"steps.{run.step}.weights"
        network = work.predictor.network
        given = self._given(work.predictor, at, "own_weights")
        found = fill(network, given, part=self.part, shape=work.predictor.input_shape, at=at)
        if self.weights == OWN:
            digest, origin = tensors_digest(given), "the network's own weights"
            tags = {f"{run.step}.weights": OWN, f"{run.step}.weights_digest": digest}
        else:
            digest, origin = weights_digest(self.weights), "given weights"
            run_of = _run_of(self.weights)
            tags = {f"{run.step}.weights": digest, **({f"{run.step}.run": run_of} if run_of else {})}
        run.progress.say(f"Starting from {origin} {digest}: {found.text()}")
        run.recorder.tags({**tags, f"{run.step}.part": self.part})
        run.recorder.params({f"{run.step}.loaded": len(found.loaded), f"{run.step}.left": len(found.left)})
        started = replace(work.predictor, network=network.eval())
        started.save(run.place / "predictor")
        return replace(work, predictor=started)

    def check(self, predictor: Predictor) -> None:
        """Read the weights and compare them with the network, so that wrong ones cost a second.

        Of weights that would be fetched, names and shapes alone are compared; nothing is fetched.

        Raises:
            DefinitionError: They are of a model of other classes, or it is not known what the features are.
            ModelError: The weights cannot be read, or do not fit; or the network brings none.
        """
        at = "weights"
        given = self._given(predictor, at, "own_forms", "own_weights")
        match(predictor.network, given, part=self.part, shape=predictor.input_shape, at=at)

    def recall(self, work: Work, run: Run) -> Work:
        """Load the filled network from the run's folder."""
        saved = Predictor.load(run.place / "predictor", device=run.device, allowed=run.allowed)
        return replace(work, predictor=replace(work.predictor, network=saved.network, device=run.device))

    def _given(self, predictor: Predictor, at: str, *methods: str) -> dict[str, torch.Tensor]:
        """The tensors by name; the network's own from the first of the methods that it has."""
        if self.weights != OWN:
            try:
                if self.part == "all":
                    _refuse_other_classes(self.weights, predictor.task.classes)
                return _renamed(predictor, load_weights(self.weights))
            except (DefinitionError, ModelError) as error:
                raise type(error)(f"{at}: {error}") from error
        brought = [getattr(predictor.network, method, None) for method in methods]
        bring: Any = next(filter(callable, brought), None)
        if bring is None:
            raise ModelError(
                f"{at}: {type(predictor.network).__name__} brings no weights of its own. Give the path of a file "
                "(weights: PATH), or choose a network that brings them (it has a method `own_weights`)."
            )
        return _renamed(predictor, dict(bring()))


def _renamed(predictor: Predictor, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors by the names of the network, where it knows under which others its weights are published."""
    rename: Any = getattr(predictor.network, "renamed", None)
    return dict(rename(weights)) if callable(rename) else weights


def _run_of(weights: str) -> str:
    """The run that a saved model is of; empty for weights of another kind."""
    described = weights_file(Path(weights)).with_name("model.json")
    try:
        return str(read_json(described)["about"].get("run", ""))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return ""


def _refuse_other_classes(weights: str, expected: Sequence[str]) -> None:
    """Compare the classes of a saved model with those of the data, where the weights are such a model's.

    Raises:
        DefinitionError: They differ, or stand in another order.
        ModelError: The model's description cannot be read.
    """
    described = weights_file(Path(weights)).with_name("model.json")
    if not described.is_file():
        return
    try:
        theirs = [str(name) for name in read_json(described)["task"]["classes"]]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(
            "model.json beside the given weights is damaged. Take the folder anew from its run."
        ) from error
    if theirs != list(expected):
        raise DefinitionError(
            f"the model that the weights are of has the classes {theirs}, the data have {list(expected)}: they "
            "must be the same names in the same order. Take a part of it alone (part: features or encoder), or "
            "change the classes."
        )
