"""Whether the steps of a pipeline stand in an order in which each has what it rests on."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import replace

from medseg.errors import DefinitionError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.multilabel import THRESHOLD
from medseg.learning.tasks.task import CutTask, Task, TemperatureTask
from medseg.steps.step import Stage, Step


def refuse_unfed(steps: Mapping[str, Step]) -> None:
    """Refuse a step that needs what no step before it gives, where steps say so.

    Raises:
        DefinitionError: There is one.
    """
    given: set[str] = set()
    for name, step in steps.items():
        for need in getattr(step, "needs", ()):
            if need not in given:
                later = [other for other, each in steps.items() if need in getattr(each, "gives", ())]
                remedy = (
                    f"Put steps.{later[0]} before it."
                    if later
                    else "Put a step before it that gives them, such as {_target_: medseg.steps.Embed}."
                )
                raise DefinitionError(
                    f"steps.{name} needs {need}, and no step before it gives them. {remedy}"
                )
        given.update(getattr(step, "gives", ()))


def refuse_outdated(steps: Mapping[str, Step]) -> None:
    """Refuse a step that changes what an earlier one has rested on, and that is not done again.

    A threshold or a temperature is that of the weights it was found for, and scores are those of the model that was
    scored: if the model changes afterwards, what is kept and what was said of it differ.

    Raises:
        DefinitionError: There is one.
    """
    stages = {name: found for name, step in steps.items() if (found := _stage(step)) is not None}
    settled = {name: getattr(steps[name], "settles", found) for name, found in stages.items()}
    names = list(stages)
    for place, name in enumerate(names):
        changing = [each for each in names[place + 1 :] if stages[each] < settled[name]]
        if not changing:
            continue
        last = names.index(changing[-1])
        again = {_kind(steps[each]) for each in names[last + 1 :]}
        # a step that settles more than it makes does so for what it has changed itself
        beyond = {settled[each] for each in names[last:] if settled[each] > stages[each]}
        if settled[name] > stages[name]:
            beyond |= {settled[each] for each in names[last + 1 :]}
        if _kind(steps[name]) not in again and settled[name] not in beyond:
            raise DefinitionError(_outdated(name, changing[-1], settled[name], steps[name]))


def without_outdated(predictor: Predictor, step: Step, declared: Task) -> tuple[Predictor, str]:
    """The model as a step begins with it: without what was chosen for a model that the step is about to change.

    `refuse_outdated` sees steps alone; a model that `UseModel` takes brings what steps of another run have chosen.

    Args:
        predictor: As the step before left it; it comes back as it is where nothing has to go.
        step: The next one.
        declared: The task of the definition, whose threshold and temperature count again.

    Returns:
        The model, and what is gone from it as a person reads it; empty for nothing.
    """
    stage = _stage(step)
    changed = Stage.SCORES if stage is None else stage
    gone: list[str] = []
    if changed < Stage.LOGITS and predictor.flips:
        gone.append("the mean over mirror images")
        predictor = replace(predictor, flips=())
    if changed < Stage.LOGITS and predictor.others:
        gone.append("the models of other axes")
        predictor = replace(predictor, others=())
    if changed < Stage.DECISION:
        task, decided = _undecided(predictor.task, declared)
        gone += decided
        predictor = replace(predictor, task=task) if decided else predictor
    if changed < Stage.LABELS and predictor.cleaning:
        gone.append("the post-processing")
        predictor = replace(predictor, cleaning=())
    return predictor, ", ".join(gone)


def _undecided(task: Task, declared: Task) -> tuple[Task, list[str]]:
    """A task with threshold and temperature of the declared one, and what it had in place of them."""
    gone = []
    if isinstance(task, CutTask):
        given = declared.cuts if isinstance(declared, CutTask) else {}
        cuts = {name: given.get(name, THRESHOLD) for name in task.cuts}
        if other := [value for name, value in task.cuts.items() if value != cuts[name]]:
            listed = ", ".join(f"{value:.4g}" for value in other)
            gone.append(f"the threshold{'s' if len(other) > 1 else ''} {listed}")
            task = task.with_cuts(cuts)
    if isinstance(task, TemperatureTask):
        temperature = declared.temperature if isinstance(declared, TemperatureTask) else 1.0
        if task.temperature != temperature:
            gone.append(f"the temperature {task.temperature:.4g}")
            task = task.at_temperature(temperature)
    return task, gone


def _outdated(name: str, last: str, stage: Stage, step: Step) -> str:
    done = {
        Stage.LOGITS: "was chosen for the model as it was before",
        Stage.DECISION: "was fitted to the model as it was before",
        Stage.LABELS: "was chosen for the model as it was before",
        Stage.SCORES: "has scored the model as it was before",
    }[stage]
    like = (
        "a step {_target_: medseg.steps.ScaleTemperature}" if hasattr(step, "settles") else "a step like it"
    )
    return (
        f"steps.{last} changes the model after steps.{name}, which {done}: what is kept at the end would not be what "
        f"steps.{name} saw. Put steps.{name} after steps.{last}, or {like} once more."
    )


def _stage(step: Step) -> Stage | None:
    """What of a model a step makes; None of one that makes nothing of it, or does not say so."""
    return Stage.SCORES if hasattr(step, "evaluation") else getattr(step, "stage", None)


def _kind(step: Step) -> Hashable:
    """What makes a step the same as another: its class, or the role that it scores."""
    return getattr(step, "role", None) if hasattr(step, "evaluation") else type(step)
