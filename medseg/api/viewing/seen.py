"""What is looked at: a case with its truth and a label map of it, as the values of named segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from medseg.datasets.unannotated import UNANNOTATED
from medseg.geometry.axes import AxisName
from medseg.images.dicom.writing.segments import Segment
from medseg.learning.inference.label_files import segments_of
from medseg.steps.pictures import shown_order

if TYPE_CHECKING:
    from medseg.datasets.reading.volume import Volume
    from medseg.geometry.grid import Geometry
    from medseg.learning.inference.predictor import Predictor

_NOBODY = "not annotated"
_GREY = (128, 128, 128)


@dataclass(frozen=True)
class Seen:
    """A case that is looked at.

    Attributes:
        case: Its public id.
        channels: Their names, in the order in which people are shown them.
        images: (C, I, J, K) RAS+, raw intensities, in that order.
        geometry: Of the files.
        axis: Along which the model cuts slices.
        flat: Whether it is a picture: one slice.
        segments: What the values of the maps stand for; 0 is nothing.
        maps: By `truth`, where there is one, and `prediction`: (I, J, K) RAS+, values of the segments.
    """

    case: str
    channels: tuple[str, ...]
    images: NDArray[np.float32]
    geometry: Geometry
    axis: AxisName
    flat: bool
    segments: tuple[Segment, ...]
    maps: dict[str, NDArray[np.uint16]]

    @classmethod
    def of(cls, case: str, predictor: Predictor, volume: Volume, labels: NDArray[Any]) -> Seen:
        """A case with a label map.

        Args:
            case: Its public id.
            predictor: Whose classes and channels they are.
            volume: Image, and truth if there is one.
            labels: (I, J, K) class indices, in the order of axes of the files.
        """
        order = shown_order(predictor.channels, predictor.manifest.shown)
        given = {} if volume.label is None else {"truth": volume.label}
        given["prediction"] = volume.geometry.to_ras(labels)
        segments, nobody = segments_of(predictor), len(predictor.task.classes) + 1
        values = np.zeros(UNANNOTATED + 1, np.uint16)
        for segment in segments:
            values[segment.value - 1] = segment.value
        values[UNANNOTATED] = nobody
        if any((each == UNANNOTATED).any() for each in given.values()):
            segments = (*segments, Segment(nobody, _NOBODY, colour=_GREY))
        return cls(
            case,
            tuple(predictor.channels[place] for place in order),
            volume.image[order],
            volume.geometry,
            predictor.preparation.rule.axis,
            predictor.preparation.files.flat,
            segments,
            {name: values[each] for name, each in given.items()},
        )
