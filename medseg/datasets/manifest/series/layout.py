"""A layout in which the headers of DICOM files tell which file is what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from medseg.datasets.manifest.expressions import pattern
from medseg.datasets.manifest.layout import FileLayout
from medseg.errors import DataError
from medseg.text import composed

if TYPE_CHECKING:
    from medseg.images.formats import FileKind

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""An attribute of DICOM in a pattern of file names, such as `{PatientID}`; or `{folder}`."""

FOLDER = "folder"
"""The placeholder of the folder that holds all files of a study."""

Tags = dict[str, str | tuple[str, ...]]
"""Regular expressions by the keyword of an attribute: each is searched in its text, and of several one has to fit."""


class SegmentationRule(BaseModel):
    """Label maps that are DICOM objects of the same study: SEG or RTSTRUCT.

    Attributes:
        structures: Segment labels, or names of regions of interest, of each class, in which `*` stands for any text;
            upper and lower case are one. Where structures overlap, the class that is named later counts.
        tags: Which of several objects of a study is meant, as for channels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    structures: dict[str, str | tuple[str, ...]] = Field(min_length=1)
    tags: Tags = Field(default_factory=dict)

    @field_validator("tags")
    @classmethod
    def _of_texts(cls, given: Tags) -> Tags:
        _refuse_tags("tags", given)
        return given


class SeriesLayout(FileLayout):
    """Studies of DICOM series, in folders of any arrangement: a case is a study, a channel one of its series.

    Attributes:
        series: For each channel, what the attributes of its series hold.
        mask: Label maps: a pattern of NIfTI files, with attributes of the study such as `{PatientID}` or
            `{StudyInstanceUID}`, `{folder}` for the folder of the study, `*` and `**/`; or which DICOM objects.
            None: there are none.
    """

    finder: ClassVar[str] = "medseg.datasets.finding.by_series.SeriesFinder"
    own_kind: ClassVar[str] = "DICOM series"
    by_content: ClassVar[bool] = True

    series: dict[str, Tags] = Field(min_length=1)
    mask: str | SegmentationRule | None = None

    @field_validator("series")
    @classmethod
    def _of_texts(cls, given: dict[str, Tags]) -> dict[str, Tags]:
        for channel, tags in given.items():
            if not tags:
                raise ValueError(
                    f"'{channel}' names no attribute: say which series it is, such as by `Modality`"
                )
            _refuse_tags(channel, tags)
        return given

    @field_validator("mask")
    @classmethod
    def _placed(cls, given: str | SegmentationRule | None) -> str | SegmentationRule | None:
        if isinstance(given, str):
            named = PLACEHOLDER.findall(given)
            if not named:
                raise ValueError("'mask' needs an attribute of the study, such as {PatientID}, or {folder}")
            _refuse_tags("mask", {name: "" for name in named if name != FOLDER})
        return given

    def files(self, values: Mapping[str, int]) -> FileKind:
        """How series and their label maps are read."""
        from medseg.images.dicom.series.kind import SeriesFiles  # noqa: PLC0415 - imports nibabel

        rule = self.mask.structures if isinstance(self.mask, SegmentationRule) else {}
        return SeriesFiles(tuple((values[name], alternatives(texts)) for name, texts in rule.items()))

    @property
    def has_truth(self) -> bool:
        """Whether label maps belong to the series."""
        return self.mask is not None

    @property
    def patient_column(self) -> str | None:
        """PatientID tells the patient."""
        return "PatientID"

    def label_complaints(self, classes: Sequence[str]) -> Iterator[str]:
        """Structures of unknown classes."""
        if isinstance(self.mask, SegmentationRule) and (lost := set(self.mask.structures) - set(classes)):
            yield f"'layout.mask.structures' names {sorted(lost)}, which are not among 'classes': {list(classes)}"

    def verify(self, channels: Sequence[str], *, together: bool) -> None:  # noqa: ARG002
        """Whether it can find these channels.

        Raises:
            ValueError: It names others.
        """
        if set(self.series) != set(channels):
            raise ValueError(f"'series' names {sorted(self.series)}, expected each of {list(channels)}")


def alternatives(given: str | tuple[str, ...]) -> tuple[str, ...]:
    """One expression, or several, as several."""
    return (given,) if isinstance(given, str) else given


def fits(tags: Tags, texts: Mapping[str, str], at: str) -> bool:
    """Whether attributes hold what is asked for: all of them, each by one of its expressions.

    Args:
        tags: What is asked for.
        texts: Of the attributes, by keyword.
        at: Where it is asked for, for errors.
    """
    return all(
        any(
            pattern(each).search(composed(texts[keyword]), f"{at}.{keyword}'") for each in alternatives(given)
        )
        for keyword, given in tags.items()
    )


def _refuse_expressions(key: str, given: Mapping[str, str | tuple[str, ...]]) -> None:
    for name, texts in given.items():
        for text in alternatives(texts):
            try:
                pattern(text)
            except ValueError as error:
                raise ValueError(f"'{key}.{name}' is no regular expression: {error}") from error


def _refuse_tags(key: str, given: Mapping[str, str | tuple[str, ...]]) -> None:
    from medseg.images.dicom.header import text_tag  # noqa: PLC0415 - imports pydicom

    for keyword in given:
        try:
            text_tag(keyword)
        except DataError as error:
            raise ValueError(f"'{key}': {str(error).rstrip('.')}") from error
    _refuse_expressions(key, given)
