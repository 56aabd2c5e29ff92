"""Segmenting new cases with a saved model, and writing what it says."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.models import load_model
from medseg.cases.case import Case
from medseg.errors import DataError, Fault
from medseg.places import written_whole
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from pandas import DataFrame

    from medseg.learning.predictor import Prediction, Predictor


@dataclass(frozen=True)
class PredictedCase:
    """One case that was segmented.

    Attributes:
        case: Public id.
        path: Its label map.
        millilitres: Volume of each class and region, mL.
        warnings: What about the input lies outside the training data.
        seconds: Reading, predicting and writing.
    """

    case: str
    path: Path
    millilitres: dict[str, float]
    warnings: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Predicted:
    """What `predict` did.

    Attributes:
        cases: Those that were segmented, in order.
        faults: What was wrong with the others.
        sources: Input of each case, by public id. Private.
        pseudonyms: Whether ids and paths may be shown.
    """

    cases: tuple[PredictedCase, ...]
    faults: tuple[Fault, ...]
    sources: dict[str, Path]
    pseudonyms: bool

    def frame(self) -> DataFrame:
        """One row a case: volumes in mL, warnings."""
        import pandas as pd  # noqa: PLC0415  # half a second

        return pd.DataFrame(
            [
                {
                    "case": each.case,
                    **{f"{name}_ml": round(value, 4) for name, value in each.millilitres.items()},
                    "warnings": "; ".join(each.warnings),
                }
                for each in self.cases
            ]
        )


def predict(
    model: str | Path | Predictor,
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    probabilities: bool = False,
    device: str = "auto",
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
) -> Predicted:
    """Segment cases and write label maps in the data set's own values, on the grid of the input.

    `OUT/<case>.nii.gz` is the label map; `OUT/<case>/` holds a picture and, on wish, probabilities;
    `OUT/volumes.csv` the volumes. A case that cannot be read does not keep the others from being segmented.

    Args:
        model: A model, its folder, a run's folder, a run's name, `latest`, or an MLflow run id or prefix.
        inputs: Case folders, or folders of them, in the layout of the model's manifest.
        out: Folder to write to.
        probabilities: Write the probability of each class too, as float32.
        device: auto, cpu or cuda.
        tracking_uri: Where to look ids up.
        allow: Packages that the model's parts may come from, beside the usual ones.
        progress: Where it is shown.

    Raises:
        ModelError, RunError: The model cannot be loaded.
        DataError: No input can be used.
    """
    shown, place = progress or Silent(), Path(out)
    with shown.bar("loading torch, MONAI and the model", 1) as bar:
        predictor = (
            load_model(model, tracking_uri=tracking_uri, device=device, allow=allow)
            if isinstance(model, str | Path)
            else model
        )
        bar.advance()
    cases, faults = _listed(predictor, [Path(each) for each in inputs])
    done: list[PredictedCase] = []
    with shown.bar("segmenting", len(cases), "cases") as bar:
        for case in cases:
            try:
                done.append(_one(predictor, case, place, probabilities=probabilities))
            except DataError as error:
                faults += error.faults or (Fault(case.id, case.position, "", str(error), "Leave it out."),)
            bar.advance()
    sources = {case.id: next(iter(case.images.values())).parent for case in cases}
    found = Predicted(tuple(done), tuple(faults), sources, predictor.manifest.ids == "pseudonyms")
    if not done:
        raise DataError("no case could be segmented.", found.faults)
    _write_table(found, place)
    return found


def _listed(predictor: Predictor, inputs: Sequence[Path]) -> tuple[list[Case], list[Fault]]:
    from medseg.cases.scan import scan  # noqa: PLC0415

    cases: dict[str, Case] = {}
    faults: list[Fault] = []
    for root in inputs:
        listing = scan(predictor.manifest, root, truth=False, only=predictor.channels)
        faults += listing.faults
        for case in listing.cases:
            if case.id in cases and case.images != cases[case.id].images:
                met = "two inputs have a case of this name, and would be written to one file"
                faults.append(Fault(case.id, case.position, "", met, "Predict them into two folders.", root))
            cases.setdefault(case.id, case)
    return list(cases.values()), faults


def _one(predictor: Predictor, case: Case, out: Path, *, probabilities: bool) -> PredictedCase:
    from medseg.cases.writing.nifti import write_nifti  # noqa: PLC0415

    started = time.perf_counter()
    prediction = predictor.predict(case, probabilities=probabilities)
    stored = predictor.manifest.label_rule().decode(prediction.labels)
    path = out / f"{case.id}.nii.gz"
    with written_whole(path) as target:
        write_nifti(stored, prediction.volume.geometry, target)
    _write_beside(predictor, prediction, out / case.id)
    seconds = time.perf_counter() - started
    return PredictedCase(case.id, path, dict(prediction.millilitres), prediction.warnings, seconds)


def _write_beside(predictor: Predictor, prediction: Prediction, folder: Path) -> None:
    from medseg.cases.writing.nifti import write_nifti  # noqa: PLC0415
    from medseg.figures.overlay import volume_overview  # noqa: PLC0415
    from medseg.figures.saving import save_figure  # noqa: PLC0415
    from medseg.steps.pictures import ras_spacing  # noqa: PLC0415

    volume = prediction.volume
    figure = volume_overview(
        volume.image[0],
        volume.geometry.to_ras(prediction.labels),
        predictor.task.classes,
        spacing=ras_spacing(volume),
        heading="research use only, not a medical device",
    )
    save_figure(figure, folder / "overview.png")
    if prediction.probabilities is not None:
        for name, chance in zip(predictor.task.classes, prediction.probabilities, strict=True):
            with written_whole(folder / f"probability_{name}.nii.gz") as target:
                write_nifti(chance, volume.geometry, target)


def _write_table(found: Predicted, out: Path) -> None:
    from medseg.learning.card import RESEARCH_ONLY  # noqa: PLC0415

    with written_whole(out / "volumes.csv") as target:
        found.frame().to_csv(target, index=False)
    (out / "README.txt").write_text(f"{RESEARCH_ONLY}\n", encoding="utf-8")
