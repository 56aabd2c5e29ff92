"""Which series a layout may ask for, by what an archive says of them before any image is there."""

from __future__ import annotations

from collections.abc import Mapping

from medseg.datasets.manifest.series.layout import SeriesLayout, fits

#: Attributes that all images of a series have in common, so that the archive's text is that of every image.
#: Source: DICOM PS3.3, C.7.1.1, C.7.2.1, C.7.3.1 and C.7.5.1; only texts, since numbers may be written otherwise.
_OF_SERIES = {
    *("Modality", "SeriesDescription", "SeriesInstanceUID", "ProtocolName", "BodyPartExamined", "Laterality"),
    *("PatientPosition", "PerformedProcedureStepDescription", "Manufacturer", "ManufacturerModelName"),
    *("StationName", "InstitutionName", "StudyDescription", "StudyInstanceUID", "StudyID", "StudyDate"),
    *("AccessionNumber", "PatientID", "PatientSex"),
}


def may_be_asked_for(layout: SeriesLayout, announced: Mapping[str, str], name: str) -> bool:
    """Whether a series may be one of a channel.

    What is not announced, or may differ from image to image, decides nothing.

    Args:
        layout: Which series make a case.
        announced: Texts of attributes by keyword, as the archive says them.
        name: Of the manifest, for errors.
    """
    return any(
        all(
            fits({keyword: texts}, announced, f"manifest '{name}', 'layout.series.{channel}")
            for keyword, texts in tags.items()
            if keyword in announced and keyword in _OF_SERIES
        )
        for channel, tags in layout.series.items()
    )


def asked(layout: SeriesLayout) -> tuple[str, ...]:
    """Attributes by which series are told apart, that an archive can know of a series."""
    named = (keyword for tags in layout.series.values() for keyword in tags if keyword in _OF_SERIES)
    return tuple(dict.fromkeys(named))
