"""Pictures without label maps, sorted into a folder a class, below folders of roles or not."""

from __future__ import annotations

from collections import Counter

from medseg.datasets.finding.class_faults import unlikely
from medseg.datasets.roles import MEANINGS
from medseg.datasets.scanning.colours import coloured
from medseg.datasets.scanning.folder import DICOM, PICTURE, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.series import of_series
from medseg.errors import DataError
from medseg.text import many

_UNSORTED = ("unlabelled", "unlabeled", "unsorted", "unknown")


class ClassesInFolders:
    """`class/name.png`, or `Train/class/name.png`."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if there are two folders of pictures or more that are hardly patients.

        Raises:
            DataError: The folders of classes lie within another one, which is to be named.
        """
        pictures = folder.of(PICTURE, DICOM)
        roles = {each.folders[0] for each in pictures if each.folders and each.folders[0].lower() in MEANINGS}
        inner = [
            each.folders[1:] if each.folders and each.folders[0] in roles else each.folders
            for each in pictures
        ]
        sorted_ = Counter(names[0] for names in inner if names)
        if (
            of_series(folder.of(DICOM))
            or len(sorted_) < 2
            or sorted_.total() < 0.5 * len(pictures)
            or unlikely(sorted_)
        ):
            return None
        if any(name.lower() in _UNSORTED for name in sorted_):
            below = {each.folders[0] for each in pictures if len(each.folders) > 1}
            named = ", ".join(sorted(below)) or "that with the folders of the classes"
            raise DataError(
                "some pictures lie in a folder without classes beside those with classes. Name the folder that holds "
                f"the folders of the classes alone with --data, within this one: {named}."
            )
        rgb = coloured(pictures)
        return Layout(
            "a folder a class",
            "guess",
            (
                (
                    f"{many(len(pictures), 'picture', 'lie')} in {many(len(sorted_), 'folder')}, and nothing is "
                    "called as a label map"
                ),
            ),
            {
                "channels": ["red", "green", "blue"] if rgb else ["picture"],
                "pictures": {"channels": "rgb" if rgb else "grey"},
                "image_labels": "one",
                "layout": {"class_folders": True},
                "group": {"tag": "PatientID"},
            },
            guesses=(
                "folders are classes, and no patients: each picture that is not DICOM counts as a patient of its own",
                f"pictures are {'in colour' if rgb else 'grey'}, as those that were looked at",
            ),
        )
