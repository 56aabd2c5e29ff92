"""`medseg view`: one case with its truth and what a model says of it, in a window and as a scene."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.api.finding import find_run_folder
from medseg.api.models import load_model
from medseg.api.result import RunResult
from medseg.api.running import ended
from medseg.api.viewing.choosing import RANKS, best_and_worst, chosen
from medseg.api.viewing.window import open_window, refuse_without_window
from medseg.errors import DataError, DefinitionError, RunError
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.options import RunOptions
from medseg.progress import LOADING, Progress, Silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from medseg.datasets.case import Case
    from medseg.datasets.reading.volume import Volume
    from medseg.learning.inference.predictor import Predictor

_FOLDER = "views"
_ROLES = ("test", "val", "train")


@dataclass(frozen=True)
class Viewed:
    """What `view` showed.

    Attributes:
        case: Public id.
        scene: The scene for 3D Slicer; None of a picture.
        warnings: What about the input lies outside the training data.
    """

    case: str
    scene: Path | None
    warnings: tuple[str, ...]


def view(
    model: str | Path | Sequence[str | Path],
    case: str = "worst",
    *,
    data: str | Path | None = None,
    prediction: str | Path | None = None,
    out: str | Path | None = None,
    window: bool = True,
    device: str = "auto",
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
) -> Viewed:
    """Show a case in napari, and write a scene of it for 3D Slicer.

    The case is predicted anew, unless its label map is given. The scene lies in a folder of its own with all files
    that it shows, in the folder of the prediction, of the run, or where `out` says; of pictures there is none.

    Args:
        model: A run's folder or name, `latest`, or whatever `medseg.predict` takes, with `data`.
        case: Its id as the run shows it; `best`, `median` or `worst` of those that the run has scored, by mean Dice;
            or its number in the listing, from 1.
        data: Folder of the data. Default: where the run found them.
        prediction: Folder that `medseg predict` wrote, whose label map is shown in place of a new one.
        out: Folder to write to: the scene is `OUT/<case>/scene.mrml`.
        window: Whether to open napari (the extra `medseg[view]`); it goes on when the window is closed.
        device: auto, cpu or cuda.
        tracking_uri: Where to look ids up.
        allow: Packages that the model's parts may come from, beside the usual ones.
        progress: Where it is shown.

    Raises:
        RunError: There is no such run or case, no data, nowhere to write to, or no window can be opened.
        DataError: The case cannot be used.
        DefinitionError: The model gives no label maps.
    """
    if window:
        refuse_without_window()
    shown = progress or Silent()
    with shown.bar(LOADING, 1) as bar:
        predictor = load_model(model, tracking_uri=tracking_uri, device=device, allow=allow)
        bar.advance()
    _refuse_unseen(predictor, window=window)
    run = _run_of(model)
    root = _root(run, Path(data) if data is not None else None, predictor, allow, shown)
    written = None if prediction is None else Path(prediction)
    place = _place(run, None if out is None else Path(out), written, predictor)
    found = _case(predictor, case, root, run, shown)
    with shown.bar(f"looking at {found.id}", 1) as bar:
        from medseg.api.viewing.layers import layers_of  # noqa: PLC0415 - torch and MONAI
        from medseg.api.viewing.scene_files import write_scene  # noqa: PLC0415
        from medseg.api.viewing.seen import Seen  # noqa: PLC0415

        volume = predictor.read(found) if found.has_truth else predictor.read_image(found)
        if written is None:
            predicted = predictor.predict_volume(volume)
            labels, warnings = predicted.labels, predicted.warnings
        else:
            labels, warnings = _given(predictor, found, volume, written), ()
        seen = Seen.of(found.id, predictor, volume, labels)
        scene = None if place is None else write_scene(seen, place / found.id)
        bar.advance()
    if window:
        open_window(layers_of(seen), f"{found.id} - research use only, not a medical device")
    return Viewed(found.id, scene, warnings)


def _refuse_unseen(predictor: Predictor, *, window: bool) -> None:
    """What has no label map has nothing to be laid over the image; a picture has no scene."""
    if predictor.task.target.truth != "masks":
        raise DefinitionError(
            "the model tells classes of whole images: there is no label map to look at. To see where it looked: "
            "medseg predict MODEL INPUT -o OUT --heat-maps"
        )
    if predictor.preparation.files.flat and not window:
        raise DefinitionError(
            "a scene of 3D Slicer is of volumes, and the model takes pictures: without a window there is nothing to "
            "do. Leave --no-window out, or write an overlay: medseg predict MODEL INPUT -o OUT"
        )


def _run_of(model: str | Path | Sequence[str | Path]) -> RunResult | None:
    """The run that is meant, if it is one of this machine."""
    if not isinstance(model, str | Path) or (Path(model) / "model.json").is_file():
        return None
    try:
        return ended(find_run_folder(str(model), holding="model"))
    except RunError:
        return None


def _root(
    run: RunResult | None, data: Path | None, predictor: Predictor, allow: Sequence[str], shown: Progress
) -> Path:
    """Where the data lie.

    Raises:
        RunError: Nobody says.
    """
    if data is not None:
        return data
    state = None if run is None else RunFolder(run.folder).read()
    if run is None or state is None or not state.mine:
        raise RunError(
            "the model is not a run of yours in this folder, which would know its data. Say where they lie: --data"
        )
    if state.data is not None:
        return Path(state.data)
    from medseg.pipeline.declaration.definition import PipelineDefinition  # noqa: PLC0415
    from medseg.pipeline.gather import find_data  # noqa: PLC0415

    definition = PipelineDefinition.from_yaml(run.folder / "definition.yaml")
    return find_data(definition, predictor.manifest, None, RunOptions.of(allow=tuple(allow)), shown)


def _place(
    run: RunResult | None, out: Path | None, prediction: Path | None, predictor: Predictor
) -> Path | None:
    """The folder that scenes are written below; None where there are none.

    Raises:
        RunError: Nobody names one.
    """
    if predictor.preparation.files.flat:
        return None
    if out is not None or prediction is not None:
        return out or prediction
    if run is None or not RunFolder(run.folder).read().mine:
        raise RunError(
            "nothing is written to the folder of a model, or of somebody else's run. Name one: --out"
        )
    return run.folder / _FOLDER


def _case(predictor: Predictor, wanted: str, root: Path, run: RunResult | None, shown: Progress) -> Case:
    """The case, with its truth if it has one."""
    from medseg.datasets.finding.scan import scan  # noqa: PLC0415
    from medseg.learning.tasks.task import MaskTask  # noqa: PLC0415

    def listed(*, truth: bool) -> tuple[Case, ...]:
        listing = scan(
            predictor.manifest,
            root,
            truth=truth,
            only=predictor.channels,
            allowed=predictor.preparation.allowed,
            progress=shown,
        )
        if not listing.cases and not truth:
            raise DataError(
                "the data have no case that can be looked at.",
                listing.faults,
                show_paths=predictor.manifest.ids == "pseudonyms",
            )
        return listing.cases

    def ranked() -> Mapping[str, str]:
        if run is None:
            raise RunError(
                f"{', '.join(RANKS)} are of the cases that a run has scored. Name a case, or a run."
            )
        names = predictor.task.select if isinstance(predictor.task, MaskTask) else ()
        return best_and_worst(_scores(run), names)

    labelled = {case.id: case for case in listed(truth=True)}
    every = [labelled.get(case.id, case) for case in listed(truth=False)]
    return chosen(wanted, every, ranked)


def _scores(run: RunResult) -> Any:
    """The table of the first role that the run has scored."""
    for role in _ROLES:
        if (run.folder / "scores" / f"{role}.csv").is_file():
            return run.scores(role)
    raise RunError(f"the run {run.name} has scored no cases, so that none is best or worst. Name a case.")


def _given(predictor: Predictor, case: Case, volume: Volume, folder: Path) -> NDArray[Any]:
    """Class indices of a label map that `medseg predict` wrote, in the order of axes of the input.

    Raises:
        RunError: There is none.
        DataError: It cannot be used, or lies on another grid.
    """
    from medseg.images.nifti.read import read_nifti  # noqa: PLC0415
    from medseg.learning.inference.label_files import usual  # noqa: PLC0415

    files = predictor.preparation.files
    ending = ".png" if files.flat else usual(files).ending(case)
    path = folder / f"{case.id}{ending}"
    if not path.is_file():
        raise RunError(
            f"the folder of predictions has no {path.name}. Name the one that medseg predict wrote of this case, or "
            "leave --prediction out: it is predicted anew."
        )
    stored = read_nifti(path) if ending == ".nii.gz" else files.read_mask(path)
    if not volume.geometry.same_grid(stored.geometry):
        raise DataError(
            f"{path.name} lies on another grid than the image: {stored.geometry.text()}, not "
            f"{volume.geometry.text()}. Predict the case anew: leave --prediction out."
        )
    grid = volume.geometry
    return grid.from_ras(predictor.manifest.label_rule().encode(grid.to_ras(stored.data), volume.image))
