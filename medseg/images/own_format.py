"""Formats of files that other packages bring."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

from medseg.errors import ManifestError
from medseg.geometry.grid import Geometry, StoredImage
from medseg.machine.installed import brought

GROUP = "medseg.formats"
"""Entry points that name classes of formats; a manifest says `format: <name of the entry point>`."""


class VolumeFormat(ABC):
    """A format of volumes with one channel a file. A subclass says its endings, and reads one file.

    Objects hold no state: they are sent to other processes.

    Attributes:
        suffixes: Endings of the files' names, in lower case, such as `.vol`.
        noun: What such files are called in messages, in the plural.
        measured: Whether the files say how large a voxel is.
        flat: Whether each file is one slice.
        version: Counted up whenever `read_image` gives other values for a file than before: prepared slices are
            then prepared anew.
    """

    suffixes: ClassVar[tuple[str, ...]]
    noun: ClassVar[str] = "volumes"
    measured: ClassVar[bool] = True
    flat: ClassVar[bool] = False
    version: ClassVar[int] = 1

    @abstractmethod
    def read_image(self, path: Path) -> StoredImage:
        """Read one file.

        Args:
            path: Of a regular file with one of `suffixes`.

        Returns:
            Values (I, J, K) as stored, with the affine from voxel indices to world coordinates (mm, RAS+).

        Raises:
            DataError: The file cannot be used; the message holds no path, and no name of a patient.
        """

    def read(self, path: Path, channels: Sequence[str]) -> list[StoredImage]:
        """The one channel of the file."""
        stored = self.read_image(path)
        return [stored for _ in channels]

    def read_mask(self, path: Path) -> StoredImage:
        """The label map, with its values as stored."""
        return self.read_image(path)

    def geometry(self, path: Path) -> Geometry:
        """The grid of a file. Formats whose header can be read alone should do so."""
        return self.read_image(path).geometry

    def tag(self, path: Path, keyword: str) -> str:  # noqa: ARG002
        """Nothing: such files say nothing of themselves under a name."""
        return ""

    def meaning(self) -> Mapping[str, Any]:
        """The class and its version."""
        return {"kind": f"{type(self).__module__}.{type(self).__qualname__}", "version": self.version}

    def __eq__(self, other: object) -> bool:
        """Objects of one class are equal: they have no state."""
        return type(self) is type(other)

    def __hash__(self) -> int:
        """As of its class."""
        return hash(type(self))


def installed_format(name: str) -> VolumeFormat:
    """The format that an installed package brings under a name.

    Raises:
        ManifestError: No package does, it cannot be loaded, or it is no `VolumeFormat`.
    """
    found = {point.name: point for point in brought(GROUP)}
    if name not in found:
        near = difflib.get_close_matches(name, found, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise ManifestError(
            f"at format: no installed package brings the format '{name}'.{hint} Installed formats: "
            f"{', '.join(sorted(found)) or 'none'}. Leave `format` out for NIfTI, write `format: itk` "
            "for MetaImage, NRRD, Analyze, MGH, GIPL and VTK, or say `pictures` for pictures and DICOM."
        )
    return _loaded(found[name])


def _loaded(point: EntryPoint) -> VolumeFormat:
    try:
        made = point.load()()
    except Exception as error:  # a package of somebody else may fail in any way
        raise ManifestError(
            f"at format: the format '{point.name}' of the package {point.value} cannot be loaded: "
            f"{type(error).__name__}. Mend or reinstall that package."
        ) from error
    if not isinstance(made, VolumeFormat):
        raise ManifestError(
            f"at format: {point.value} is no medseg.images.own_format.VolumeFormat. Correct the entry point "
            f"'{point.name}' of its package."
        )
    return made
