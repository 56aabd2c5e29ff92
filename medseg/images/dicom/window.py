"""Which window of a DICOM image is read."""

from __future__ import annotations

from typing import Literal, TypeAlias

Window: TypeAlias = Literal["file", "none"] | tuple[float, float]
"""`file`, `none`, or centre and width in modality units."""
