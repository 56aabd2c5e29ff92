"""Asking a saved model about new cases, and writing what it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.dicomweb.destination import Destination, outputs
from medseg.api.dicomweb.ways import ways
from medseg.api.exporting.key_maps import passed_on, write_late
from medseg.api.models import load_model
from medseg.api.predicting.asking import Asking, PredictedCase, faults_of_case, lost
from medseg.datasets.case import Case, folders_of
from medseg.datasets.key_map import CASE_COLUMNS, case_rows, refuse_key_map, source_of
from medseg.errors import DataError, Fault, RunError
from medseg.machine.crew.crew import Crew, Needs
from medseg.pipeline.options import RunOptions, working
from medseg.places import clear_outputs, written_whole
from medseg.progress import Progress, Silent
from medseg.text import many

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.api.dicomweb.source import Inputs
    from medseg.learning.inference.predictor import Predictor


@dataclass(frozen=True)
class Predicted:
    """What `predict` did.

    Attributes:
        cases: Those that were predicted, in order.
        faults: What was wrong with the others.
        sources: Input of each case, by public id. Private.
        pseudonyms: Whether ids and paths may be shown.
        title: What the measures are.
        noun: What was written of each case, in the plural; empty for nothing.
        table: Name of the file with the measures.
        first: Columns of it that matter most.
        files: What each file of a case is, by the end of its name, where more was asked for than usual.
        stored: Cases whose segmentations are in an archive, read back from it and compared.
        archive: Its address; empty for none.
        left: Names of files that belong to no case, which a note counts. Private.
    """

    cases: tuple[PredictedCase, ...]
    faults: tuple[Fault, ...]
    sources: Mapping[str, Path | str]
    pseudonyms: bool
    title: str
    noun: str
    table: str
    first: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    stored: tuple[str, ...] = ()
    archive: str = ""
    left: tuple[str, ...] = ()

    def frame(self) -> DataFrame:
        """One row a case: its measures, warnings, and its files where more was asked for than usual."""
        import pandas as pd  # noqa: PLC0415  # half a second

        return pd.DataFrame(
            [
                {
                    "case": each.case,
                    **each.measures,
                    "warnings": "; ".join(each.warnings),
                    **({"files": "; ".join(path.name for path in each.paths)} if self.files else {}),
                }
                for each in self.cases
            ]
        )


@dataclass(frozen=True)
class _Asked:
    """Who answers, where answers go, and who asks."""

    asking: Asking
    crew: Crew
    needs: Needs
    destination: Destination
    key_map: Path | None


@dataclass(frozen=True)
class _Listed:
    """The cases of all inputs, what is wrong with others, and what is private: files of no case, names and places."""

    cases: tuple[Case, ...]
    faults: tuple[Fault, ...]
    left: tuple[str, ...]
    own: Mapping[str, tuple[str, str]]
    sources: Mapping[str, Path | str]


def predict(
    model: str | Path | Sequence[str | Path] | Predictor,
    inputs: str | Path | Sequence[str | Path] = (),
    out: str | Path | None = None,
    *,
    source: str = "",
    study: str | Sequence[str] = (),
    to: str = "",
    probabilities: bool = False,
    heat_maps: bool = False,
    format: str | Sequence[str] = (),  # noqa: A002 - as the option is called
    device: str = "auto",
    engine: str = "torch",
    on: str = "",
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    save_model: str | Path | None = None,
    key_map: str | Path | None = None,
    progress: Progress | None = None,
) -> Predicted:
    """Segment or classify cases, and write label maps or classes.

    Of label maps, in the data set's own values and on the grid of the input: `OUT/<case>.nii.gz` (`.mha` of
    MetaImage, `.nrrd` of NRRD, `.png` of a picture; see `format`); `OUT/<case>/` holds a picture and, on wish,
    probabilities; `OUT/volumes.csv` the volumes (`areas.csv` areas and objects of pictures). Of classes of whole
    images: `OUT/classes.csv`, and on wish `OUT/<case>/heat_map.png`. A case that cannot be read does not keep the
    others from being predicted, and what was predicted stays, with its table, whatever ends the rest.

    Args:
        model: A model, its folder, a run's folder, a run's name, `latest`, or an MLflow run id or prefix; a
            cross-validation, or a list of any of these, for the mean of their logits, over axes of probabilities.
        inputs: One or several case folders, or folders of them, in the layout of the model's manifest; where one file
            is a case, files as well, wherever they lie.
        out: Folder to write to; None where `to` is enough.
        source: In place of `inputs`, the archive that the cases lie in, as `dicomweb:URL` (the extra
            `medseg[dicomweb]`; docs/dicom.md says who asks it). Studies are fetched into a folder that is removed.
        study: StudyInstanceUID of the study in it, or several.
        to: An archive that DICOM segmentations are stored in, read back from, and compared. `format` is `seg`
            then, if it is not given.
        probabilities: Write the probability of each class in each place too: float32, or 16-bit PNG in which
            65535 is 1.
        format: How label maps of volumes are written, in place of the usual: `nifti`, and of DICOM series `seg`
            (`OUT/<case>.seg.dcm`, a DICOM segmentation that is BINARY) and `seg-labelmap`
            (`OUT/<case>.seg-labelmap.dcm`, LABELMAP); several as a list, or joined by commas.
        heat_maps: Of whole images, draw where the network looked (Grad-CAM of the class it says).
        device: auto, cpu or cuda.
        engine: What computes the network: `torch`, or `onnx` for onnxruntime, on the CPU (the extra `medseg[onnx]`).
        on: Where cases are predicted, such as `local:4` or `slurm:20` (docs/scale.md): as many at a time; by default
            one after the other, in this process.
        tracking_uri: Where to look ids up.
        allow: Packages that the model's parts may come from, beside the usual ones.
        save_model: A new folder that the model is written to as well: several models as one.
        key_map: A new CSV for which name stands for which case, patient and path, readable by its user alone; outside
            of `out` and of a model's folder. It is written with the table. Default: none is written.
        progress: Where it is shown.

    Raises:
        ModelError, RunError: The model cannot be loaded, or there is something at `save_model`; or what was
            asked for does not go together.
        DataError: No input can be used; what writes a format or asks an archive is not installed; or an archive
            cannot be asked, or gives something else than it says.
        DefinitionError: The model, or the engine, cannot give what was wished.
    """
    shown, options = progress or Silent(), RunOptions.of(device=device, allow=allow, on=on)
    if save_model is not None and Path(save_model).exists():
        raise RunError(f"{save_model} is there already, and is not written over. Name a new folder.")
    names = None if key_map is None else Path(key_map)
    if names is not None:
        refuse_key_map(names, *passed_on(names, out, save_model))
    studies = (study,) if isinstance(study, str) and study else tuple(study)
    several = (inputs,) if isinstance(inputs, str | Path) else tuple(inputs)
    with ways(several, source, studies, to, has_out=out is not None) as way:
        wanted = way.destination.formats(format)
        predictor, computing = _loaded(model, engine, options, tracking_uri, heat_maps, wanted, shown)
        _say_model(model, predictor, shown)
        from medseg.api.outputs import Wishes, output_of  # noqa: PLC0415  # imports NumPy
        from medseg.learning.inference.label_files import formats, label_files  # noqa: PLC0415  # imports torch

        files = label_files(formats(wanted), predictor) if wanted else ()
        output, wishes = output_of(predictor), Wishes(probabilities, heat_maps, files)
        output.refuse(wishes)
        way.source.refuse(predictor.manifest)
        way.destination.reach(files, shown)
        if save_model is not None:
            predictor.save(Path(save_model))
        with (
            outputs(out) as place,
            way.source.opened(predictor.manifest, shown) as given,
            working(options, shown) as crew,
        ):
            listed = _listed(predictor, given, shown, absolute=bool(on))
            clear_outputs(place)
            there = (place.absolute(), wishes, engine, device) if on else (place, wishes)
            needs = Needs(folders_of(listed.cases), place.absolute(), tuple(allow))
            asked = _Asked(Asking(computing, output, *there), crew, needs, way.destination, names)
            found = _all(predictor, listed, asked, shown)
    if not found.cases:
        raise DataError("no case could be predicted.", found.faults, show_paths=found.pseudonyms)
    return found


def _loaded(
    model: str | Path | Sequence[str | Path] | Predictor,
    engine: str,
    options: RunOptions,
    tracking_uri: str | None,
    heat_maps: bool,
    wanted: str | Sequence[str],
    shown: Progress,
) -> tuple[Predictor, Predictor]:
    """The model, and what computes it; formats that nobody knows are refused before it is loaded.

    Where others compute it, they choose the device, and make it ready for the engine.
    """
    with shown.bar("loading torch, MONAI and the model", 1) as bar:
        from medseg.learning.inference.export.engine import engine_named  # noqa: PLC0415  # imports torch
        from medseg.learning.inference.label_files import formats  # noqa: PLC0415  # as above

        if wanted:
            formats(wanted)
        chosen = engine_named(engine)
        where = chosen.device(options.device, heat_maps=heat_maps)
        predictor = (
            load_model(
                model,
                tracking_uri=tracking_uri,
                device="cpu" if options.on else where,
                allow=options.allow,
            )
            if isinstance(model, str | Path | Sequence)
            else model
        )
        computing = predictor if options.on else chosen.computing(predictor)
        bar.advance()
    return predictor, computing


def _say_model(
    asked: str | Path | Sequence[str | Path] | Predictor, predictor: Predictor, shown: Progress
) -> None:
    """Name the model that answers: what `latest` or the beginning of an id stands for is else not seen."""
    about = predictor.about
    if isinstance(asked, str | Path | Sequence) and "run" in about:
        what = "Models of the runs" if "ensemble" in about else "Model of the run"
        shown.say(f"{what} {about['run']}, pipeline {about.get('pipeline', 'unknown')}.")
    if about.get("ensemble.left_out"):
        shown.say(f"What some of the models do is left out: {about['ensemble.left_out']}.", loud=True)
    if about.get("data.note"):
        shown.say(about["data.note"], loud=True)


def _all(predictor: Predictor, listed: _Listed, asked: _Asked, shown: Progress) -> Predicted:
    """Predict every case, and write the table of those that were, whatever ends it."""
    done: dict[str, PredictedCase] = {}
    stored: list[str] = []
    every_fault, cases, asking = list(listed.faults), listed.cases, asked.asking
    files = {file.suffix: file.about for file in asking.wishes.files}
    try:
        with shown.bar("predicting", len(cases), "cases") as bar:
            for case, outcome in asked.crew.results(
                cases, asking, lost, usually="in turn", needs=asked.needs
            ):
                every_fault += outcome.faults
                try:
                    if outcome.error is not None:
                        raise outcome.error
                    if outcome.predicted is not None:
                        done[case.id] = outcome.predicted
                        if asked.destination.store(asking.wishes.files, outcome.predicted.paths, shown):
                            stored.append(case.id)
                except DataError as error:
                    every_fault += faults_of_case(case, error)
                except Exception:
                    shown.say(f"The error came at case {case.id} (no. {case.position}).", loud=True)
                    raise
                bar.advance()
    finally:
        predicted = Predicted(
            tuple(done[case.id] for case in cases if case.id in done),
            tuple(every_fault),
            listed.sources,
            predictor.manifest.ids == "pseudonyms",
            asking.output.title,
            f"{asking.output.noun} ({', '.join(files)})" if files else asking.output.noun,
            asking.output.table,
            asking.output.first,
            files,
            tuple(stored),
            asked.destination.name,
            listed.left,
        )
        if done:
            _write_table(predicted, asking.out)
            if asked.key_map is not None:
                rows = case_rows(cases, listed.own, listed.sources)
                write_late(asked.key_map, CASE_COLUMNS, rows)
    return predicted


def _listed(predictor: Predictor, given: Inputs, shown: Progress, *, absolute: bool) -> _Listed:
    from medseg.datasets.finding.scan import scan  # noqa: PLC0415

    cases: dict[str, Case] = {}
    faults, left = list(given.faults), list[str]()
    own: dict[str, tuple[str, str]] = {}
    sources: dict[str, Path | str] = {}
    for root in given.paths:
        listing = scan(
            predictor.manifest,
            root.absolute() if absolute else root,
            truth=False,
            only=predictor.channels,
            allowed=predictor.preparation.allowed,
            progress=shown,
        )
        faults += listing.faults
        left += listing.left
        for note in listing.notes:
            shown.say(f"{note}.", loud=True)
        if other := listing.files.get("of parts that are not asked for"):
            shown.say(
                f"{many(other, 'file', 'are')} of parts that a prediction does not read, such as label maps."
            )
        for case in listing.cases:
            if case.id in cases and case.images != cases[case.id].images:
                problem = "two inputs have a case of this name, and would be written to one file"
                faults.append(
                    Fault(case.id, case.position, "", problem, "Predict them into two folders.", root)
                )
            if case.id not in cases:
                cases[case.id], own[case.id] = case, listing.own[case.id]
                sources[case.id] = given.origins.get(root) or source_of(case)
    return _Listed(tuple(cases.values()), tuple(faults), tuple(left), own, sources)


def _write_table(found: Predicted, out: Path) -> None:
    from medseg.learning.inference.model_card import RESEARCH_ONLY  # noqa: PLC0415

    with written_whole(out / found.table) as target:
        found.frame().to_csv(target, index=False)
    with written_whole(out / "README.txt") as target:
        lines = [RESEARCH_ONLY, *(f"<case>{suffix}: {about}" for suffix, about in found.files.items())]
        target.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
