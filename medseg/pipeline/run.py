"""Running a pipeline: split, prepare, then step after step, each of which is done once and recorded."""

from __future__ import annotations

import csv
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import torch

from medseg.datasets.case import Case
from medseg.datasets.roles import ROLES, UNLABELLED
from medseg.errors import DefinitionError, RunError
from medseg.figures.saving import save_figure
from medseg.learning.inference.training_profile import TrainingProfile, profile_facts
from medseg.machine.crew.crew import Crew
from medseg.machine.ranks.ranks import led
from medseg.pipeline.about import run_about, run_tags
from medseg.pipeline.audit.certificate import leak_tags
from medseg.pipeline.audit.earlier import Earlier, with_earlier
from medseg.pipeline.audit.looking import Images, Loaded, certify
from medseg.pipeline.audit.standing import altered
from medseg.pipeline.checks.order import without_outdated
from medseg.pipeline.checks.shortfalls import cut_away_note, enlarged_note, unlearned_note
from medseg.pipeline.declaration.anew import needed
from medseg.pipeline.declaration.definition import flatten
from medseg.pipeline.declaration.public import public_definition
from medseg.pipeline.duplicates import SharedCopies
from medseg.pipeline.folder import TRACKED, RunFolder, State
from medseg.pipeline.gather import Gathered
from medseg.pipeline.made import DATA_PICTURE, damaged, keep_certificate, keep_made, keep_result, stamps
from medseg.pipeline.options import RunOptions, working
from medseg.pipeline.preparing import prepared, rows_of
from medseg.pipeline.resolve import Resolved
from medseg.pipeline.sharing import refuse, share_out
from medseg.places import written_whole
from medseg.progress import Progress
from medseg.recorder import DataInput, Recorder, Status
from medseg.slices.store.store import SliceStore
from medseg.splits.split import Split
from medseg.splits.unlabelled import REASONS
from medseg.steps.pictures import data_picture, shown_cases
from medseg.steps.step import Run, Work
from medseg.yaml import to_yaml

_SHOWN_CASES = 3
_LONGEST_TAG = 5000  # characters, of MLflow
_SETTLED = "What was learned so far rests on all cases, so that --skip-bad leaves out no more of them."


@dataclass(frozen=True)
class Job:
    """What is run, where, and who gets its progress and records.

    Attributes:
        resolved: The definition with all its parts.
        gathered: The cases.
        shared: Their roles, and the copies among them.
        folder: Of the run.
        recorder: Where it is written down.
        progress: Where it is shown.
        device: Where networks compute.
        options: What the caller says.
    """

    resolved: Resolved
    gathered: Gathered
    shared: SharedCopies
    folder: RunFolder
    recorder: Recorder
    progress: Progress
    device: torch.device
    options: RunOptions


def choose_device(expected: str) -> torch.device:
    """What `auto`, `cpu` and `cuda` mean here.

    Raises:
        DefinitionError: CUDA was asked for and is not there, or the word is none of the three.
    """
    if expected not in ("auto", "cpu", "cuda"):
        raise DefinitionError(f"the device is {expected!r}, expected auto, cpu or cuda.")
    there = torch.cuda.is_available()
    if expected == "cuda" and not there:
        raise DefinitionError(
            "no CUDA device can be used here. Use --device auto or cpu, or install a CUDA build of torch and the "
            "driver."
        )
    return torch.device("cuda" if there and expected != "cpu" else "cpu")


def execute(job: Job) -> Work:
    """Do whatever of the run is not done yet, and end its record.

    Raises:
        MedsegError: What went wrong; the run is then FAILED, and can be continued.
    """
    try:
        with working(job.options, job.progress) as crew:
            work = _all_steps(job, crew)
        _end(job, "FINISHED")
    except KeyboardInterrupt:
        _end(job, "KILLED")
        raise
    except BaseException as error:
        _end(job, "FAILED", needed(error, job.resolved.definition.steps, job.folder.read().done))
        raise
    return work


def _end(job: Job, status: Status, anew: str = "") -> None:
    """Note how it ends, tell the trackers, write it down: whatever fails or is killed, the rest can be done."""
    with ExitStack() as last_first:
        last_first.callback(lambda: job.folder.write(replace(job.folder.read(), status=status, ending="")))
        last_first.callback(job.recorder.close, status)
        job.folder.write(replace(job.folder.read(), ending=status, anew=anew))


def _all_steps(job: Job, crew: Crew) -> Work:
    definition = job.resolved.definition
    public = public_definition(definition, job.resolved.manifest)
    tracked = job.folder.path / TRACKED / "definition.yaml"
    with written_whole(tracked) as target:
        target.write_text(to_yaml(public), encoding="utf-8")
    job.recorder.artifact(tracked)
    job.recorder.params(flatten(public))
    if changed := job.folder.read().changed:
        now = flatten(public)
        job.recorder.tags(
            {"resumed.set": "; ".join(f"{path}={now.get(path)}" for path in changed)[:_LONGEST_TAG]}
        )
    job, store = _prepared(job, crew)
    _record_left_out(job)
    split = _split(job)
    job.progress.say(split.note())
    _tell_slices(job, store)
    work = _first_work(job, split, store)
    job.recorder.tags(run_tags(job.resolved, job.gathered, split, job.device))
    job.recorder.data(_inputs(job, split, store))
    run = Run(
        job.folder.path,
        "",
        definition.seed,
        job.device,
        definition.loading,
        job.recorder,
        job.progress,
        job.resolved.allowed,
        led(),
        crew,
    )
    scored = None
    for name, step in job.resolved.steps.items():
        state = job.folder.read()
        here = run.at(name)
        predictor, gone = without_outdated(work.predictor, step, job.resolved.predictor.task)
        work = replace(work, predictor=predictor)
        if name in state.done:
            work = step.recall(work, here)
            scored = work.predictor if hasattr(step, "evaluation") else scored
            continue
        if gone:
            job.progress.say(
                f"steps.{name} changes the model. What was chosen for it as it was before is left out: {gone}.",
                loud=True,
            )
        here.place.mkdir(parents=True, exist_ok=True)
        before = stamps(job.folder)
        work = step(work, here)
        keep_made(job.folder, state, name, before)
        scored = work.predictor if hasattr(step, "evaluation") else scored
    if (
        scored is not None and work.predictor is not scored
    ):  # by a step that does not say so: see `refuse_outdated`
        job.progress.say(
            "SCORES OF ANOTHER MODEL: a step after the last evaluation has changed the model. What is kept, and what "
            "`medseg predict` answers, is not what was scored.",
            loud=True,
        )
        job.recorder.tags({"scores.outdated": "a step after the last evaluation has changed the model"})
    _certify(job, split, store)
    folder = work.predictor.save(job.folder.path / "model")
    keep_result(job.folder)
    job.recorder.model(folder)
    return work


def _certify(job: Job, split: Split, store: SliceStore) -> None:
    """Keep the leak certificate: what leaks stands in the closing table and among the tags."""
    resolved, shared, report = job.resolved, job.shared, job.gathered.report
    certificate = certify(
        job.folder.path.name,
        resolved.definition,
        resolved.manifest,
        data=report.fingerprint(),
        digest=split.digest(),
        split=split,
        slices=[Loaded(each.case, each.group, each.position, each.role) for each in store.samples],
        steps=resolved.steps,
        task=resolved.predictor.task,
        images=Images(shared.used, report.facts, shared.duplicates),
    )
    # Of a run that has gone on after its end there is one already.
    certificate = with_earlier(certificate, Earlier.of(job.folder.path), mine=not altered(job.folder))
    for path in certificate.write(job.folder.path):
        job.recorder.artifact(path, "audit")
    keep_certificate(job.folder)
    job.recorder.tags(leak_tags(certificate))


def _record_left_out(job: Job) -> None:
    """Keep what is learned without, and why: public names, no paths; no case for faults of the data set itself."""
    report, split = job.gathered.report, job.shared.split
    faults = sorted((*report.faults, *report.skipped), key=lambda fault: fault.position)
    rows = [[fault.case, str(fault.position), fault.part, fault.found] for fault in faults]
    rows += [
        [case.id, str(case.position), "", f"without a label, and {REASONS[split.held_back[case.id]]}"]
        for case in job.shared.cases
        if case.id in split.held_back
    ]
    if not rows:
        return
    path = job.folder.path / "left_out.csv"
    with written_whole(path) as target, target.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["case", "position", "part", "fault"], *rows])
    job.recorder.artifact(path)


def _split(job: Job) -> Split:
    """Write the split down, and record it."""
    path, split = job.folder.path / "split.json", job.shared.split
    split.to_json(path)  # anew where it was damaged; else it is as it was
    job.folder.write(replace(job.folder.read(), split_digest=split.digest()))
    job.recorder.artifact(path)
    job.shared.record(job.resolved.definition.split, job.folder.path, job.recorder, job.progress)
    return split


def _prepared(job: Job, crew: Crew) -> tuple[Job, SliceStore]:
    """The slices, and the run with the cases that are left: none is left out once anything was learned with it."""
    state = job.folder.read()
    settled = bool(state.split_digest) or (state.part_of is not None and state.part_of.follows)
    mend = "Mend what is named and resume; or begin anew"
    gathered, shared, store = prepared(
        job.resolved,
        job.gathered,
        job.shared,
        leave_out=None if settled else partial(_leave_out, job),
        skip_bad=job.options.skip_bad,
        otherwise=f"{_SETTLED} {mend}."
        if job.options.skip_bad
        else f"{mend} without these cases: --skip-bad.",
        jobs=crew,
        progress=job.progress,
    )
    crew.rest()  # while the network learns
    return replace(job, gathered=gathered, shared=shared), store


def _leave_out(job: Job, gathered: Gathered) -> SharedCopies:
    """Keep which cases could not be prepared, so that the run goes on without them, and share out the others."""
    unprepared, fingerprint = rows_of(gathered.unprepared), gathered.report.fingerprint()
    job.folder.write(replace(job.folder.read(), unprepared=unprepared, data_fingerprint=fingerprint))
    shared = share_out(job.resolved.definition, gathered.cases, gathered.report, job.resolved)
    allowed, say = job.options.allow_duplicates, partial(job.progress.say, loud=True)
    refuse(job.resolved, shared, allow_duplicates=allowed, say=say)
    return shared


def _tell_slices(job: Job, store: SliceStore) -> None:
    preparation, task = job.resolved.predictor.preparation, job.resolved.predictor.task
    used = {case.id for case in job.shared.used}
    for note in (
        cut_away_note(store.cut_away(), preparation.rule.size),
        enlarged_note(preparation, used, job.gathered.report.facts),
        unlearned_note(store, task),
    ):
        if note:
            job.progress.say(note, loud=True)
    table = job.folder.path / "slices.csv"
    with written_whole(table) as target:
        store.frame().to_csv(target, index=False)
    job.recorder.artifact(table)  # whoever has the model from the store knows whom it has learned from


def _first_work(job: Job, split: Split, store: SliceStore) -> Work:
    cases = {case.id: case for case in job.shared.used}
    seen = set(split.cases("train"))  # by slice, all that have slices in training
    profiles = [profile_facts(facts) for facts in job.gathered.report.facts if facts.case in seen]
    predictor = replace(
        job.resolved.predictor,
        network=job.resolved.predictor.network.to(job.device),
        device=job.device,
        profile=TrainingProfile.of(profiles) if profiles else None,
        about=run_about(job.resolved, job.gathered, split, job.folder.path.name),
    )
    _log_data_picture(job, split, cases)
    return Work(cases, split, store, predictor)


def _log_data_picture(job: Job, split: Split, cases: dict[str, Case]) -> None:
    path = job.folder.path / DATA_PICTURE
    whole = path.is_file() and path.stat().st_size
    if not whole or damaged(job.folder, DATA_PICTURE):
        roles = (split.cases(role) for role in ROLES)  # of training, if anything is learned
        shown = shown_cases([cases[name] for name in sorted(next(filter(None, roles)))], _SHOWN_CASES)
        definition = job.resolved.definition
        mixture = job.gathered.report.mixture()
        name = f"{job.resolved.manifest.name}{f', {mixture} cases generated' if mixture else ''}"
        heading = "generated sample" if job.gathered.generated else name
        figure = data_picture(
            shown, job.resolved.manifest, definition.channels, definition.slices, heading=heading
        )
        save_figure(figure, path)
    job.recorder.artifact(path, "figures")


def _inputs(job: Job, split: Split, store: SliceStore) -> list[DataInput]:
    manifest, digest = job.resolved.manifest, job.gathered.report.fingerprint()
    generated = job.gathered.generated
    return [
        DataInput(
            f"{manifest.name}-generated" if generated else manifest.name,
            digest,
            role,
            {
                "cases": len(split.cases(role)),
                "groups": len(split.groups(role)),
                "slices": len(store.role(role)),
            },
            "A generated sample: no patient is in it." if generated else manifest.source,
        )
        for role in (*ROLES, *([UNLABELLED] if split.cases(UNLABELLED) else []))
    ]


def refuse_changed_data(state: State, gathered: Gathered) -> None:
    """Compare the data of a run that goes on with those it began with.

    Raises:
        RunError: They have changed.
    """
    if state.data_fingerprint and state.data_fingerprint != gathered.report.fingerprint():
        raise RunError(
            f"the data have changed since {state.name} began, so that it cannot end as it would have. Start the "
            "pipeline again."
        )
