"""A layout in which pictures lie in folders of their classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from medseg.class_names import ImageLabels
from medseg.datasets.manifest.layout import FileLayout
from medseg.datasets.roles import ROLE


class ClassFolders(FileLayout):
    """Pictures lie in `<class>/` or in `Train/<class>/`, `Val/<class>/` and `Test/<class>/`, at any depth below.

    Folders of roles have the names of `medseg.datasets.roles.MEANINGS` in upper or lower case, and lie in the
    data set's folder itself. Any of them may be missing; they become the column `role`, else it is empty. Pictures
    are known by their content if not by their ending. Images of kinds that are not read are a fault; files that
    are no images are left out, whatever lies where.
    """

    finder: ClassVar[str] = "medseg.datasets.finding.by_class_folder.ClassFolderFinder"

    class_folders: Literal[True]

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The column of roles."""
        return (ROLE,)

    @property
    def tells_classes(self) -> bool:
        """Whether it tells the classes of whole images: it does."""
        return True

    def class_complaints(self, image_labels: ImageLabels, classes: Sequence[str]) -> Iterator[str]:  # noqa: ARG002
        """What keeps it from telling the classes of whole images."""
        if image_labels == "many":
            yield "'image_labels' is many, and a folder tells one class: expected a table (csv) with 'labels'"

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: A picture would have to be several files.
        """
        if len(channels) > 1 and not together:
            raise ValueError(f"a picture in a folder of a class is one file, and there are {list(channels)}")


class PartlyLabelledFolders(ClassFolders):
    """Few pictures lie in `<labelled>/<class>/`, and many, whose class nobody has told, in `<unlabelled>/`.

    Below `<labelled>` all is as of `ClassFolders`; below `<unlabelled>` pictures lie at any depth. Names are compared
    in Unicode's composed form, in upper or lower case.

    Attributes:
        labelled: What the folder of the pictures with a class may be called; the first that is there counts, and
            it is a fault if others are there too.
        unlabelled: What that of the others may be called, likewise; it may be missing.
    """

    finder: ClassVar[str] = "medseg.datasets.finding.by_labelled_folder.PartlyLabelledFinder"

    labelled: tuple[str, ...] = Field(min_length=1)
    unlabelled: tuple[str, ...] = Field(min_length=1)

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: A picture would have to be several files, or one name would stand for both folders.
        """
        super().verify(channels, together=together)
        both = sorted({name.lower() for name in self.labelled} & {name.lower() for name in self.unlabelled})
        if both:
            raise ValueError(f"'labelled' and 'unlabelled' both name {both}")
