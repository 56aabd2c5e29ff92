"""What a prediction leaves behind: files of the kind that it was made from, and measures of each case."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from medseg.places import written_whole

if TYPE_CHECKING:
    from medseg.cases.case import Case
    from medseg.learning.predictor import Prediction, Predictor

RESEARCH_HEADING = "research use only, not a medical device"


class Output(Protocol):
    """How predictions of one kind of files are written."""

    @property
    def table(self) -> str:
        """Name of the file with the measures of all cases."""

    @property
    def title(self) -> str:
        """What the measures are called."""

    @property
    def noun(self) -> str:
        """What label maps are called, in the plural."""

    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, *, probabilities: bool
    ) -> Path:
        """Write label map, picture and, on wish, probabilities; gives the path of the label map."""

    def measures(self, predictor: Predictor, prediction: Prediction) -> dict[str, float]:
        """Numbers of a case, by the name of their column."""


class VolumeOutput:
    """`<case>.nii.gz`, and beside it `<case>/overview.png` and `probability_<name>.nii.gz`; volumes in mL."""

    table = "volumes.csv"
    title = "Volumes (mL)"
    noun = "label maps"

    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, *, probabilities: bool
    ) -> Path:
        """Label maps in the data set's own values, on the grid of the input."""
        from medseg.cases.writing.nifti import write_nifti  # noqa: PLC0415
        from medseg.figures.overlay import volume_overview  # noqa: PLC0415
        from medseg.figures.saving import save_figure  # noqa: PLC0415
        from medseg.steps.pictures import ras_spacing  # noqa: PLC0415

        volume, path = prediction.volume, out / f"{case.id}.nii.gz"
        with written_whole(path) as target:
            write_nifti(predictor.manifest.label_rule().decode(prediction.labels), volume.geometry, target)
        figure = volume_overview(
            volume.image[0],
            volume.geometry.to_ras(prediction.labels),
            predictor.task.classes,
            spacing=ras_spacing(volume),
            heading=RESEARCH_HEADING,
        )
        save_figure(figure, out / case.id / "overview.png")
        if probabilities and prediction.probabilities is not None:
            for name, chance in zip(predictor.task.maps, prediction.probabilities, strict=True):
                with written_whole(out / case.id / f"probability_{name}.nii.gz") as target:
                    write_nifti(chance, volume.geometry, target)
        return path

    def measures(self, predictor: Predictor, prediction: Prediction) -> dict[str, float]:
        """Volume of each class and region, mL."""
        del predictor
        return {f"{name}_ml": round(value, 4) for name, value in prediction.millilitres.items()}


class PictureOutput:
    """`<case>.png`, and beside it `<case>/overlay.png` and `probability_<name>.png`; areas and objects."""

    table = "areas.csv"
    title = "Areas (pixels) and objects"
    noun = "masks"

    def write(
        self, predictor: Predictor, case: Case, prediction: Prediction, out: Path, *, probabilities: bool
    ) -> Path:
        """Masks in the data set's own values, of the size of the input; probabilities as 16-bit PNG, 65535 is 1."""
        from medseg.cases.writing.picture import (  # noqa: PLC0415
            write_colour_picture,
            write_label_picture,
            write_probability_picture,
        )
        from medseg.figures.overlay import overlay  # noqa: PLC0415
        from medseg.steps.pictures import shown_channels  # noqa: PLC0415

        labels, path = _rows(prediction.labels), out / f"{case.id}.png"
        with written_whole(path) as target:
            write_label_picture(predictor.manifest.label_rule().decode(labels), target)
        from_ras = prediction.volume.geometry.from_ras
        image = np.stack([_rows(from_ras(channel)) for channel in prediction.volume.image])
        shown = next(iter(shown_channels(predictor.channels, image).values()))
        (out / case.id).mkdir(parents=True, exist_ok=True)
        with written_whole(out / case.id / "overlay.png") as target:
            write_colour_picture(overlay(shown, labels, len(predictor.task.classes)), target)
        if probabilities and prediction.probabilities is not None:
            for name, chance in zip(predictor.task.maps, prediction.probabilities, strict=True):
                with written_whole(out / case.id / f"probability_{name}.png") as target:
                    write_probability_picture(_rows(chance), target)
        return path

    def measures(self, predictor: Predictor, prediction: Prediction) -> dict[str, float]:
        """Of each class but the first: area in pixels, its share of the picture, and connected objects."""
        from medseg.learning.objects import connected  # noqa: PLC0415

        labels = _rows(prediction.labels)
        found: dict[str, float] = {}
        for index, name in enumerate(predictor.task.classes[1:], start=1):
            mask = labels == index
            found[f"{name}_px"] = int(mask.sum())
            found[f"{name}_share"] = round(float(mask.mean()), 6)
            found[f"{name}_objects"] = int(connected(mask).max(initial=0))
        return found


OUTPUTS: Mapping[str, Output] = {"NIfTI": VolumeOutput(), "pictures": PictureOutput()}
"""How to write, by the noun of the kind of files."""


def _rows(volume: NDArray[Any]) -> NDArray[Any]:
    """A stored (I, J, 1) map as rows and columns (H, W)."""
    return volume[:, :, 0].T
