"""A layout of somebody's own: a class that finds the files."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import ConfigDict, Field

from medseg.component import Allowed, build
from medseg.datasets.manifest.layout import FileLayout


class DeclaredLayout(FileLayout):
    """`layout: {_target_: package.Class, argument: value, ...}`.

    The class is built from its arguments only where files are searched, and only if the caller allows its package.
    It has the method `find(root, manifest)`, which yields a `medseg.datasets.finding.draft.Draft` for each case: its
    id, its files by part (channels by their names, `mask` for the label map), its patient, its classes.

    Attributes:
        target: Written `_target_`: dotted name of the class.
    """

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True)

    finder: ClassVar[str] = "medseg.datasets.finding.by_declared_class.DeclaredFinder"

    target: str = Field(alias="_target_", min_length=1)

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a label map: only the class knows, so that it may."""
        return True

    def built(self, allowed: Allowed) -> Any:
        """The object.

        Raises:
            DefinitionError: Its package is not allowed, it has no method `find`, or it refuses its arguments.
        """
        spec = self.model_dump(by_alias=True)
        return build(spec, at="layout", kind=_finds, allowed=allowed)


def _finds(found: type) -> bool:
    """Whether a class has the method that a layout needs."""
    return callable(getattr(found, "find", None))
