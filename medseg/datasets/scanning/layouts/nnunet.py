"""nnU-Net raw data: `imagesTr/X_0000.nii.gz` and so on, `labelsTr/X.nii.gz`, `dataset.json`."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from medseg.datasets.scanning.colours import coloured
from medseg.datasets.scanning.description import described
from medseg.datasets.scanning.folder import ITK, PICTURE, UNREAD, VOLUME, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts.training_folders import TEST, one_home, training
from medseg.images.itk.names import NAME

_NUMBERED = re.compile(r"(.+)_(\d{4})")


class NnUnet:
    """A file a channel in `imagesTr`, with the number of the channel behind the case's name."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if label maps have images with four digits behind their names."""
        home = one_home(folder)
        if home is None:
            return None
        images, labels = training(folder, home, "imagesTr"), training(folder, home, "labelsTr")
        numbers: defaultdict[str, set[str]] = defaultdict(set)
        for entry in images:
            if found := _NUMBERED.fullmatch(entry.stem):
                numbers[found[1]].add(found[2])
        cases = [entry.stem for entry in labels if entry.stem in numbers]
        if not cases or len(cases) < 0.5 * len(labels):
            return None
        (kind, _), *_ = Counter(entry.kind for entry in labels).most_common(1)
        (ending, _), *_ = Counter(entry.ending for entry in labels).most_common(1)
        used = sorted({number for case in cases for number in numbers[case]})
        said = described(folder, home)
        named = said.channels if len(said.channels) == len(used) else ()
        fields = _fields(home, ending, kind, used, named, images)
        guesses = (
            []
            if named
            else [f"{said.problem or f'{said.file} names no channels'}: channels have neutral names"]
        )
        return Layout(
            "nnU-Net raw data",
            "sure" if said.file else "guess",
            (
                f"names in imagesTr end in the channel's number ({', '.join(used)}), and labelsTr has them without",
                *([f"{said.file} names the channels"] if named else []),
            ),
            fields,
            said.about,
            said.meaning,
            said.modalities if named else {},
            tuple(guesses),
            {f"{home}{name}": words for name, words in TEST.items()},
            (said.file,) if said.file else (),
            cannot=f"its files are {ending}, which are not read yet: convert them to .nii.gz"
            if kind == UNREAD
            else "",
        )


def _fields(
    home: str, ending: str, kind: str, used: Sequence[str], named: Sequence[str], images: Sequence[Entry]
) -> dict[str, Any]:
    ending = ".nii*" if kind == VOLUME else ending
    start = "**/" if home else ""
    mask = f"{start}labelsTr/{{case}}{ending}"
    if kind == PICTURE and len(used) == 1 and coloured(images):
        return {
            "channels": list(named) if len(named) == 3 else ["red", "green", "blue"],
            "pictures": {"channels": "rgb"},
            "layout": {"images": f"{start}imagesTr/{{case}}_{used[0]}{ending}", "mask": mask},
        }
    channels = list(named) or [f"channel_{number}" for number in used]
    spelling = {channel: [number] for channel, number in zip(channels, used, strict=True)}
    layout = {"images": f"{start}imagesTr/{{case}}_{{channel}}{ending}", "mask": mask, "spelling": spelling}
    return {
        "channels": channels,
        **({"pictures": {"channels": "grey"}} if kind == PICTURE else {}),
        **({"format": NAME} if kind == ITK else {}),
        "layout": layout,
    }
