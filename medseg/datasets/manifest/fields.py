"""What a manifest may say: its fields, each with its type."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Discriminator, Field, StrictInt, Tag, field_validator

from medseg.class_names import ImageLabels
from medseg.datasets.manifest.class_folders import ClassFolders, PartlyLabelledFolders
from medseg.datasets.manifest.csv_layout import CsvLayout
from medseg.datasets.manifest.declared_layout import DeclaredLayout
from medseg.datasets.manifest.group_rule import GroupRule
from medseg.datasets.manifest.patterns import Layout
from medseg.datasets.manifest.rules import DeriveRule, PictureRule, SegmentRule, Strict, TableRule, VolumeRule
from medseg.datasets.manifest.series.layout import SeriesLayout
from medseg.text import composed

#: Tags of the kinds of layout and of group; never shown.
PATTERNS, LIST, FOLDERS, DECLARED, RULE = "<patterns>", "<list>", "<folders>", "<declared>", "<rule>"
PARTLY, SERIES = "<partly labelled>", "<series>"

_TELLING = {
    "_target_": DECLARED,
    "target": DECLARED,
    "csv": LIST,
    "series": SERIES,
    "labelled": PARTLY,
    "unlabelled": PARTLY,
    "class_folders": FOLDERS,
}
"""Keys by which a layout is known; the first that is there tells."""


def _kind(layout: object) -> str:
    keys = layout if isinstance(layout, dict) else vars(layout) if isinstance(layout, BaseModel) else {}
    return next((tag for key, tag in _TELLING.items() if key in keys), PATTERNS)


AnyLayout = Annotated[
    Annotated[Layout, Tag(PATTERNS)]
    | Annotated[CsvLayout, Tag(LIST)]
    | Annotated[PartlyLabelledFolders, Tag(PARTLY)]
    | Annotated[ClassFolders, Tag(FOLDERS)]
    | Annotated[SeriesLayout, Tag(SERIES)]
    | Annotated[DeclaredLayout, Tag(DECLARED)],
    Discriminator(_kind),
]
"""Patterns of file names, a table of paths, folders of classes, DICOM series, or a class of somebody's own."""


def _how(group: object) -> str:
    return RULE if isinstance(group, dict | GroupRule) else PATTERNS


class ManifestFields(Strict):
    """What a data set means, where it comes from, and how its files are found.

    Attributes:
        name: Short name; that of the file.
        about: One or more sentences.
        source: Where the data come from.
        licence: Under which terms, and what they forbid.
        citation: What to cite.
        obtain: How to get the data; shown where none are given.
        ids: Whether the ids in file names are pseudonyms already, or must never be shown.
        channels: Names of the images of a case, in order.
        shown: The channel over which figures draw masks, and show first; None: the first that is used.
        image_labels: Whether the truth is classes of whole images: `one` each, or `many` at once. None: it is a
            label map.
        classes: Names in order; an index into it is the class of a voxel, or of an image. Of images it may be
            left out: they are found in the data.
        label_values: Class name of each stored value.
        instances: Class of every whole value above 0 that `label_values` does not name: label maps then number
            the objects of that class.
        ignore: A stored value, or several, of pixels that nobody annotated: they are left out of the loss and of all
            scores.
        derive: Classes that are distinguished by the images, if any.
        segments: What classes are, in codes and colours, for DICOM segmentations of them; of those left out the name
            alone is written.
        pictures: How picture files become channels; None for NIfTI files.
        volumes: How files of volumes do that hold several channels; None for NIfTI files of one channel each.
        format: `itk` for MetaImage, NRRD, Analyze, MGH, GIPL and VTK; or the name of a format of volumes that an
            installed package brings: see `medseg.images.own_format`. None for NIfTI files.
        layout: How files are named, the table that lists their paths, that they lie in folders by class, which
            DICOM `series` are which channel, or `{_target_: ...}` of a class that finds them: see `DeclaredLayout`.
        group: Regular expression searched in the case's id, which must find the patient as its first group. Or a
            rule `{tag: ..., pattern: ..., column: ...}` of what may tell the patient. None: each case is a patient,
            unless a table of paths tells more.
        columns: Further columns of a case: a regular expression searched in `<root's name>/<relative path>`
            of the first channel, whose first group is the value; empty where it finds nothing.
        table: A table with further columns, if any.
        sample: What generates data of this kind, if anything does.
    """

    name: str
    about: str
    source: str
    licence: str
    citation: str
    obtain: str
    ids: Literal["pseudonyms", "identifying"] = "identifying"
    channels: tuple[str, ...] = Field(min_length=1)
    shown: str | None = None
    image_labels: ImageLabels | None = None
    classes: tuple[str, ...] = ()
    label_values: dict[StrictInt, str] = Field(default_factory=dict)
    instances: str | None = None
    ignore: tuple[StrictInt, ...] = ()
    derive: DeriveRule | None = None
    segments: dict[str, SegmentRule] = Field(default_factory=dict)
    pictures: PictureRule | None = None
    volumes: VolumeRule | None = None
    format: str | None = Field(default=None, min_length=1)
    layout: AnyLayout
    group: (
        Annotated[Annotated[str, Tag(PATTERNS)] | Annotated[GroupRule, Tag(RULE)], Discriminator(_how)] | None
    ) = None
    columns: dict[str, str] = Field(default_factory=dict)
    table: TableRule | None = None
    sample: dict[str, Any] | None = None

    @field_validator("ignore", mode="before")
    @classmethod
    def _one_or_several(cls, given: object) -> object:
        return (given,) if isinstance(given, int) else given

    @field_validator("channels", mode="before")
    @classmethod
    def _one_channel(cls, given: object) -> object:
        return (given,) if isinstance(given, str) else given

    @field_validator("classes")
    @classmethod
    def _compared_in_nfc(cls, classes: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(composed(name) for name in classes)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that a case has beside its images."""
        return (*self.columns, *(self.table.columns if self.table else ()), *self.layout.row_columns)

    @property
    def together(self) -> bool:
        """Whether one file holds all channels."""
        return self.volumes is not None or (self.pictures is not None and self.pictures.channels == "rgb")

    @property
    def truth_within(self) -> bool:
        """Whether the file of the channels holds the label map too."""
        return self.volumes is not None and self.volumes.channels == "npz"
