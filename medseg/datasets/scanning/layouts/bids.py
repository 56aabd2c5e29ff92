"""BIDS: `sub-X/[ses-Y/]anat/sub-X[_ses-Y]_T1w.nii.gz`, label maps in `derivatives/` or beside."""

from __future__ import annotations

import re
from collections import defaultdict

from medseg.datasets.scanning.folder import ITK, VOLUME, Entry, Folder
from medseg.datasets.scanning.layout import Layout
from medseg.datasets.scanning.meaning import identifiers
from medseg.images.itk.names import NAME

_CASE = r"sub-[A-Za-z0-9]+(?:_ses-[A-Za-z0-9]+)?"
_FILE = re.compile(rf"(?P<case>{_CASE})_(?P<rest>.+)")
_MASKS = ("dseg", "mask", "probseg", "label", "seg", "roi", "lesion")
_SESSIONS = {True: "sub-*/ses-*/", False: "sub-*/"}


class Bids:
    """Names of subject, session and image type, joined by underscores."""

    def recognise(self, folder: Folder) -> Layout | None:
        """The layout, if subjects have images and one kind of label map."""
        images: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        masks: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        sessions = set()
        kind = VOLUME if folder.of(VOLUME) else ITK
        endings: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for entry in folder.of(kind):
            match = _FILE.fullmatch(entry.stem)
            if match is None or not any(name.startswith("sub-") for name in entry.folders):
                continue
            place = _home(entry), match["rest"]
            (masks if _is_mask(match["rest"]) else images)[place].add(match["case"])
            endings[place].add(entry.ending)
            sessions.add(any(name.startswith("ses-") for name in entry.folders))
        if not masks or not images:
            return None
        (mask, cases), *others = sorted(masks.items(), key=lambda item: (-len(item[1]), item[0]))
        used = {place: found for place, found in images.items() if len(found & cases) >= 0.5 * len(cases)}
        if not used:
            return None
        names = identifiers([rest for _, rest in used], "image")
        channels = dict(zip(names, used, strict=True))
        guesses = (
            [f"{len(others) + 1} kinds of label maps are there: the one of most subjects was taken"]
            if others
            else []
        )
        return Layout(
            "BIDS",
            "sure" if "dataset_description.json" in folder.by_name else "guess",
            (
                f"names tell subject and image type ({', '.join(rest for _, rest in used)})",
                f"{mask[1]} is a label map",
            ),
            {
                "channels": names,
                "layout": {
                    "images": {
                        name: _patterns(place, sessions, _ending(endings[place], kind))
                        for name, place in channels.items()
                    },
                    "mask": _patterns(mask, sessions, _ending(endings[mask], kind)),
                    "case": _CASE,
                },
                **({"format": NAME} if kind == ITK else {}),
                "group": "^(sub-[A-Za-z0-9]+)",
            },
            guesses=tuple(guesses),
            described=("dataset_description.json",) if "dataset_description.json" in folder.by_name else (),
        )


def _is_mask(rest: str) -> bool:
    suffix = rest.rpartition("_")[2].lower()
    return suffix in _MASKS


def _home(entry: Entry) -> str:
    """The pattern of its folders, but for subject and session: `derivatives/manual/{}anat/`."""
    at = next(number for number, name in enumerate(entry.folders) if name.startswith("sub-"))
    below = [name for name in entry.folders[at + 1 :] if not name.startswith("ses-")]
    return "".join(f"{name}/" for name in (*entry.folders[:at], "{}", *below)).replace("{}/", "{}")


def _ending(endings: set[str], kind: str) -> str:
    """How names end: two kinds of NIfTI in one way, several other endings in any."""
    return ".nii*" if kind == VOLUME else next(iter(endings)) if len(endings) == 1 else ".*"


def _patterns(place: tuple[str, str], sessions: set[bool], ending: str) -> str | list[str]:
    home, rest = place
    made = [f"{home.format(_SESSIONS[each])}{{case}}_{rest}{ending}" for each in sorted(sessions)]
    return made[0] if len(made) == 1 else made
