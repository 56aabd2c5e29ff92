"""BraTS 2012 to 2015, which were given out as MetaImage: a file a sequence, with its name and number.

2012: `BRATS_HG0001/BRATS_HG0001_FLAIR.mha`, with `_truth`. 2013 to 2015: `.../VSD.Brain.XX.O.MR_Flair.684.mha`, with
`.OT.` in place of the sequence, each in a folder called as itself, in one folder a case.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from medseg.datasets.scanning.folder import ITK, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.meaning import Names, UnknownLabels
from medseg.images.itk.names import NAME

_CHANNELS = ("flair", "t1", "t1ce", "t2")
_NUMBERED = re.compile(r"VSD\.Brain\S*?\.(?:MR_(?P<channel>Flair|T1c|T1|T2)|OT)\.\S+")
_NAMED = re.compile(r"(?P<case>\w*BRATS_[HL]G\d+)_(?:(?P<channel>FLAIR|T1C|T1|T2)|truth)")
_OF = {"flair": "flair", "t1": "t1", "t1c": "t1ce", "t2": "t2"}
_PATIENT = r"(brats_[a-z0-9]+_pat\d+)_\d+$"

_NECROSIS, _OEDEMA, _SOLID, _ENHANCING = "necrosis", "oedema", "non_enhancing_core", "enhancing"


@dataclass(frozen=True)
class NumberedLabels:
    """Values of label maps from 2013 to 2015."""

    def names(self, values: Collection[int]) -> Names:
        """Names, if no other values are there than these editions have."""
        if not set(values) <= {0, 1, 2, 3, 4}:
            return UnknownLabels("BraTS 2013 to 2015 has the values 0 to 4").names(values)
        return Names(
            {0: "background", 1: _NECROSIS, 2: _OEDEMA, 3: _SOLID, 4: _ENHANCING},
            {
                "whole_tumour": (_NECROSIS, _OEDEMA, _SOLID, _ENHANCING),
                "tumour_core": (_NECROSIS, _SOLID, _ENHANCING),
                "enhancing_tumour": (_ENHANCING,),
            },
            (),
            "files are named as in BraTS 2013 to 2015, where 4 is enhancing",
        )


class OlderBrats:
    """Four sequences and a truth of each case, as MetaImage."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout of the one edition or the other, if most cases have all files."""
        entries = folder.of(ITK)
        return _numbered(entries) or _named(entries)


def _numbered(entries: Iterable[Entry]) -> Layout | None:
    cases: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for entry in entries:
        found = _NUMBERED.fullmatch(entry.stem)
        if found and len(entry.folders) > 1 and entry.folders[-1] == entry.stem:
            cases["/".join(entry.folders[:-1])][_part(found)] = found["channel"] or ""
    if not _whole(cases):
        return None
    names = [case.rpartition("/")[2] for case in cases]
    start = (
        "{within}" if len(set(names)) < len(names) else "**/" if any("/" in case for case in cases) else ""
    )
    layout = {
        "images": f"{start}{{case}}/*/VSD.Brain*.MR_{{channel}}.*.mha",
        "mask": f"{start}{{case}}/*/VSD.Brain*.OT.*.mha",
        "spelling": {"flair": ["Flair"], "t1": ["T1"], "t1ce": ["T1c"], "t2": ["T2"]},
    }
    fields: dict[str, Any] = {"channels": list(_CHANNELS), "format": NAME, "layout": layout}
    of_patients = all(re.search(_PATIENT, name) for name in names)
    return Layout(
        "BraTS 2013 to 2015",
        "sure",
        ("each folder of a case has a folder for each of four sequences and the truth (OT)",),
        {**fields, "group": _PATIENT} if of_patients else fields,
        meaning=NumberedLabels(),
        guesses=("the last number of a name counts examinations of one patient",) if of_patients else (),
    )


def _named(entries: Iterable[Entry]) -> Layout | None:
    cases: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for entry in entries:
        if found := _NAMED.fullmatch(entry.stem):
            cases["/".join((*entry.folders, found["case"]))][_part(found)] = found["channel"] or ""
    if not _whole(cases):
        return None
    layout = {
        "images": "**/{case}_{channel}.mha",
        "mask": "**/{case}_truth.mha",
        "spelling": {"flair": ["FLAIR"], "t1": ["T1"], "t1ce": ["T1C"], "t2": ["T2"]},
    }
    return Layout(
        "BraTS 2012",
        "sure",
        ("files are named as in this edition, with FLAIR, T1, T1C, T2 and truth",),
        {"channels": list(_CHANNELS), "format": NAME, "layout": layout},
        meaning=UnknownLabels("real and simulated cases of BraTS 2012 give values different meanings"),
    )


def _part(found: re.Match[str]) -> str:
    return _OF[found["channel"].lower()] if found["channel"] else "mask"


def _whole(cases: dict[str, dict[str, str]]) -> bool:
    """Whether most cases have all sequences and a truth."""
    whole = sum({*_CHANNELS, "mask"} <= parts.keys() for parts in cases.values())
    return whole > 0 and whole >= 0.5 * len(cases)
