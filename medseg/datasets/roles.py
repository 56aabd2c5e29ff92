"""The roles that a case can have, and what data sets call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

Role = Literal["train", "val", "test", "unlabelled", "unused"]

ROLES: tuple[Role, ...] = ("train", "val", "test")
"""Those that cases with a truth are shared out to."""

UNLABELLED: Role = "unlabelled"
"""That of images whose classes are not known, in a data set of such images: never validated, tested or scored."""

UNUSED: Role = "unused"
"""That of cases and slices beyond the counts that a split asks for."""

ROLE = "role"
"""The column that holds the role of an image, where the data share images out."""

#: What a column may call the roles, in lower case; it is empty for all of a patient only where it is for everybody.
MEANINGS: Mapping[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
