"""What a step is: it takes the work so far and gives more of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

import torch

from medseg.component import Allowed
from medseg.datasets.case import Case
from medseg.learning.inference.predictor import Predictor
from medseg.learning.training.loading import Loading
from medseg.machine.crew.crew import Crew, Here
from medseg.machine.ranks.ranks import ALONE, Ranks
from medseg.progress import Progress
from medseg.recorder import Recorder
from medseg.slices.store.store import SliceStore
from medseg.splits.split import Role, Split

Fits = Mapping[str, tuple[Role, ...] | None]
"""What a step fits, and on which roles; None: it was learned elsewhere."""


def fits_of(step: Any, task: Any) -> Fits | None:
    """What a step fits with a task.

    Args:
        step: Any step.
        task: That it is run with; None: what it fits with whatever task.

    Returns:
        None where the step does not say.
    """
    by_task = getattr(step, "fits_of", None)
    found: Fits | None = getattr(step, "fits", None) if by_task is None or task is None else by_task(task)
    return found


@dataclass(frozen=True)
class Work:
    """What the steps have made so far.

    Attributes:
        cases: All cases, by id.
        split: Their roles.
        store: Their slices.
        predictor: The model: untrained at first, then as the last step left it.
        tables: Files of scores by role.
        artifacts: What steps have made beyond that, by name: features, accepted pseudo-labels, an ensemble. A step
            that gives one gives it again in `recall`.
        epochs: How many were trained so far, by all steps: the place of what is recorded.
    """

    cases: Mapping[str, Case]
    split: Split
    store: SliceStore
    predictor: Predictor
    tables: Mapping[str, Path] = field(default_factory=dict)
    artifacts: Mapping[str, object] = field(default_factory=dict)
    epochs: int = 0

    def of(self, role: Role) -> list[Case]:
        """The cases of a role, in the order of their ids; by slice, pictures whose only slice has it."""
        found = [self.cases[name] for name in sorted(self.split.cases(role))]
        if self.split.leaking and self.predictor.preparation.files.flat:
            return [case for case in found if self.split.role(case.id) == role]
        return found


@dataclass(frozen=True)
class Run:
    """Where and how, never what.

    Attributes:
        folder: Of the whole run.
        step: Name of the step that runs.
        seed: Of everything random.
        device: Where networks compute.
        loading: How slices come as batches.
        recorder: Where it is written down.
        progress: Where it is shown.
        allowed: Where declared objects may come from.
        ranks: The processes that train together.
        crew: Who does what is done case by case.
    """

    folder: Path
    step: str
    seed: int
    device: torch.device
    loading: Loading
    recorder: Recorder
    progress: Progress
    allowed: Allowed
    ranks: Ranks = ALONE
    crew: Crew = field(default_factory=Here)

    @property
    def place(self) -> Path:
        """The step's own folder."""
        return self.folder / "steps" / self.step

    @property
    def figures(self) -> Path:
        """Where pictures of the run lie."""
        return self.folder / "figures"

    def at(self, step: str) -> Run:
        """The same run at another step."""
        return replace(self, step=step)


class Stage(IntEnum):
    """What of a model a step makes; each rests on those before it.

    A step says so by an attribute `stage`, if it makes any of it. Steps with `evaluation` make the scores.
    """

    WEIGHTS = 0
    LOGITS = 1  # such as the mean over mirror images
    DECISION = 2  # such as a threshold or a temperature
    LABELS = 3  # such as their largest component
    SCORES = 4


class Evaluates(Protocol):
    """A step that scores a role; how a step is found that does, whatever it is called.

    `hasattr(step, "evaluation")` tells it from the other steps: of a built step, or of its class.
    """

    @property
    def role(self) -> Role:
        """The role that is scored."""

    def evaluation(self, predictor: Predictor) -> Any:
        """An empty `medseg.steps.evaluation.evaluation.Evaluation` of a model, with the settings of the step."""


class Step(Protocol):
    """One thing that a pipeline does.

    A step may have `gives` and `needs`, names of `Work.artifacts`: then a definition in which no step before it gives
    what it needs is refused before anything runs. It says what it `fits`, such as `{"threshold": ("val",)}`, and `{}`
    if it fits nothing: the leak certificate of a run lists it, and names a step that does not say. Where that depends
    on the task, `fits_of(task)` says the whole. It may have a
    `stage`, what of the model it makes: then a definition is refused in which a later step changes what it rests on,
    and the step begins without what was chosen for the model as it was, such as by the run of a model that is taken.
    Where it makes more, as one that trains and finds a temperature, `settles` is the last stage of it.
    """

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that must have patients."""

    def __call__(self, work: Work, run: Run) -> Work:
        """Do it; what was begun by a run that was interrupted goes on."""

    def check(self, predictor: Predictor) -> None:
        """Refuse what can be known to be wrong before anything runs.

        Args:
            predictor: Untrained; the step may look at its network, and must leave it as it is.

        Raises:
            DefinitionError: The step cannot do its work.
        """

    def recall(self, work: Work, run: Run) -> Work:
        """Give what an earlier `__call__` in this run gave, from its folder, without doing it again."""
