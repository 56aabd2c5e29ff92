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

    from medseg.learning.predictor import Predictor


@dataclass(frozen=True)
class PredictedCase:
    """One case that was segmented.

    Attributes:
        case: Public id.
        path: Its label map.
        measures: By column: of volumes `<name>_ml` of each class and region; of pictures `<name>_px`,
            `<name>_share` and `<name>_objects` of each class but the first.
        warnings: What about the input lies outside the training data.
        seconds: Reading, predicting and writing.
    """

    case: str
    path: Path
    measures: dict[str, float]
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
        title: What the measures are.
        noun: What was written, in the plural.
        table: Name of the file with the measures.
    """

    cases: tuple[PredictedCase, ...]
    faults: tuple[Fault, ...]
    sources: dict[str, Path]
    pseudonyms: bool
    title: str
    noun: str
    table: str

    def frame(self) -> DataFrame:
        """One row a case: its measures, warnings."""
        import pandas as pd  # noqa: PLC0415  # half a second

        return pd.DataFrame(
            [
                {
                    "case": each.case,
                    **each.measures,
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

    `OUT/<case>.nii.gz` is the label map (`.png` of a picture); `OUT/<case>/` holds a picture and, on wish,
    probabilities; `OUT/volumes.csv` the volumes (`areas.csv` areas and objects of pictures). A case that cannot
    be read does not keep the others from being segmented.

    Args:
        model: A model, its folder, a run's folder, a run's name, `latest`, or an MLflow run id or prefix.
        inputs: Case folders, or folders of them, in the layout of the model's manifest; where one file is a
            case, files as well, wherever they lie.
        out: Folder to write to.
        probabilities: Write the probability of each class too: float32, or 16-bit PNG in which 65535 is 1.
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
    sources = {case.id: _source(case) for case in cases}
    from medseg.api.outputs import OUTPUTS  # noqa: PLC0415

    output = OUTPUTS[predictor.preparation.files.noun]
    shown_ids = predictor.manifest.ids == "pseudonyms"
    found = Predicted(tuple(done), tuple(faults), sources, shown_ids, output.title, output.noun, output.table)
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


def _source(case: Case) -> Path:
    """The one file of the case, or the folder of its files."""
    first, *others = dict.fromkeys(case.images.values())
    return first.parent if others else first


def _one(predictor: Predictor, case: Case, out: Path, *, probabilities: bool) -> PredictedCase:
    from medseg.api.outputs import OUTPUTS  # noqa: PLC0415

    started, output = time.perf_counter(), OUTPUTS[predictor.preparation.files.noun]
    prediction = predictor.predict(case, probabilities=probabilities)
    path = output.write(predictor, case, prediction, out, probabilities=probabilities)
    measures = output.measures(predictor, prediction)
    seconds = time.perf_counter() - started
    return PredictedCase(case.id, path, measures, prediction.warnings, seconds)


def _write_table(found: Predicted, out: Path) -> None:
    from medseg.learning.card import RESEARCH_ONLY  # noqa: PLC0415

    with written_whole(out / found.table) as target:
        found.frame().to_csv(target, index=False)
    (out / "README.txt").write_text(f"{RESEARCH_ONLY}\n", encoding="utf-8")
