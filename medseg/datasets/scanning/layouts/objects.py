"""A folder a picture, with a folder of the picture and one of a mask of each object, as in the Data Science Bowl."""

from __future__ import annotations

from collections import defaultdict

from medseg.datasets.scanning.colours import coloured
from medseg.datasets.scanning.folder import PICTURE, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.layouts.parts import is_mask
from medseg.text import many


class ObjectFiles:
    """`x/images/x.png` and `x/masks/1.png`, `x/masks/2.png` and so on."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if most folders have one picture and several masks."""
        found: defaultdict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for entry in folder.of(PICTURE):
            if len(entry.folders) > 1:
                *home, last = entry.folders
                found["/".join(home)][last].append(entry)
        whole = {
            home: (images, masks)
            for home, inner in found.items()
            for images in inner
            for masks in inner
            if len(inner[images]) == 1 and is_mask(masks) and not is_mask(images)
        }
        several = [home for home, (_, masks) in whole.items() if len(found[home][masks]) > 1]
        if len(whole) < 2 or len(several) < 0.3 * len(whole) or len(set(whole.values())) > 1:
            return None
        (images, masks) = next(iter(whole.values()))
        pictures = [found[home][images][0] for home in whole]
        if any(
            picture.stem != home.rpartition("/")[2] for picture, home in zip(pictures, whole, strict=True)
        ):
            return None
        start = "**/" if any("/" in home for home in whole) else ""
        rgb = coloured(pictures)
        return Layout(
            "a folder a picture, with a mask of each object",
            "sure",
            (f"{many(len(whole), 'folder', 'have')} one picture in {images} and masks in {masks}",),
            {
                "channels": ["red", "green", "blue"] if rgb else ["picture"],
                "pictures": {"channels": "rgb" if rgb else "grey"},
                "layout": {
                    "images": f"{start}{{case}}/{images}/{{case}}.*",
                    "objects": f"{start}{{case}}/{masks}/*",
                },
            },
            guesses=(f"pictures are {'in colour' if rgb else 'grey'}, as those that were looked at",),
        )
