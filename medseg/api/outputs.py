"""What a prediction leaves behind: label maps or heat maps of each case, and its measures."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.class_names import joined
from medseg.component import named
from medseg.errors import DefinitionError, ModelError
from medseg.places import written_whole

if TYPE_CHECKING:
    from medseg.datasets.case import Case
    from medseg.learning.inference.label_files import LabelFile
    from medseg.learning.inference.prediction import Classification, Prediction
    from medseg.learning.inference.predictor import Predictor

RESEARCH_HEADING = "research use only, not a medical device"

Measures = dict[str, float | str]
"""Of a case, by the name of their column."""


@dataclass(frozen=True)
class Wishes:
    """What is written beside the usual.

    Attributes:
        probabilities: The probability of each class in each place.
        heat_maps: Where the network looked.
        files: How label maps of volumes are written, if not in the usual way.
    """

    probabilities: bool = False
    heat_maps: bool = False
    files: tuple[LabelFile, ...] = ()


@dataclass(frozen=True)
class Answer:
    """What was predicted for a case.

    Attributes:
        path: What was written of it, if anything was: the first of several.
        measures: For the table.
        warnings: What about the input lies outside the training data, and what is to be known of what was written.
        paths: Every file that holds its label map.
    """

    path: Path | None
    measures: Measures
    warnings: tuple[str, ...]
    paths: tuple[Path, ...] = ()


class Output(Protocol):
    """How the predictions of one kind of model are made and written."""

    @property
    def table(self) -> str:
        """Name of the file with the measures of all cases."""

    @property
    def title(self) -> str:
        """What the measures are called."""

    @property
    def noun(self) -> str:
        """What it writes of each case, in the plural; empty for nothing."""

    @property
    def first(self) -> tuple[str, ...]:
        """Columns that are shown however narrow the terminal is."""

    def refuse(self, wishes: Wishes) -> None:
        """Refuse what such a model cannot give.

        Raises:
            DefinitionError: It was wished.
        """

    def predict(self, predictor: Predictor, case: Case, out: Path, wishes: Wishes) -> Answer:
        """Read a case, ask the model, and write what it says.

        Raises:
            DataError: The case cannot be used.
        """


class _MaskOutput(ABC):
    """What label maps of volumes and of pictures have in common."""

    first: tuple[str, ...] = ()

    def refuse(self, wishes: Wishes) -> None:
        """Heat maps are of classes."""
        if wishes.heat_maps:
            raise DefinitionError(
                "the model gives label maps: heat maps show where a model looked that tells the class of an image. "
                "Leave out --heat-maps, or ask for --probabilities."
            )

    def predict(self, predictor: Predictor, case: Case, out: Path, wishes: Wishes) -> Answer:
        """Segment and write."""
        prediction = predictor.predict(case, probabilities=wishes.probabilities)
        measures = self.measures(predictor, prediction)
        paths, notes = self.write(predictor, case, prediction, out, wishes)
        return Answer(paths[0], measures, (*prediction.warnings, *notes), tuple(paths))

    @abstractmethod
    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, wishes: Wishes
    ) -> tuple[list[Path], tuple[str, ...]]:
        """Write picture, probabilities on wish and, last, the label map; gives its files, and notes.

        A case whose label map is there is whole, and has its row in the table.
        """

    @abstractmethod
    def measures(self, predictor: Predictor, prediction: Prediction) -> Measures:
        """Measures of a case."""


def _four(value: float) -> float:
    """Four decimals; of what is less than one, four digits, since volumes may be of cells."""
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")


class VolumeOutput(_MaskOutput):
    """`<case>.nii.gz` or what was asked for; `<case>/overview.png`, `probability_<name>.nii.gz`; volumes in mL.

    Of inputs that SimpleITK reads, both are in their format.
    """

    table = "volumes.csv"
    title = "Volumes (mL)"
    noun = "label maps"

    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, wishes: Wishes
    ) -> tuple[list[Path], tuple[str, ...]]:
        """Label maps in the data set's own values, on the grid of the input."""
        from medseg.figures.overlay import volume_overview  # noqa: PLC0415
        from medseg.figures.saving import save_figure  # noqa: PLC0415
        from medseg.images.itk.write import write_volume  # noqa: PLC0415
        from medseg.learning.inference.label_files import usual, write_together  # noqa: PLC0415
        from medseg.steps.pictures import ras_spacing, shown_order  # noqa: PLC0415

        volume, there = prediction.volume, (out / case.id).exists()
        as_usual = usual(predictor.preparation.files)
        figure = volume_overview(
            volume.image[shown_order(predictor.channels, predictor.manifest.shown)[0]],
            volume.geometry.to_ras(prediction.labels),
            predictor.task.classes,
            spacing=ras_spacing(volume),
            heading=RESEARCH_HEADING,
        )
        save_figure(figure, out / case.id / "overview.png")
        if wishes.probabilities and prediction.probabilities is not None:
            for name, chance in zip(predictor.task.maps, prediction.probabilities, strict=True):
                place = out / case.id / f"probability_{name}{as_usual.ending(case)}"
                with written_whole(place) as target:
                    write_volume(chance, volume.geometry, target)
        try:
            return write_together(wishes.files or (as_usual,), predictor, case, prediction, out)
        except BaseException:
            if not there:  # of a case without label map nothing is left that looks whole
                shutil.rmtree(out / case.id, ignore_errors=True)
            raise

    def measures(self, predictor: Predictor, prediction: Prediction) -> Measures:
        """Volume of each class and region, mL."""
        del predictor
        return {f"{name}_ml": _four(value) for name, value in prediction.millilitres.items()}


class PictureOutput(_MaskOutput):
    """`<case>.png`, and beside it `<case>/overlay.png` and `probability_<name>.png`; areas and objects."""

    table = "areas.csv"
    title = "Areas (pixels) and objects"
    noun = "masks"

    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, wishes: Wishes
    ) -> tuple[list[Path], tuple[str, ...]]:
        """Masks in the data set's own values, of the size of the input; probabilities as 16-bit PNG, 65535 is 1."""
        from medseg.figures.overlay import overlay  # noqa: PLC0415
        from medseg.images.pictures.write import (  # noqa: PLC0415
            write_colour_picture,
            write_label_picture,
            write_probability_picture,
        )
        from medseg.steps.pictures import shown_channels  # noqa: PLC0415

        labels, path = _rows(prediction.labels), out / f"{case.id}.png"
        from_ras = prediction.volume.geometry.from_ras
        image = np.stack([_rows(from_ras(channel)) for channel in prediction.volume.image])
        shown = next(iter(shown_channels(predictor, image).values()))
        (out / case.id).mkdir(parents=True, exist_ok=True)
        with written_whole(out / case.id / "overlay.png") as target:
            write_colour_picture(overlay(shown, labels, len(predictor.task.classes)), target)
        if wishes.probabilities and prediction.probabilities is not None:
            for name, chance in zip(predictor.task.maps, prediction.probabilities, strict=True):
                with written_whole(out / case.id / f"probability_{name}.png") as target:
                    write_probability_picture(_rows(chance), target)
        with written_whole(path) as target:
            write_label_picture(predictor.manifest.label_rule().decode(labels), target)
        return [path], ()

    def measures(self, predictor: Predictor, prediction: Prediction) -> Measures:
        """Of each class but the first: area in pixels, its share of the picture, and connected objects."""
        from medseg.learning.scores.objects import connected  # noqa: PLC0415

        labels = _rows(prediction.labels)
        found: Measures = {}
        for index, name in enumerate(predictor.task.classes[1:], start=1):
            mask = labels == index
            found[f"{name}_px"] = int(mask.sum())
            found[f"{name}_share"] = round(float(mask.mean()), 6)
            found[f"{name}_objects"] = int(connected(mask).max(initial=0))
        return found


class ClassOutput:
    """Classes and their probabilities; on wish `<case>/heat_map.png`."""

    table = "classes.csv"
    title = "Classes and probabilities"
    noun = ""
    first: tuple[str, ...] = ("class",)

    def refuse(self, wishes: Wishes) -> None:
        """Probabilities are in the table; there are none of single places."""
        if wishes.probabilities:
            raise DefinitionError(
                "the model tells the class of the whole image: the probabilities are in classes.csv. Leave out "
                "--probabilities, or ask for --heat-maps."
            )

    def predict(self, predictor: Predictor, case: Case, out: Path, wishes: Wishes) -> Answer:
        """Classify, and draw where the network looked."""
        found = predictor.classify(predictor.read_image(case))
        measures: Measures = {"class": joined(found.names)}
        for name, chance in zip(predictor.task.classes, found.probabilities, strict=True):
            measures[f"probability_{name}"] = float(chance)
        path = self._heat_map(predictor, case, found, out) if wishes.heat_maps else None
        return Answer(path, measures, found.warnings)

    def _heat_map(self, predictor: Predictor, case: Case, found: Classification, out: Path) -> Path:
        from medseg.figures.saving import save_figure  # noqa: PLC0415
        from medseg.steps.attention_pictures import attention_picture  # noqa: PLC0415

        try:
            figure = attention_picture(predictor, [(found, None)], heading=RESEARCH_HEADING)
        except ModelError as error:
            raise ModelError(f"{error}. Leave out --heat-maps.") from error
        return save_figure(figure, out / case.id / "heat_map.png")


def output_of(predictor: Predictor) -> Output:
    """How to write what a model says."""
    found: Output = named(predictor.task.output(predictor.preparation.files))()
    return found


def _rows(volume: NDArray[Any]) -> NDArray[Any]:
    """A stored (I, J, 1) map as rows and columns (H, W)."""
    return volume[:, :, 0].T
