"""What can be seen to be images, and cannot be read yet."""

from __future__ import annotations

from collections import Counter

from medseg.datasets.scanning.folder import DICOM, ITK, PICTURE, UNREAD, VOLUME, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.text import agreed, many

_NO_VOLUMES = (
    "the DICOM files are neither slices of volumes, which say where they lie, nor pictures in folders of classes: "
    "list them in a table, or write a manifest (docs/your-data.md)"
)


class NotYetRead:
    """DICOM files that are neither volumes nor sorted pictures, or images in formats that are not read."""

    def recognise(self, folder: Folder) -> Layout | None:
        """A layout that cannot be learned from, if most images are of such kinds."""
        images = folder.of(VOLUME, ITK, PICTURE, DICOM, UNREAD)
        for kind, name, remedy in (
            (
                DICOM,
                "DICOM files",
                _NO_VOLUMES,
            ),
            (UNREAD, "images", "{} are not read yet: convert volumes to .nii.gz and pictures to PNG or TIFF"),
        ):
            found = folder.of(kind)
            if found and len(found) >= 0.5 * len(images):
                endings = Counter(entry.ending or "files without ending" for entry in found)
                listed = ", ".join(f"{count} {ending}" for ending, count in endings.most_common(5))
                return Layout(
                    name,
                    "guess",
                    (f"{len(found)} of {many(len(images), 'image')} {agreed('are', len(found))} {kind}",),
                    cannot=remedy.format(listed),
                )
        return None
