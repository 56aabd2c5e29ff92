"""What is done for each case that is scored, in this process or in others."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from medseg.datasets.case import Case
from medseg.datasets.reading.unforeseen import ended, one_case
from medseg.errors import DataError, Fault, OtherSettingsError
from medseg.learning.inference.predictor import Predictor
from medseg.splits.split import Role, Split
from medseg.steps.evaluation.evaluation import Evaluation, Mine


@dataclass(frozen=True)
class SlicesOf:
    """Whether a slice of a case has the role that is scored, where data are split by slice.

    Attributes:
        split: Roles of slices.
        case: Public id.
        role: That is scored.
    """

    split: Split
    case: str
    role: Role

    def __call__(self, place: int) -> bool:
        """Look the slice at a place of the volume up."""
        return self.split.role(self.case, place) == self.role


Task = tuple[Case, Mine | None]


@dataclass(frozen=True)
class Scored:
    """What came of a case: what `Evaluation.keep` takes, or its faults."""

    answer: Any = None
    faults: tuple[Fault, ...] = ()


class Scoring:
    """Asks a model about a case, and scores the answer.

    In another process the model computes on a GPU if it does so here and there is one, else on the CPU.

    Args:
        made: Makes an empty evaluation of a model; a method of a step, or a function of a module.
        predictor: The model.

    Attributes:
        evaluation: The empty evaluation, which keeps nothing of what is asked.
    """

    def __init__(self, made: Callable[[Predictor], Evaluation], predictor: Predictor) -> None:
        self._made, self._predictor = made, predictor
        self.evaluation = made(predictor)

    def __call__(self, task: Task) -> Scored:
        """Score one case; what is wrong with it is part of what comes of it.

        Raises:
            OtherSettingsError: The network returned NaN; the case is named, and what is wrong is the network.
        """
        case, mine = task
        try:
            with one_case(case):
                return Scored(self.evaluation.asked(case, mine))
        except DataError as error:
            fault = Fault(case.id, case.position, "", str(error).rstrip("."), "Leave it out.")
            return Scored(faults=error.faults or (fault,))
        except OtherSettingsError as error:
            raise OtherSettingsError(f"{case.id}: {error}", setting=error.setting) from error

    def __getstate__(self) -> dict[str, Any]:
        """The model on the CPU, so that a machine without a GPU can take it."""
        there = self._predictor.device
        network = self._predictor.network
        if there.type != "cpu":
            network = copy.deepcopy(network).cpu()
        cpu = replace(self._predictor, network=network, device=torch.device("cpu"))
        return {"made": self._made, "predictor": cpu, "there": there.type}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """The model where it computes here."""
        predictor = state["predictor"]
        if state["there"] == "cuda" and torch.cuda.is_available():
            where = torch.device("cuda")
            predictor = replace(predictor, network=predictor.network.to(where), device=where)
        self._made, self._predictor = state["made"], predictor
        self.evaluation = self._made(predictor)


def lost(task: Task) -> Scored:
    """What came of a case whose process ended twice."""
    return Scored(faults=(ended(task[0]),))
