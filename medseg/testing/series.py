"""Tiny DICOM series for tests: a volume as slices or as one multi-frame image, valid or broken on purpose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, generate_uid

from medseg.testing.dicoms import write_dicom

_UNKNOWN: Mapping[str, Any] = dict.fromkeys(
    (
        "PatientBirthDate",
        "PatientSex",
        "StudyDate",
        "StudyTime",
        "StudyID",
        "AccessionNumber",
        "ReferringPhysicianName",
    ),
    "",
)
"""Attributes that the standard wants in every image, though they may be empty."""


@dataclass(frozen=True)
class Stack:
    """Where the slices of a series lie.

    Attributes:
        corner: Centre of the first pixel of the first slice, mm, LPS.
        orientation: Direction of rows and of columns, LPS.
        spacing: Distance of rows, and of columns, mm.
        step: From one slice to the next, mm, along the normal of the slices.
    """

    corner: tuple[float, float, float] = (-20.0, 15.0, -40.0)
    orientation: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    spacing: tuple[float, float] = (1.5, 0.75)
    step: float = 3.0

    def at(self, number: float) -> list[float]:
        """The corner of a slice."""
        along = np.cross(self.orientation[:3], self.orientation[3:])
        return [float(each) for each in np.array(self.corner) + number * self.step * along]


def uid_of(*words: object) -> str:
    """A UID that is always the same for the same words."""
    return str(generate_uid(entropy_srcs=[str(word) for word in words]))


def write_series(
    folder: Path,
    volume: NDArray[Any],
    stack: Stack | None = None,
    *,
    each: Callable[[int], Mapping[str, Any]] = lambda _: {},
    **attributes: Any,
) -> list[Path]:
    """Write a volume (K, H, W) as one file a slice, under names whose order is not that of the slices.

    Args:
        folder: Where to.
        volume: uint16, int16 or uint8.
        stack: Where it lies.
        each: Attributes of the slice with a number, from 0, which win over all others.
        attributes: Of every slice, as `write_dicom` takes them; `SeriesDescription` also tells series of one folder
            apart.

    Returns:
        The files in the order of the slices.
    """
    where = stack or Stack()
    name = str(attributes.get("SeriesDescription", "series"))
    study = str(attributes.get("StudyInstanceUID", uid_of(folder)))
    paths = []
    for number, array in enumerate(volume):
        own: dict[str, Any] = {
            **_UNKNOWN,
            "SOPClassUID": MRImageStorage,
            "Modality": "MR",
            "SOPInstanceUID": uid_of(study, name, number),
            "StudyInstanceUID": study,
            "SeriesInstanceUID": uid_of(study, name),
            "FrameOfReferenceUID": uid_of(study, "frame of reference"),
            "ImagePositionPatient": where.at(number),
            "ImageOrientationPatient": list(where.orientation),
            "PixelSpacing": list(where.spacing),
            "InstanceNumber": len(volume) - number,
            "SliceThickness": 99.0,
        }
        scrambled = (7 * number + 3) % 101
        path = folder / f"{name}-{scrambled:03d}-{number}"
        paths.append(write_dicom(path, array, **{**own, **attributes, **each(number)}))
    return paths


def write_frames(
    path: Path,
    volume: NDArray[Any],
    stack: Stack | None = None,
    *,
    order: Sequence[int] = (),
    **attributes: Any,
) -> Path:
    """Write a volume (K, H, W) as one enhanced multi-frame image, each frame with a rescaling of its own.

    Args:
        path: Of the file.
        volume: uint16, int16 or uint8.
        stack: Where it lies.
        order: Which slice each frame holds; by default the last comes first.
        attributes: As `write_dicom` takes them.
    """
    where = stack or Stack()
    chosen = list(order) or list(reversed(range(len(volume))))
    groups = [
        {
            "PlanePositionSequence": [{"ImagePositionPatient": where.at(number)}],
            "PixelValueTransformationSequence": [
                {"RescaleSlope": number + 1, "RescaleIntercept": -number, "RescaleType": "US"}
            ],
        }
        for number in chosen
    ]
    shared = {
        "PlaneOrientationSequence": [{"ImageOrientationPatient": list(where.orientation)}],
        "PixelMeasuresSequence": [{"PixelSpacing": list(where.spacing), "SliceThickness": 99.0}],
    }
    own: dict[str, Any] = {
        **_UNKNOWN,
        "SOPClassUID": EnhancedMRImageStorage,
        "Modality": "MR",
        "NumberOfFrames": len(chosen),
        "SharedFunctionalGroupsSequence": [shared],
        "PerFrameFunctionalGroupsSequence": groups,
    }
    return write_dicom(path, volume[chosen], **{**own, **attributes})
