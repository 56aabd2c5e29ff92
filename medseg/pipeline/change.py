"""What may be changed of a run that goes on: what it can still honour as if it had begun with it, and no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from medseg.component import Allowed, build, resolve
from medseg.errors import RunError
from medseg.files.inside import inside
from medseg.pipeline.declaration.anew import anew
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.overrides import override
from medseg.pipeline.folder import DECLARATION, RunFolder, State
from medseg.pipeline.made import clear
from medseg.pipeline.resolve import Resolved
from medseg.places import written_whole
from medseg.yaml import write_yaml

_OPEN = ("loading.workers", "loading.cache")  # they change no number


@dataclass(frozen=True)
class Change:
    """How the definition of a run differs from the one that it began with.

    Attributes:
        before: The definition until now.
        after: The definition from now on.
        paths: Dotted keys whose values differ.
        again: The first step that goes on from its checkpoint with other settings; empty if there is none.
        anew: The command that begins a new run of what was asked for.
    """

    before: PipelineDefinition
    after: PipelineDefinition
    paths: tuple[str, ...]
    again: str
    anew: str

    def done(self, state: State) -> tuple[str, ...]:
        """Steps that stay done."""
        first = list(self.after.steps).index(self.again) if self.again else len(self.after.steps)
        return tuple(name for name in state.done if name in list(self.after.steps)[:first])

    def check(self, resolved: Resolved, folder: RunFolder, say: Callable[[str], None]) -> None:
        """Let the step that goes on look at what it did so far.

        Raises:
            RunError: It cannot go on in that way; says why.
        """
        if not self.again:
            return
        at = f"steps.{self.again}"
        before = build(self.before.steps[self.again], at=at, kind=None, allowed=resolved.allowed)
        step, place = resolved.steps[self.again], inside(folder.path, f"steps/{self.again}")
        try:
            note = step.changed_from(before, resolved.predictor.network, place)  # type: ignore[attr-defined]
        except RunError as error:
            raise RunError(f"{at}.{error} {self.anew}") from error
        if note:
            say(f"{at}: {note}")

    def keep(self, folder: RunFolder) -> None:
        """Make it the definition of the run: steps after the one that goes on are forgotten, and their files go.

        Killed before the end, the run is as it was, but for files of steps, which are then made again. Only between
        the last two writes its state and its definition do not fit, and the run is refused.
        """
        if not self.paths:
            return
        state = folder.read()
        steps = list(self.after.steps)
        done = self.done(state)
        clear(folder, state, steps[steps.index(self.again) + 1 :] if self.again else ())
        with written_whole(folder.path / DECLARATION[0]) as target:
            write_yaml(self.after.to_dict(), target)
            declared = {**state.declared, DECLARATION[0]: folder.digest(target)}
            made = {name: known for name, known in state.made.items() if known[0] in done}
            paths = tuple(dict.fromkeys([*state.changed, *self.paths]))
            folder.write(replace(state, done=done, made=made, declared=declared, changed=paths))


def changed(before: PipelineDefinition, assignments: Sequence[str]) -> PipelineDefinition:
    """A definition with `path=value` strings applied.

    Raises:
        DefinitionError: One of them leads nowhere, or its value is wrong.
    """
    if not assignments:
        return before
    return PipelineDefinition.from_dict(override(before.to_dict(), assignments), "--set")


def change_of(
    folder: RunFolder, state: State, after: PipelineDefinition, asked: Sequence[str], allowed: Allowed
) -> Change:
    """How a definition differs from that of a run, if the run can go on by it.

    Args:
        folder: Of the run.
        state: Of the run.
        after: Its definition from now on.
        asked: The `path=value` strings that made it so.
        allowed: Where declared objects may come from.

    Raises:
        RunError: It cannot; gives the reason, and the command that begins a new run.
    """
    before = PipelineDefinition.from_yaml(folder.path / DECLARATION[0])
    old, new = before.flat(), after.flat()
    absent = object()
    paths = tuple(path for path in {**old, **new} if old.get(path, absent) != new.get(path, absent))
    again = []
    begin = f"Begin a new run: {anew(folder.path, data=state.data is not None, assignments=asked)}"
    for path in paths:
        step = _step_that_goes_on(path, folder, state, before, allowed)
        if step is None:
            raise RunError(
                f"{path} of the run {state.name} cannot change any more: what it has done rests on it. Of what has "
                "begun, epochs, patience and pictures_every of a training can change, and loading.workers and "
                f"loading.cache. {begin}"
            )
        again.append(step)
    if paths and state.part_of is not None and state.part_of.of_sweep:
        raise RunError(
            f"the run {state.name} is one of the sweep {state.part_of.name}, which ranks its runs as they were "
            "declared: --set cannot change one of them. Run the pipeline by itself with these values: "
            "medseg pipeline run"
        )
    if paths and state.part_of is not None:
        raise RunError(
            f"the run {state.name} is a fold of {state.part_of.name}, whose folds are all alike: --set cannot change "
            "one of them. Start the folds again with it: medseg pipeline folds"
        )
    first = next((name for name in before.steps if name in again), "")
    idle = state.status == "FINISHED" and set(before.steps) <= set(state.done)
    if asked and idle and not first:
        raise RunError(f"the run {state.name} is finished, and --set changes nothing that is done again.")
    return Change(before, after, paths, first, begin)


def _step_that_goes_on(
    path: str, folder: RunFolder, state: State, before: PipelineDefinition, allowed: Allowed
) -> str | None:
    """The step that goes on with another value of its own at a path, empty if none has to; None if it may not."""
    if path in _OPEN:
        return ""
    room, _, rest = path.partition(".")
    name, _, setting = rest.partition(".")
    if room != "steps" or name not in before.steps:
        return None
    kind = resolve(before.steps[name]["_target_"], at=f"steps.{name}", allowed=allowed)
    changeable = getattr(kind, "changeable", ())
    trained = bool(changeable) and (folder.path / "steps" / name).is_dir()
    if name not in state.done and not trained:
        return ""
    return name if setting in changeable else None
