"""Writing a mask as one DICOM segmentation (SEG), which opens in a viewer over the images that it was made of."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pydicom.valuerep import DA, TM

from medseg.images.dicom.header import Header, opened_frames
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.series.index import MAKER
from medseg.images.dicom.series.plane import planes_in
from medseg.images.dicom.writing.check import refuse_other_voxels
from medseg.images.dicom.writing.identity import identify
from medseg.images.dicom.writing.planes import on_planes
from medseg.images.dicom.writing.segments import Algorithm, Code, Segment
from medseg.images.refusal import RefusedError
from medseg.places import written_whole

Form = Literal["binary", "labelmap"]
"""One frame a segment and slice, which every archive takes; or one frame a slice, which only new viewers read."""

_ARTIFICIAL = Code("123110", "DCM", "Artificial Intelligence")

#: What the object must say of its patient and study, empty where its sources lack it (type 2 attributes).
_STUDY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"),
    *("StudyDate", "StudyTime", "ReferringPhysicianName"),
)

_UNLIKE = (
    "{names} of the source images are not in the form of the standard, and are left empty in the segmentation"
)

_NO_FRAME = (
    "the source images name no frame of reference, as many de-identified ones: the segmentation names one made of "
    "their series, so that a viewer places it by the images that it refers to"
)


def write_segmentation(
    mask: NDArray[Any],
    affine: NDArray[np.float64],
    segments: Sequence[Segment],
    sources: Sequence[Path],
    path: Path,
    *,
    algorithm: Algorithm,
    form: Form = "binary",
    series_number: int = 1000,
) -> tuple[str, ...]:
    """Write a mask as a DICOM segmentation in the frame of reference of its sources, empty slices included.

    It is written beside its place, read back and compared voxel for voxel, and then gets its name. Its UIDs are made
    from all that it says: the same mask, segments, sources and algorithm give the same, and others give others.

    Args:
        mask: (I, J, K) of whole numbers; 0 is background, every other value is one of a segment.
        affine: 4x4, from voxel indices to millimetres, RAS+; the axes may be in any order.
        segments: The classes; also those that no voxel has.
        sources: The files of the images that the mask was made of: of one frame each, or one of many.
        path: Of the new file.
        algorithm: What made the mask.
        form: See `Form`.
        series_number: Of the new series.

    Returns:
        What a person should know about it, such as a frame of reference that its sources lacked.

    Raises:
        RefusedError: highdicom is not installed; the mask has a value of no segment, or does not lie on the grid of
            its sources; they are of several series; or what was read back differs.
        NotWrittenError: The place cannot be written to.
    """
    _refuse_values(mask, segments)
    highdicom = _highdicom()
    with quiet():
        heads = _heads(sources)
        planes = [plane for source, head in heads.items() for plane in planes_in(source, head)]
        images = [head.data for head in heads.values()]
        notes = _completed(images)
        stored = on_planes(_numbered(mask, segments), affine, planes)
        _give_thickness(images, affine)
        with warnings.catch_warnings(action="ignore"), written_whole(path) as target:
            made = _object(highdicom, images, stored, segments, algorithm, form, series_number)
            made.ContentCreatorName = ""  # of type 2: there, though nobody drew it
            identify(made)
            made.save_as(target, enforce_file_format=True)
            refuse_other_voxels(target, stored, planes)
    return notes


def refuse_without_highdicom() -> None:
    """Refuse to write segmentations where what makes them is not installed.

    Raises:
        RefusedError: It is not; says how to install it.
    """
    _highdicom()


def _sex(text: str) -> None:
    if text not in ("", "M", "F", "O"):
        raise ValueError(text)


_FORMS: Mapping[str, Callable[[str], object]] = {
    "PatientBirthDate": DA,
    "PatientSex": _sex,
    "StudyDate": DA,
    "StudyTime": TM,
}


def _highdicom() -> Any:
    try:
        return import_module("highdicom")
    except ImportError as error:
        raise RefusedError(
            f"highdicom, which writes DICOM segmentations, cannot be imported: {error}",
            'Install it: pip install "highdicom>=0.28" (it is the extra `dicom-seg` of medseg).',
        ) from error


def _refuse_values(mask: NDArray[Any], segments: Sequence[Segment]) -> None:
    if mask.ndim != 3 or mask.dtype.kind not in "iub":
        raise RefusedError(
            f"a mask of {mask.ndim} axes and type {mask.dtype}, expected three axes and whole numbers",
            "Give one label map; for classes that overlap write a segmentation of each.",
        )
    values = [segment.value for segment in segments]
    if not values or 0 in values or len({*values}) < len(values):
        raise RefusedError(
            "segments must have values of their own, and none 0", "Give each class another value."
        )
    if strange := sorted({int(value) for value in np.unique(mask)} - {0, *values}):
        raise RefusedError(
            f"the mask holds {strange[:5]}, and no segment has such a value", "Name a segment for each value."
        )


def _numbered(mask: NDArray[Any], segments: Sequence[Segment]) -> NDArray[np.integer]:
    """Segments are counted from 1 in their order."""
    found = np.zeros(mask.shape, np.uint8 if len(segments) < 256 else np.uint16)
    for number, segment in enumerate(segments, 1):
        found[mask == segment.value] = number
    return found


def _heads(sources: Sequence[Path]) -> dict[Path, Header]:
    """Headers of the sources, in an order that no names of files change; one of many frames may be named for each."""
    if not sources:
        raise RefusedError("no source image was given", "Give the images that the mask was made of.")
    heads = {path: opened_frames(path, pixels=False) for path in dict.fromkeys(sources)}
    return dict(sorted(heads.items(), key=lambda each: str(each[1].data.get("SOPInstanceUID", ""))))


def _completed(images: Sequence[Dataset]) -> tuple[str, ...]:
    """Give images, as they were read, what the segmentation takes from them and they lack; notes on it."""
    series = {str(image.get("SeriesInstanceUID", "")) for image in images}
    if len(series) > 1 or "" in series:
        raise RefusedError(
            f"the source images are of {len(series)} series, expected one that has a UID",
            "Give the images of one series.",
        )
    frames = {str(image.get("FrameOfReferenceUID") or "") for image in images}
    if len(frames) > 1:
        raise RefusedError(
            "the source images have different frames of reference",
            "Give the images of one series as it was taken.",
        )
    unlike: set[str] = set()
    for image in images:
        image.decode()  # names are written anew, whichever letters their own character set has
        for keyword in _STUDY:
            if keyword not in image:
                setattr(image, keyword, "")
        unlike |= _emptied(image)
        _share(image)
    notes = (_UNLIKE.format(names=", ".join(sorted(unlike))),) if unlike else ()
    if frames != {""}:
        return notes
    invented = generate_uid(entropy_srcs=["frame of reference", *series])
    for image in images:
        image.FrameOfReferenceUID = invented
    return (*notes, _NO_FRAME)


def _emptied(image: Dataset) -> set[str]:
    """Empty what highdicom takes from an image and refuses, out of the form of the standard; its names."""
    wrong = set()
    for keyword, form in _FORMS.items():
        try:
            form(str(image.get(keyword) or ""))
        except (ValueError, KeyError):
            setattr(image, keyword, "")
            wrong.add(keyword)
    return wrong


def _share(image: Dataset) -> None:
    """Say of all frames of an image what each of them says for itself: highdicom looks for it there alone.

    Where one says something else, it is found out when the segmentation is read back.
    """
    for first in image.get("PerFrameFunctionalGroupsSequence", [])[:1]:
        image.setdefault("SharedFunctionalGroupsSequence", [Dataset()])
        (shared,) = image.SharedFunctionalGroupsSequence
        for name in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            if name in first and name not in shared:
                setattr(shared, name, first[name].value)


def _give_thickness(images: Sequence[Dataset], affine: NDArray[np.float64]) -> None:
    """Images that say nothing of their thickness, as de-identified ones, are as thick as the voxels of the mask."""
    for image in images:
        if "PixelSpacing" in image and not image.get("SliceThickness"):
            across = abs(np.linalg.det(affine)) / float(np.prod([float(each) for each in image.PixelSpacing]))
            image.SliceThickness = round(float(across), 6)


def _object(
    highdicom: Any,
    images: Sequence[Dataset],
    stored: NDArray[np.integer],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    form: Form,
    series_number: int,
) -> Any:
    try:
        made = highdicom.seg.Segmentation(
            source_images=images,
            pixel_array=stored,
            segmentation_type=form.upper(),
            segment_descriptions=[
                _described(highdicom, number, segment, algorithm)
                for number, segment in enumerate(segments, 1)
            ],
            series_instance_uid=generate_uid(),
            series_number=series_number,
            sop_instance_uid=generate_uid(),
            instance_number=1,
            manufacturer=MAKER,
            manufacturer_model_name=algorithm.name[:64],
            software_versions=algorithm.software[:64],
            device_serial_number=algorithm.version[:64],
            content_label="SEGMENTATION",
            content_description="Research use only; not a medical device",
            series_description=f"{algorithm.name[:40]} segmentation",
            omit_empty_frames=False,
            specific_character_set="ISO_IR 192",  # UTF-8: that of the sources may be empty, or none of the standard's
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RefusedError(
            f"highdicom cannot make a segmentation of these source images ({type(error).__name__})",
            "Look whether an attribute is missing in their headers; write NIfTI meanwhile.",
        ) from error
    return made


def _described(highdicom: Any, number: int, segment: Segment, algorithm: Algorithm) -> Any:
    def concept(code: Code) -> Any:
        return highdicom.sr.CodedConcept(code.value, code.scheme, code.meaning)

    return highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=concept(segment.category),
        segmented_property_type=concept(segment.type),
        algorithm_type="AUTOMATIC",
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=algorithm.name[:64], family=concept(_ARTIFICIAL), version=algorithm.version[:64]
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(*segment.shown(number)),
    )
