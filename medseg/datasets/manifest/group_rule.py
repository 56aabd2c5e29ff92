"""What tells which patient a case belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict

_KEYWORD = re.compile(r"[A-Z][A-Za-z0-9]*")


class GroupRule(BaseModel):
    """What tells the patient; tried in this order, and the first that says something counts.

    Attributes:
        tag: Keyword of an attribute of DICOM files, such as `PatientID`.
        pattern: Regular expression searched in the case's id; its first group is the patient. The id of a picture
            in a folder of a class is its path, `Train/yes/p17_3`.
        column: A column of `columns`, `table` or the list.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tag: str | None = None
    pattern: str | None = None
    column: str | None = None

    def complaints(self, *, pictures: bool) -> Iterator[str]:
        """What is wrong with the rule itself."""
        if self.tag is self.pattern is self.column is None:
            yield "'group' says nothing: name a 'tag', a 'pattern' or a 'column' below it"
        if self.tag is not None and not pictures:
            yield "'group.tag' is read from DICOM pictures: it needs 'pictures'"
        if self.tag is not None and not _KEYWORD.fullmatch(self.tag):
            yield f"'group.tag' is {self.tag!r}; expected the keyword of a DICOM attribute, such as PatientID"
