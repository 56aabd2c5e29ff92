"""What can be seen to be images, and cannot be read yet."""

from __future__ import annotations

from collections import Counter

from medseg.datasets.scanning.folder import DICOM, PICTURE, UNREAD, VOLUME, Folder
from medseg.datasets.scanning.layout import Layout


class NotYetRead:
    """Folders of DICOM series, or of volumes in formats other than NIfTI."""

    def recognise(self, folder: Folder) -> Layout | None:
        """A layout that cannot be learned from, if most images are of such kinds."""
        images = folder.of(VOLUME, PICTURE, DICOM, UNREAD)
        for kind, name, remedy in (
            (
                DICOM,
                "DICOM series",
                "DICOM series are not read yet: convert each to .nii.gz, with its label map beside",
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
                    (f"{len(found)} of {len(images)} images are {kind}",),
                    cannot=remedy.format(listed),
                )
        return None
