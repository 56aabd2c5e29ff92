"""Folders `imagesTr` and `labelsTr`, which the Decathlon and nnU-Net share."""

from __future__ import annotations

from medseg.datasets.scanning.folder import Entry, Folder
from medseg.errors import DataError

TEST = {
    "imagesTs/": "images of a test part without label maps: not trained on",
    "labelsTs/": "label maps of the test part: not trained on",
}
"""What lies beside the training folders, by how names begin."""


def one_home(folder: Folder) -> str | None:
    """Where `imagesTr` and `labelsTr` lie, with a `/` behind it unless that is the folder itself; None if nowhere.

    Raises:
        DataError: They lie in several places, which are different data sets.
    """
    images, labels = (_homes(folder, name) for name in ("imagesTr", "labelsTr"))
    homes = sorted(images & labels)
    if len(homes) > 1:
        listed = ", ".join(home or "." for home in homes[:10])
        raise DataError(
            f"{len(homes)} data sets lie below the folder, each with imagesTr and labelsTr: {listed}. Name the "
            "folder of one of them with --data."
        )
    return homes[0] if homes else None


def _homes(folder: Folder, name: str) -> set[str]:
    return {
        "".join(f"{each}/" for each in entry.folders[:-1])
        for entry in folder.entries
        if entry.folders and entry.folders[-1] == name
    }


def training(folder: Folder, home: str, name: str) -> list[Entry]:
    """The files of one of the folders."""
    inside = f"{home}{name}/"
    return [entry for entry in folder.entries if entry.name.startswith(inside)]
