"""BraTS from 2017 on, by how its editions name files and which values their label maps hold."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection
from dataclasses import dataclass

from medseg.datasets.scanning.folder import VOLUME, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.meaning import Names, UnknownLabels

_SPELLINGS = {
    "flair": ("flair", "t2f"),
    "t1": ("t1", "t1n"),
    "t1ce": ("t1ce", "t1gd", "t1post", "t1c"),
    "t2": ("t2", "t2w"),
}
_CHANNELS = tuple(_SPELLINGS)
_OF = {spelt: channel for channel, names in _SPELLINGS.items() for spelt in names}
_NEWER = frozenset({"t2f", "t1n", "t2w"})

_FILE = re.compile(rf"(?P<case>.+)(?P<sign>[-_])(?P<part>{'|'.join(sorted(_OF, key=len, reverse=True))}|seg)")

_CORE, _OEDEMA, _ENHANCING = "necrotic_core", "oedema", "enhancing"
_REGIONS = {
    "whole_tumour": (_CORE, _OEDEMA, _ENHANCING),
    "tumour_core": (_CORE, _ENHANCING),
    "enhancing_tumour": (_ENHANCING,),
}


@dataclass(frozen=True)
class BratsLabels:
    """Values of label maps, whose meaning changed from edition to edition.

    Attributes:
        newer: Whether files are named as from 2023 on.
    """

    newer: bool

    def names(self, values: Collection[int]) -> Names:
        """Names by edition; neutral ones where values and names of files do not tell it."""
        marked = set(values) - {0}
        background = {0: "background"}
        if self.newer and marked <= {1, 2, 3}:
            named = {1: _CORE, 2: _OEDEMA, 3: _ENHANCING}
            return Names(
                {**background, **named},
                _REGIONS,
                (),
                "files are named as from BraTS 2023 on, where 3 is enhancing",
            )
        if not self.newer and 4 in marked and marked <= {1, 2, 4}:
            named = {1: _CORE, 2: _OEDEMA, 4: _ENHANCING}
            return Names(
                {**background, **named}, _REGIONS, (), "value 4 and none of 3, as in BraTS 2017 to 2021"
            )
        why = (
            "these values have had different meanings: 1, 2, 3 are oedema, non-enhancing and enhancing in the "
            "Decathlon, necrotic core, oedema and enhancing from BraTS 2023 on"
        )
        return UnknownLabels(why).names(values)


class Brats:
    """Four sequences and `seg` of one name."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if most cases have all four sequences and some have a label map."""
        found: defaultdict[str, dict[str, tuple[str, str]]] = defaultdict(dict)
        for entry in folder.of(VOLUME):
            if match := _FILE.fullmatch(entry.stem):
                part = _OF.get(match["part"], "seg")
                found["/".join((*entry.folders, match["case"]))][part] = (match["sign"], match["part"])
        whole = [parts for parts in found.values() if {*_CHANNELS, "seg"} <= parts.keys()]
        if not whole or len(whole) < 0.5 * len(found):
            return None
        (sign, _), *others = Counter(parts["seg"][0] for parts in whole).most_common()
        spelt = {
            channel: sorted({parts[channel][1] for parts in whole}, key=_SPELLINGS[channel].index)
            for channel in _CHANNELS
        }
        newer = any(name in _NEWER for names in spelt.values() for name in names)
        signs = [sign, *(other for other, _ in others)]
        images = [f"**/{{case}}{each}{{channel}}.nii*" for each in signs]
        masks = [f"**/{{case}}{each}seg.nii*" for each in signs]
        others_spelt = {channel: names for channel, names in spelt.items() if names != [channel]}
        fields = {
            "channels": list(_CHANNELS),
            "layout": {
                "images": images if others else images[0],
                "mask": masks if others else masks[0],
                **({"spelling": others_spelt} if others_spelt else {}),
            },
            **({"group": r"^(.+?)(?:-\d{3})?$"} if newer else {}),
        }
        edition = "from 2023 on" if newer else "2017 to 2021"
        return Layout(
            f"BraTS {edition}",
            "sure",
            (f"cases have {', '.join(names[0] for names in spelt.values())} and seg of one name",),
            fields,
            meaning=BratsLabels(newer),
            guesses=("the last three digits of a name count examinations of one patient",) if newer else (),
        )
