"""External validation: a saved model scored on labelled data that it has not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.conductor import Conductor
from medseg.api.finding import mark_gone
from medseg.api.models import load_model, model_folder
from medseg.api.result import RunResult
from medseg.api.scoring.learned import TAG, learned_by
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError
from medseg.named import find_manifest
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.options import RunOptions, refuse_own_tags
from medseg.progress import LOADING, Progress, Silent, quiet_libraries
from medseg.text import agreed, many
from medseg.yaml import read_yaml

if TYPE_CHECKING:
    from medseg.learning.inference.predictor import Predictor
    from medseg.pipeline.gather import Gathered


def evaluate(
    model: str | Path,
    data: str | Path,
    *,
    manifest: str | Path | None = None,
    set: Sequence[str] = (),  # noqa: A002  # as on the command line
    device: str = "auto",
    skip_bad: bool = False,
    allow_learned: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    jobs: int | None = None,
    on: str = "",
    run_name: str | None = None,
    note: str = "",
    tags: Sequence[str] = (),
    progress: Progress | None = None,
) -> RunResult:
    """Score a saved model on labelled data: every case, by the scores and settings of the run that made it.

    It is a run of its own below the same pipeline, whose model is used as it is: preparation, threshold and
    temperature too. `medseg.resume_pipeline` goes on with it.

    Cases that the model has learned from are known by the split of the run that it is of, and of those that it comes
    from: beside the model, in the working folder, or, of a run that is named by its id, in the tracking store. Where
    some cannot be found, that is said, and kept as the tag `model.learned_from`.

    Args:
        model: A saved model's folder, a run's folder, a run's name, `latest`, or an MLflow run id or prefix.
        data: Folder of the data.
        manifest: Of the data, by name or path; by default the one that the model learned from.
        set: `path=value` strings that change the definition, such as `steps.evaluate.beta=1`.
        device: auto, cpu or cuda.
        skip_bad: Go on without cases that have faults.
        allow_learned: Go on though the model has learned from some of the cases, or was chosen by them.
        tracking_uri: Of MLflow.
        allow: Packages that declared objects may come from, beside the usual ones.
        jobs: Cases that are read at a time.
        on: Where the work is done, such as `slurm:20` (docs/scale.md); by default on this machine.
        run_name: What MLflow calls the run.
        note: Shown with it in MLflow, as Markdown.
        tags: `key=value` strings that it has in MLflow.
        progress: Where it is shown.

    Raises:
        MedsegError: What is wrong, before anything is scored where it can be known; also that cases of
            the data, or their patients, are called as some that the model has learned from.
    """
    shown = progress or Silent()
    options = RunOptions.of(
        device=device,
        skip_bad=skip_bad,
        allow=allow,
        jobs=jobs,
        on=on,
        run_name=run_name,
        note=note,
        tags=tags,
    )
    with shown.bar(LOADING, 1) as bar:
        folder = model_folder(model, tracking_uri=tracking_uri)
        predictor = load_model(folder, device="cpu", allow=allow)
        bar.advance()
    mark_gone(shown.say)
    root = Path(data)
    of_data = _manifest(predictor, manifest, root, options)
    definition = _definition(predictor, folder, of_data, set)
    refuse_own_tags(options.tags, definition.steps)

    known = learned_by(folder)
    if known.gap:
        shown.say(
            f"WHAT THE MODEL HAS LEARNED FROM is {known.gap}: if it has learned from these cases, or their patients, "
            "the scores are too good. To have them compared, go where the folders of these runs lie, or copy them to "
            "medseg-runs/ here.",
            loud=True,
        )
        options = options.but(tags=(*options.tags, f"{TAG}={known.gap}"))

    def look(gathered: Gathered) -> Gathered:
        learned = known.among(gathered.cases)
        what = (
            f"{learned} of these {many(len(gathered.cases), 'case')} {agreed('have', learned)} the name, or the "
            "patient, of one that the model has learned from or was chosen by"
        )
        if learned and not allow_learned:
            raise DataError(
                f"{what}: its scores would be too good. Name other data; where others are only called the same, or "
                "to go on all the same: --allow-learned (in a script allow_learned=True)."
            )
        if learned:
            shown.say(f"LEARNED CASES: {what}. If they are the same, the scores are too good.", loud=True)
        return gathered

    with quiet_libraries():
        return Conductor(definition, of_data, root, options, tracking_uri, shown).start(None, look)


def _manifest(predictor: Predictor, named: str | Path | None, root: Path, options: RunOptions) -> Manifest:
    """That of the data, with the classes of the model.

    Raises:
        DefinitionError: It has other classes, or lacks channels.
    """
    if named is None:
        return predictor.manifest
    from medseg.pipeline.gather import with_known_classes  # noqa: PLC0415  # imports nibabel and SciPy

    found = Manifest.from_yaml(find_manifest(str(named)).path)
    found = with_known_classes(found, root, options.allowed)
    if tuple(found.classes) != tuple(predictor.task.classes):
        raise DefinitionError(
            f"the data set {found.name} has the classes {list(found.classes)}, the model has "
            f"{list(predictor.task.classes)}: they must be the same names in the same order. Write a manifest whose "
            "'label_values' or 'classes' use the names of the model."
        )
    lacking = [name for name in predictor.channels if name not in found.channels]
    if lacking:
        raise DefinitionError(
            f"the data set {found.name} lacks the channels {lacking}, which the model takes."
        )
    return found


def _definition(
    predictor: Predictor, folder: Path, manifest: Manifest, changes: Sequence[str]
) -> PipelineDefinition:
    """A pipeline that uses the model and evaluates it, with the settings of the run that it is of."""
    from medseg.pipeline.declaration.overrides import override  # noqa: PLC0415

    name = predictor.about.get("pipeline", "model")
    known = _declared(folder)
    given: dict[str, Any] = {
        "name": name,
        "about": f"A model of {name}, used as it is, scored on {manifest.name}.",
        "seed": known.get("seed", 1),
        "manifest": manifest.name,
        "channels": list(predictor.channels),
        "slices": predictor.preparation.rule.model_dump(mode="json"),
        "split": {"everybody": "test"},
        "task": predictor.task.spec(),
        "network": dict(predictor.network_spec),
        "steps": {
            "model": {"_target_": "medseg.steps.UseModel", "weights": str(folder.resolve())},
            "evaluate": {**_evaluating(known), "role": "test"},
        },
    }
    return PipelineDefinition.from_dict(override(given, changes), name)


def _declared(folder: Path) -> Mapping[str, Any]:
    """The definition of the run that a model is of; nothing where it stands alone."""
    path = folder.parent / "definition.yaml"
    found = read_yaml(path) if path.is_file() else {}
    return found if isinstance(found, Mapping) else {}


def _evaluating(known: Mapping[str, Any]) -> dict[str, Any]:
    """The step of a run that scores its test part, or any; the plain one where there is none."""
    steps = known.get("steps", {})
    scored = [
        dict(step)
        for step in (steps.values() if isinstance(steps, Mapping) else ())
        if isinstance(step, Mapping) and str(step.get("_target_", "")).startswith("medseg.steps.Evaluate")
    ]
    return next((step for step in scored if step.get("role", "test") == "test"), None) or next(
        iter(scored), {"_target_": "medseg.steps.Evaluate"}
    )
