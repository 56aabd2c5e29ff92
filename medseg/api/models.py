"""Loading models by folder or run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.finding import find_run_folder
from medseg.api.folds_found import find_folds
from medseg.component import SHIPPED
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.files.inside import inside
from medseg.pipeline.folder import RunFolder
from medseg.pipeline.made import refuse_damaged

if TYPE_CHECKING:
    from medseg.learning.inference.predictor import Predictor


def load_model(
    model: str | Path | Sequence[str | Path],
    *,
    tracking_uri: str | None = None,
    device: str = "auto",
    allow: Sequence[str] = (),
) -> Predictor:
    """Load a model by its folder, or by its run; several as one: see `medseg.learning.inference.ensemble`.

    A run that is not in this folder is looked up in the tracking store each time, so that its model is the one that
    the store has now: fetched once, and again after the run has gone on. Without the store it cannot be loaded by its
    run: name the folder of the model.

    Args:
        model: A saved model's folder, a run's folder, a run's name, `latest`, or an MLflow run id or prefix; or a
            cross-validation, by its name or folder, for the models of all its folds. Or a list of these.
        tracking_uri: Where to look ids up.
        device: auto, cpu or cuda.
        allow: Packages that the model's parts may come from, beside the usual ones.

    Raises:
        ModelError: It cannot be loaded.
        RunError: There is no such run, or it has no model yet.
        TrackingError: The run is not in this folder, and the store does not answer.
    """
    from medseg.learning.inference.ensemble import ensemble  # noqa: PLC0415  # imports torch and MONAI
    from medseg.learning.inference.predictor import Predictor  # noqa: PLC0415
    from medseg.pipeline.run import choose_device  # noqa: PLC0415

    where, may = choose_device(device), SHIPPED.also(*allow)
    given = [model] if isinstance(model, str | Path) else model
    folders = [folder for each in given for folder in _folders(each, tracking_uri)]
    return ensemble([Predictor.load(folder, device=where, allowed=may) for folder in folders])


def _folders(model: str | Path, tracking_uri: str | None) -> list[Path]:
    """The folders of one saved model, or of those of all folds."""
    folds = find_folds(str(model))
    if folds is None:
        return [model_folder(model, tracking_uri=tracking_uri)]
    found = dict(folds.runs(mine=folds.mine))
    lacking = [fold for fold in range(1, folds.folds + 1) if fold not in found]
    if lacking:
        raise RunError(f"fold {lacking[0]} of {folds.name} has no run in this folder. {folds.way_on}")
    return [model_folder(run.path) for run, _ in found.values()]


def model_folder(model: str | Path, *, tracking_uri: str | None = None) -> Path:
    """The folder of a saved model; arguments as of `load_model`.

    Raises:
        RunError: There is no such run, or it has no model yet.
    """
    if (Path(model) / "model.json").is_file():
        return Path(model)
    if Path(model).is_dir() and not (Path(model) / "run.json").is_file():
        return Path(model)
    try:
        run: RunFolder | None = find_run_folder(str(model), holding="model")
    except RunError:
        run = None
    if run is not None:
        refuse_damaged(run, "model/")
    folder = _downloaded(str(model), tracking_uri) if run is None else inside(run.path, "model")
    if not folder.is_dir():
        named = str(model) if run is None else run.path.name
        way = f"Go on with it: medseg pipeline resume {named}" if run is None else run.way_on(run.read())
        raise RunError(f"the run {named} has no model yet: its training has not ended. {way}")
    return folder


def _downloaded(run: str, tracking_uri: str | None) -> Path:
    """The model of a run that is not in this folder, as the tracking store has it now."""
    from medseg.places import cache_folder  # noqa: PLC0415
    from medseg.tracking.mlflow.address import default_uri  # noqa: PLC0415
    from medseg.tracking.mlflow.runs import fetch_model, find_run  # noqa: PLC0415

    uri = default_uri(tracking_uri)
    return fetch_model(uri, find_run(uri, run), cache_folder() / "models")


def save_servable(
    model: str | Path, out: str | Path, *, tracking_uri: str | None = None, force: bool = False
) -> Path:
    """Write an MLflow model that takes the bytes of files, for `mlflow models serve -m OUT`.

    Each row of its input is a case: bytes of a file of each channel, or of `image` where one file holds all (NIfTI,
    DICOM, pictures; base64 in JSON). It answers what `medseg predict` writes: masks, measures, classes.

    Args:
        model: As of `load_model`.
        out: The folder to write.
        tracking_uri: Where to look ids up.
        force: Write over a folder that is there.

    Returns:
        The folder.

    Raises:
        RunError: There is no such run, it has no model yet, or the folder is there.
        ModelError: The model cannot be read.
    """
    from medseg.learning.inference.from_bytes import parts_of  # noqa: PLC0415
    from medseg.learning.inference.saved_model import described_in  # noqa: PLC0415
    from medseg.tracking.mlflow.model import save_file_model  # noqa: PLC0415

    folder, target = model_folder(model, tracking_uri=tracking_uri), Path(out)
    if target.exists() and not force:
        raise RunError(f"{target.name} is there already. Name another with --out, or write over it: --force")
    described = described_in(folder)
    parts = parts_of(Manifest.from_json(described["manifest"]), tuple(described["channels"]))
    save_file_model(folder, target, parts)
    return target
