"""The roles that a case can have, and what data sets call them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

Role = Literal["train", "val", "test"]
ROLES: tuple[Role, ...] = get_args(Role)

ROLE = "role"
"""The column that holds the role of an image, where the data share images out."""

#: What a column may call the roles, in lower case; it is empty for all of a patient only where it is for everybody.
MEANINGS: Mapping[str, Role] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
