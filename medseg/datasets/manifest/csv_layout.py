"""A layout in which a table lists the files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from medseg.class_names import ImageLabels, misnamed
from medseg.datasets.manifest.label_columns import JoinedColumn, LabelColumns, label_columns
from medseg.datasets.manifest.layout import NO_LABEL_MAPS, FileLayout
from medseg.datasets.manifest.patterns import MASK


class CsvLayout(FileLayout):
    """How a table lists a data set's files: CSV with comma, semicolon or tab in UTF-8, or an Excel sheet (.xlsx).

    Paths are relative to the table's folder or to the data set's, or absolute; they lead below one of these.

    Attributes:
        csv: Name of the file, in the data set's folder. Another is read if it is given in place of a folder.
        image: Column of the image's path; with several channels that are files of their own, a column for each.
        mask: Column of the label map's path; None where there is none.
        case: Column of the case's id; None, or an empty value, takes the image's name without its ending, with
            as many folders before it as tell it from others.
        group: Column of the patient; where it is empty, or None, the case is its own.
        label: Column of the one class of the whole image.
        labels: What tells any number of classes of the whole image: a column for each, called as the class, that
            holds 1 or 0; or one column with a separator.
        extra: Further columns of the cases.
        unlabelled: Whether a row without any class is an image without a label; else it is a fault.
    """

    finder: ClassVar[str] = "medseg.datasets.finding.by_table.ListFinder"

    csv: str = Field(min_length=1)
    image: str | dict[str, str]
    mask: str | None = None
    case: str | None = None
    group: str | None = None
    label: str | None = None
    labels: tuple[str, ...] | JoinedColumn | None = None
    extra: tuple[str, ...] = ()
    unlabelled: bool = False

    @model_serializer(mode="wrap")
    def _without_the_usual(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Lists from before the key `unlabelled` are written as they were, and so keep their fingerprints."""
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if key != "unlabelled" or value}

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a label map."""
        return self.mask is not None

    @property
    def tells(self) -> LabelColumns | None:
        """What tells the classes of an image; None where nothing does."""
        return label_columns(self.label, self.labels)

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Further columns of a case that the list itself tells."""
        return self.extra

    @property
    def patient_column(self) -> str | None:
        """The column of the patient, if there is one."""
        return self.group

    def class_complaints(self, image_labels: ImageLabels, classes: Sequence[str]) -> Iterator[str]:
        """What keeps it from telling the classes of whole images."""
        if self.has_truth:
            yield NO_LABEL_MAPS
        one = image_labels == "one"
        if (self.label is not None, self.labels is not None) != (one, not one):
            expected = "'label' and not 'labels'" if one else "'labels' and not 'label'"
            yield f"'image_labels' is {image_labels}: 'layout' expected {expected}"
        names = self.tells.names if self.tells is not None else ()
        if self.unlabelled and isinstance(self.labels, JoinedColumn) and self.labels.empty_is_none:
            yield (
                "'layout.unlabelled' says that nobody has told the classes of a row without any, and "
                "'layout.labels.empty_is_none' that it has none: take out one"
            )
        for complaint in misnamed(names):
            yield f"'layout.labels': {complaint}"
        if names and classes and sorted(names) != sorted(classes):
            yield f"'layout.labels' names {list(names)}, expected a column for each of {list(classes)}"

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: The columns of images do not fit the channels.
        """
        if self.unlabelled and not self.tells_classes:
            raise ValueError(
                "'unlabelled' is of classes of images: name their column under 'label' or 'labels'"
            )
        if isinstance(self.image, str) and len(channels) > 1 and not together:
            raise ValueError(f"'image' expected a column for each of {list(channels)}")
        if isinstance(self.image, dict) and together:
            raise ValueError(
                "one file holds all channels: 'image' expected its column, not one for each channel"
            )
        if isinstance(self.image, dict) and set(self.image) != set(channels):
            raise ValueError(
                f"'image' names {sorted(self.image)}, expected a column for each of {list(channels)}"
            )

    def column(self, part: str) -> str:
        """The column that holds the path of a channel, of `image` or of `mask`."""
        if part == MASK:
            return self.mask or ""
        return self.image if isinstance(self.image, str) else self.image[part]

    def needed(self, parts: Sequence[str], *, truth: bool) -> tuple[str, ...]:
        """The columns that must be there: in prediction those of the images alone."""
        about_case = [column for column in (self.case, self.group, *self.extra) if column is not None]
        labels = self.tells.columns if self.tells is not None else ()
        return (*map(self.column, parts), *((*about_case, *labels) if truth else ()))
