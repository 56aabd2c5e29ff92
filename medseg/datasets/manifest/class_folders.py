"""A layout in which pictures lie in folders of their classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from medseg.datasets.roles import ROLE


class ClassFolders(BaseModel):
    """Pictures lie in `<class>/` or in `Train/<class>/`, `Val/<class>/` and `Test/<class>/`, at any depth below.

    Folders of roles have the names of `medseg.datasets.roles.MEANINGS` in upper or lower case, and lie in the
    data set's folder itself. Any of them may be missing; they become the column `role`, else it is empty. Pictures
    are known by their content if not by their ending. Images of kinds that are not read are a fault; files that
    are no images are left out, whatever lies where.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    class_folders: Literal[True]

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a label map: none has."""
        return False

    @property
    def row_columns(self) -> tuple[str, ...]:
        """The column of roles."""
        return (ROLE,)

    @property
    def many(self) -> frozenset[str]:
        """The parts of a case that may have several files: none."""
        return frozenset()

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: A picture would have to be several files.
        """
        if len(channels) > 1 and not together:
            raise ValueError(f"a picture in a folder of a class is one file, and there are {list(channels)}")
