"""What is done for each case of a prediction, in this process or in others."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.datasets.case import Case
from medseg.datasets.reading.unforeseen import ended, one_case
from medseg.errors import DataError, Fault
from medseg.images.refusal import found_and_remedy

if TYPE_CHECKING:
    from medseg.api.outputs import Output, Wishes
    from medseg.learning.inference.predictor import Predictor


@dataclass(frozen=True)
class PredictedCase:
    """One case that was predicted.

    Attributes:
        case: Public id.
        path: Its label map (the first of several files), or its heat map if there is one.
        measures: By column: of volumes `<name>_ml` of each class and region; of pictures `<name>_px`,
            `<name>_share` and `<name>_objects` of each class but the first; of whole images `class` (several
            joined by `; `) and `probability_<name>` of each class.
        warnings: What about the input lies outside the training data, and what is to be known of what was written.
        seconds: Reading, predicting and writing.
        paths: Every file that holds its label map.
    """

    case: str
    path: Path | None
    measures: dict[str, float | str]
    warnings: tuple[str, ...]
    seconds: float
    paths: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What came of a case.

    Attributes:
        predicted: What was written of it; None where it could not be.
        faults: Why not.
        error: What is no fault of the case, and ends the prediction.
    """

    predicted: PredictedCase | None = None
    faults: tuple[Fault, ...] = ()
    error: Exception | None = None


@dataclass(frozen=True)
class Asking:
    """Asks a model about a case, and writes what it says.

    Attributes:
        predictor: The model.
        output: How its answers are written.
        out: Folder to write to.
        wishes: What more is written.
        engine: What computes the network, where that is not settled yet.
        device: Where, likewise; empty: the model is where it is to compute.
    """

    predictor: Predictor
    output: Output
    out: Path
    wishes: Wishes
    engine: str = "torch"
    device: str = ""

    def __call__(self, case: Case) -> Outcome:
        """Predict one case; what goes wrong is part of what comes of it."""
        started = time.perf_counter()
        try:
            with one_case(case, writes=True):
                answer = self.output.predict(self._placed, case, self.out, self.wishes)
        except DataError as error:
            return Outcome(faults=faults_of_case(case, error))
        except Exception as error:  # noqa: BLE001 - whoever asked says of which case it is, and raises it
            return Outcome(error=error)
        seconds = time.perf_counter() - started
        found = PredictedCase(case.id, answer.path, answer.measures, answer.warnings, seconds, answer.paths)
        return Outcome(found)

    @cached_property
    def _placed(self) -> Predictor:
        if not self.device:
            return self.predictor
        from medseg.learning.inference.export.engine import engine_named  # noqa: PLC0415  # imports torch
        from medseg.pipeline.run import choose_device  # noqa: PLC0415

        engine = engine_named(self.engine)
        where = choose_device(engine.device(self.device, heat_maps=self.wishes.heat_maps))
        moved = replace(self.predictor, network=self.predictor.network.to(where), device=where)
        return engine.computing(moved)


def faults_of_case(case: Case, error: DataError) -> tuple[Fault, ...]:
    """What is wrong with a case that an error is about."""
    found, remedy = found_and_remedy(error, "Leave it out.")
    return error.faults or (Fault(case.id, case.position, "", found, remedy),)


def lost(case: Case) -> Outcome:
    """What came of a case whose process ended twice."""
    return Outcome(faults=(ended(case),))
