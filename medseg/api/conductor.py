"""One run of one pipeline in this process: pipeline, data and trackers joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any

from medseg.api.finding import experiment_named, experiment_of, shown_name
from medseg.api.result import RunResult
from medseg.datasets.case import cases_text
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import MedsegError
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.folder import DECLARATION, RunFolder, State
from medseg.pipeline.options import RunOptions, working
from medseg.pipeline.signature import refuse_damaged_key
from medseg.pipeline.study.part import Part
from medseg.places import written_whole
from medseg.progress import LOADING, Progress, quiet_libraries
from medseg.recorder import Recorder, Status
from medseg.text import agreed, many
from medseg.yaml import write_yaml

if TYPE_CHECKING:
    from medseg.pipeline.duplicates import SharedCopies
    from medseg.pipeline.gather import Gathered
    from medseg.pipeline.resolve import Resolved
    from medseg.pipeline.sharing import KeptSplit
    from medseg.tracking.mlflow.recorder import MlflowRecorder


@dataclass(frozen=True)
class Conductor:
    """Joins one pipeline, its data and its trackers for one process.

    Attributes:
        definition: The pipeline.
        manifest: Of its data.
        root: Folder of the data; None where they are generated.
        options: What the caller asks for, or asked for when the run began; its packages are those that he allows now.
        tracking_uri: Of MLflow.
        progress: Where it is shown.
        set: What makes the definition another than that of a run that goes on.
        watch: Who is told too what the run records.
    """

    definition: PipelineDefinition
    manifest: Manifest
    root: Path | None
    options: RunOptions
    tracking_uri: str | None
    progress: Progress
    set: Sequence[str] = ()
    watch: Sequence[Recorder] = ()

    def start(
        self, part_of: Part | None = None, look: Callable[[Gathered], Gathered] | None = None
    ) -> RunResult:
        """Check everything, then begin a new run; arguments as of `medseg.api.running.begin`."""
        from medseg.tracking.mlflow.address import default_uri, reach  # noqa: PLC0415
        from medseg.tracking.mlflow.registry import refuse_unregistrable  # noqa: PLC0415
        from medseg.tracking.mlflow.store import refuse_login  # noqa: PLC0415

        uri = default_uri(self.tracking_uri)
        reach(uri)
        refuse_login(uri)
        refuse_damaged_key()
        with quiet_libraries(), working(self.options, self.progress):
            again = look is not None or (part_of is not None and part_of.follows)
            resolved, gathered = self._checked(going_on=again)
            if look is not None:
                gathered = look(gathered)
            shared = self._shared(resolved, gathered)
            learned = () if look is not None else self._say_learned(resolved, shared)
            if self.options.register:  # last, for it makes the registered model
                refuse_unregistrable(uri, experiment_named(self.definition.name, generated=self.root is None))
            options = self.options.but(tags=(*self.options.tags, *learned))
            return replace(self, options=options).begun(uri, resolved, gathered, shared, part_of)

    def begun(
        self, uri: str, resolved: Resolved, gathered: Gathered, shared: SharedCopies, part_of: Part | None
    ) -> RunResult:
        """Run what was checked, in a new folder."""
        from medseg.pipeline.preparing import rows_of  # noqa: PLC0415
        from medseg.tracking.mlflow.address import masked, place_below  # noqa: PLC0415

        folder = RunFolder.create(self.definition.name)
        self._keep_declaration(folder)
        state = State(
            folder.path.name,
            self.definition.name,
            None if self.root is None else str(self.root.resolve()),
            self.options.but(own_store=place_below(uri, Path())),
            tracking_uri=masked(uri),
            data_fingerprint=gathered.report.fingerprint(),
            declared=folder.declaration(),
            part_of=part_of,
            unprepared=rows_of(gathered.unprepared),
            sample=gathered.generated,
            mixture=gathered.report.mixture(),
        )
        try:
            folder.claim(replace(state, status="KILLED"))
            self._say_unlocked(folder)
            tracker = self._first_tracker(folder, uri, gathered)
            return self._conduct(folder, uri, resolved, gathered, shared, tracker)
        finally:
            folder.let_go()

    def resume(
        self,
        folder: RunFolder,
        state: State,
        *,
        take_over: bool = False,
        vouched: Mapping[str, Any] | None = None,
    ) -> RunResult:
        """Go on with a run; arguments as of `RunFolder.claim`."""
        from medseg.tracking.mlflow.address import default_uri, reach  # noqa: PLC0415

        uri = default_uri(self.tracking_uri)
        reach(uri)
        with quiet_libraries(), working(self.options, self.progress):
            folder.claim(state, take_over=take_over, vouched=vouched)
            try:
                self._say_unlocked(folder)
                return self._gone_on(folder, state, uri)
            finally:
                folder.let_go()

    def _gone_on(self, folder: RunFolder, state: State, uri: str) -> RunResult:
        from medseg.pipeline.change import change_of  # noqa: PLC0415
        from medseg.pipeline.made import go_back  # noqa: PLC0415
        from medseg.pipeline.preparing import faults_of  # noqa: PLC0415
        from medseg.pipeline.run import refuse_changed_data  # noqa: PLC0415
        from medseg.pipeline.sharing import KeptSplit  # noqa: PLC0415

        try:
            before = replace(go_back(folder, self.progress.say), status=state.status)
            change = change_of(folder, before, self.definition, self.set, self.options.allowed)
            resolved, gathered = self._checked(change.done(before), going_on=True)
            gathered = gathered.without(faults_of(before.unprepared))
            refuse_changed_data(state, gathered)
            change.check(resolved, folder, partial(self.progress.say, loud=True))
            kept = KeptSplit(folder.path / "split.json", before.split_digest)
            shared = self._shared(resolved, gathered, kept)
            change.keep(folder)
            tracker = self._tracker(folder, uri, gathered.generated)
        except BaseException:
            now = folder.read()
            lost = state.status == "FINISHED" and now.done != state.done  # some steps have to be done again
            ended: Status = "KILLED" if lost or state.status == "RUNNING" else state.status
            folder.write(replace(now, status=ended))
            raise
        return self._conduct(folder, uri, resolved, gathered, shared, tracker)

    def _say_unlocked(self, folder: RunFolder) -> None:
        from medseg.pipeline.process import holds  # noqa: PLC0415

        if not holds(folder.path):
            self.progress.say(
                "The working folder is on a file system without file locks: two commands that go on with this run "
                "at once are not kept apart, and after a kill it goes on with --take-over alone. Local disks have "
                "locks, and so have network shares that are mounted with them.",
                loud=True,
            )

    def _keep_declaration(self, folder: RunFolder) -> None:
        manifest = self.manifest.model_dump(by_alias=True, exclude_none=True)
        for name, content in zip(DECLARATION, (self.definition.to_dict(), manifest), strict=True):
            with written_whole(folder.path / name) as target:
                write_yaml(content, target)

    def _checked(self, done: Sequence[str] = (), *, going_on: bool) -> tuple[Resolved, Gathered]:
        with self.progress.bar(LOADING, 1) as bar:
            from medseg.pipeline import gather  # noqa: PLC0415
            from medseg.pipeline.resolve import resolve  # noqa: PLC0415
            from medseg.pipeline.run import choose_device  # noqa: PLC0415

            bar.advance()
        definition, manifest, options = self.definition, self.manifest, self.options
        generated = self.root is None
        choose_device(options.device)
        resolved = resolve(definition, manifest, options.allowed, done=done)
        root = gather.find_data(definition, manifest, self.root, options, self.progress)
        named: dict[str, Any] = {"generated": generated, "reference": definition.reference}
        report = gather.check_data(manifest, definition.channels, root, options, self.progress, **named)
        if not generated and (note := report.origin_note()):
            self.progress.say(note, loud=True)
        for note in report.listing.notes:
            self.progress.say(f"{note}.", loud=True)
        for row in report.image_note_rows():
            self.progress.say(f"{cases_text(row['ids'])}: {row['note']}.", loud=True)
        otherwise = gather.CHANGED if going_on else ""
        gathered = gather.gather(report, skip_bad=options.skip_bad, otherwise=otherwise)
        if report.faults:
            self.progress.say(f"{gather.without_text(gathered)} (left_out.csv).", loud=True)
        if skipped := report.skipped_note():
            self.progress.say(f"{skipped} (left_out.csv).", loud=True)
        return resolved, gathered

    def _shared(self, resolved: Resolved, gathered: Gathered, kept: KeptSplit | None = None) -> SharedCopies:
        from medseg.pipeline.sharing import refuse, share_out, share_out_again  # noqa: PLC0415

        say, known = partial(self.progress.say, loud=True), (self.definition, gathered.cases, gathered.report)
        shared = share_out(*known, resolved) if kept is None else share_out_again(*known, kept, say, resolved)
        refuse(resolved, shared, allow_duplicates=self.options.allow_duplicates, say=say)
        return shared

    def _say_learned(self, resolved: Resolved, shared: SharedCopies) -> list[str]:
        """Say which steps begin with a model that knows test cases; gives tags that say so."""
        from medseg.api.scoring.learned import learned_in  # noqa: PLC0415  # scoring conducts runs itself

        named = set(shared.split.cases("test"))
        test = [case for case in shared.cases if case.id in named]
        found = list(learned_in(resolved.steps, test))
        for step, count in found:
            self.progress.say(
                f"LEARNED CASES: {count} of {many(len(test), 'test case')} {agreed('have', count)} the name, or the "
                f"patient, of one that the model of steps.{step} has learned from or was chosen by. If they are the "
                "same, test scores are too good: share the cases out as the run of that model did (split.file).",
                loud=True,
            )
        return [f"{step}.learned_test_cases={count}" for step, count in found]

    def _conduct(
        self,
        folder: RunFolder,
        uri: str,
        resolved: Resolved,
        gathered: Gathered,
        shared: SharedCopies,
        tracker: MlflowRecorder,
    ) -> RunResult:
        from medseg.pipeline.made import without_records  # noqa: PLC0415
        from medseg.pipeline.run import Job, choose_device, execute  # noqa: PLC0415
        from medseg.tracking.fan_out import FanOut  # noqa: PLC0415
        from medseg.tracking.jsonl import FolderRecorder  # noqa: PLC0415
        from medseg.tracking.mlflow.address import masked, place_below  # noqa: PLC0415

        now = without_records(folder.read())
        options = now.options.but(own_store=place_below(uri, folder.path.absolute().parent.parent))
        state = folder.write(replace(now, tracked=tracker.run_id, tracking_uri=masked(uri), options=options))
        own = FolderRecorder(folder.path, self.progress.say)
        tracker.give_back(own)
        recorder = FanOut([own, tracker, *self.watch])
        device = choose_device(self.options.device)
        job = Job(resolved, gathered, shared, folder, recorder, self.progress, device, self.options)
        work = execute(job)
        return RunResult(
            state.name,
            folder.path.absolute(),
            tracker.run_id,
            state.tracking_uri,
            gathered.generated,
            work.split.leaking,
            self.options.allow,
            tracker.refused,
            state.mixture,
        )

    def _first_tracker(self, folder: RunFolder, uri: str, gathered: Gathered) -> MlflowRecorder:
        """Of a new run; where its store refuses it, nothing is left that could be gone on with, shown or used."""
        try:
            return self._tracker(folder, uri, gathered.generated)
        except BaseException as error:
            status: Status = "FAILED" if isinstance(error, Exception) else "KILLED"
            folder.write(replace(folder.read(), status=status))
            if isinstance(error, MedsegError):
                rmtree(folder.path, ignore_errors=True)
            raise

    def _tracker(self, folder: RunFolder, uri: str, generated: bool) -> MlflowRecorder:
        from medseg.tracking.mlflow.recorder import MlflowRecorder  # noqa: PLC0415

        state = folder.read()
        # A process killed before it noted the id may have made the run.
        tracked = state.tracked or MlflowRecorder.find(uri, experiment_of(state), folder.path)
        own, name = self.options, experiment_of(state)
        register = (name, own.register) if own.register else None
        if tracked:
            return MlflowRecorder.resume(uri, tracked, folder.path, say=self.progress.say, register=register)
        note = f"{self.definition.about}\n\nResearch use only; not a medical device."
        if generated:
            note = f"**GENERATED DATA: says nothing about real patients.**\n\n{note}"
        if state.mixture:
            note = f"**GENERATED CASES among others: {state.mixture}.**\n\n{note}"
        if own.note:
            note = f"{own.note}\n\n{note}"
        return MlflowRecorder.start(
            uri,
            experiment=name,
            name=shown_name(state, own),
            folder=folder.path,
            note=note,
            tags=own.own_tags(),
            say=self.progress.say,
            register=register,
        )


def conductor_of(
    definition: PipelineDefinition,
    manifest: Manifest,
    root: Path | None,
    options: RunOptions,
    tracking_uri: str | None,
    shown: Progress,
    watch: Sequence[Recorder] = (),
) -> Conductor:
    """Of a new run; its definition has nothing left to the data: their classes, and what follows from them.

    Args:
        definition: As declared.
        manifest: Of the data.
        root: As of `Conductor`, like all that follows.
        options: What the caller says.
        tracking_uri: Of MLflow.
        shown: Where progress is shown.
        watch: Who is told too what the run records.
    """
    with shown.bar(LOADING, 1) as bar:
        from medseg.pipeline.declaration.completion import complete  # noqa: PLC0415
        from medseg.pipeline.run import choose_device  # noqa: PLC0415

        bar.advance()
    choose_device(options.device)
    with quiet_libraries():
        whole = complete(definition, manifest, root, options.allowed)
    return Conductor(whole.definition, whole.manifest, root, options, tracking_uri, shown, watch=tuple(watch))
