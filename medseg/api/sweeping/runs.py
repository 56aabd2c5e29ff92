"""The runs of a sweep, one by one: each as it has ended, to its end, or begun."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from medseg.api.conductor import conductor_of
from medseg.api.result import RunResult
from medseg.api.running import ended, go_on
from medseg.api.strangers import Given
from medseg.api.sweeping.definitions import learned, scored, with_values
from medseg.api.sweeping.result import val_score
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.made import damaged
from medseg.pipeline.study.part import Part
from medseg.pipeline.study.sweep import Sweep
from medseg.progress import Progress
from medseg.recorder import Recorder


@dataclass(frozen=True)
class Runs:
    """The runs of a sweep.

    Attributes:
        asked: What was asked for, with the options that count now.
        definition: That of all runs, but for what varies.
        manifest: Of the data.
        uri: Of MLflow.
        shown: Where progress is shown.
    """

    asked: Sweep
    definition: PipelineDefinition
    manifest: Manifest
    uri: str
    shown: Progress

    @classmethod
    def of(cls, asked: Sweep, uri: str, shown: Progress) -> Runs:
        """Those of a sweep, tracked at an address."""
        declared = asked.declared
        definition = PipelineDefinition.from_dict(declared["definition"], asked.name)
        return cls(asked, definition, Manifest.from_json(declared["manifest"]), uri, shown)

    def score_of(self, trial: int, seed: int, values: Sequence[str], watch: Sequence[Recorder]) -> float:
        """The validation score of one run.

        Args:
            trial: Number of the combination of values, from 0.
            seed: Number of the seed, from 0.
            values: `path=value` strings.
            watch: Who is told too what the run records.

        Raises:
            StoppedEarly: Who watches has stopped it.
            MedsegError: It cannot be trained, or has no score.
        """
        definition = learned(self.with_values(values, seed), self.asked.options.allowed)
        result = self.run(self.asked.part(trial, seed), definition, watch)
        score = val_score(result.folder)
        if score is None or not math.isfinite(score):
            raise RunError("it has no validation score to be ranked by.")
        return score

    def with_values(self, values: Sequence[str], seed: int) -> PipelineDefinition:
        """The definition with values of a combination, and of one seed."""
        found = with_values(self.definition, values)
        return found if seed == 0 else with_values(found, [f"seed={found.seed + seed}"])

    def winner(self, trial: int, seed: int, values: Sequence[str]) -> RunResult:
        """A run that scores the winner; that which learned it, where no step scores the test part.

        Raises:
            RunError: The run that learned it is gone.
        """
        found = self.asked.run_of(self.asked.part(trial, seed))
        if found is None:
            raise RunError(f"the run of combination {trial + 1} of {self.asked.name} is gone.")
        folder = found[0]
        allowed = self.asked.options.allowed
        definition = scored(self.with_values(values, seed), (folder.path / "model").resolve(), allowed)
        if definition is None:
            return ended(folder, self.asked.options.allow)
        if seed == 0 and self.asked.run_of(self.asked.winner(seed)) is None:
            self.shown.say(f"The winner is scored on the test part: {', '.join(values) or 'as declared'}.")
        return self.run(self.asked.winner(seed), definition, [])

    def run(self, part: Part, definition: PipelineDefinition, watch: Sequence[Recorder]) -> RunResult:
        """A run of the sweep: as it has ended, to its end, or begun."""
        found, options = self.asked.run_of(part), self.asked.options
        if found is None:
            own = replace(options, tags=(*options.tags, f"sweep={self.asked.name}"), note="", run_name=None)
            root = None if self.asked.data is None else Path(self.asked.data)
            conductor = conductor_of(definition, self.manifest, root, own, self.uri, self.shown, watch)
            return conductor.start(part)
        folder, state = found
        if state.status == "FINISHED" and not damaged(folder):
            return ended(folder, options.allow)
        given = Given.of(None, options.allow, tracking_uri=self.uri)
        return go_on(folder, given, self.shown, watch)
