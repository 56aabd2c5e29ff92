"""What every layout of files tells a manifest, and which class finds its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, ConfigDict

from medseg.class_names import ImageLabels
from medseg.component import Allowed
from medseg.datasets.manifest.label_columns import LabelColumns

if TYPE_CHECKING:
    from medseg.images.formats import FileKind

NO_LABEL_MAPS = (
    "'layout' tells label maps, and 'image_labels' says there are none: take out 'mask' or 'objects'"
)


class FileLayout(BaseModel):
    """How the files of a data set are found. What a kind of layout does not override is as usual.

    Attributes:
        finder: Dotted name of the class that finds the files: made from the manifest and the layout, it has
            the method `find` of `medseg.datasets.finding.draft.Finder`. A name, since finders are built on manifests.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    finder: ClassVar[str]
    own_kind: ClassVar[str] = ""
    """What the files are called where the layout itself says of which kind they are, so that the manifest may not."""
    by_content: ClassVar[bool] = False
    """Whether files tell themselves what they belong to, so that those named one by one may be one case."""

    def files(self, values: Mapping[str, int]) -> FileKind | None:  # noqa: ARG002 - for layouts with a kind
        """The kind of the files, None where the manifest says it.

        Args:
            values: The stored value of each class.
        """
        return None

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a label map."""
        return False

    @property
    def many(self) -> frozenset[str]:
        """The parts of a case that may have several files."""
        return frozenset()

    @property
    def row_columns(self) -> tuple[str, ...]:
        """Further columns of a case that the layout itself tells."""
        return ()

    @property
    def tells(self) -> LabelColumns | None:
        """The columns that tell the classes of an image, if columns do."""
        return None

    @property
    def tells_classes(self) -> bool:
        """Whether it tells the classes of whole images."""
        return self.tells is not None

    @property
    def patient_column(self) -> str | None:
        """The column that tells the patient, if one does."""
        return None

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Args:
            channels: Names of the channels.
            together: Whether one file holds them all.

        Raises:
            ValueError: It cannot; the message says why.
        """

    def class_complaints(self, image_labels: ImageLabels, classes: Sequence[str]) -> Iterator[str]:  # noqa: ARG002
        """What keeps it from telling the classes of whole images; none by default."""
        yield from ()

    def label_complaints(self, classes: Sequence[str]) -> Iterator[str]:  # noqa: ARG002
        """What keeps it from finding label maps of these classes; none by default."""
        yield from ()

    def built(self, allowed: Allowed) -> Any:  # noqa: ARG002
        """What the finder is given: the layout, unless it declares an object of another class.

        Args:
            allowed: Where that class may come from.
        """
        return self
