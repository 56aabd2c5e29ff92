"""Masks that lie beside their images, where a name alone would make them images."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from medseg.datasets.finding.draft import Draft, Found
from medseg.datasets.finding.walk import leave_out, without_ending
from medseg.text import composed

#: What stands behind the name of an image in that of its mask, and perhaps a number; or before it.
_WORD = r"(?:mask|seg|segm|segmentation|label|labelmap|gt|ground[-_ ]?truth|annotation)s?"
_FOLDER = re.compile(rf"{_WORD}[-_ ]?(?:tr|ts|va|val|train|test|training)?", re.IGNORECASE)
_USUAL = (
    re.compile(rf"(.+?)[-_. ]+{_WORD}(?:[-_ ]?\d+)?", re.IGNORECASE),
    re.compile(rf"{_WORD}[-_. ]+(.+)", re.IGNORECASE),
)


def leave_masks(
    found: Found,
    endings: Sequence[str],
    *,
    named: bool,
    predicted: bool = True,
    folders: bool = False,
    of: Callable[[str], str | None] = lambda _: None,
) -> int:
    """Take those cases out whose one file is by its name the mask of an image in the same folder, and note them.

    Where there are such, files that are masks by their names and have no image are left out too. A file that was
    given by itself has none beside it.

    Args:
        found: The cases, each of one file or of several; takes the note.
        endings: Of the kind of file, in lower case.
        named: Whether the note may show names.
        predicted: Whether the cases are there to be predicted, rather than to be learned from or scored.
        folders: Whether files in folders such as `labelsTs` are left out too: no name of a class, but of a part.
        of: The id of the case whose mask a file of this name is, by the manifest; None if it says nothing.

    Returns:
        How many there are.
    """
    by_folder = _take_label_folders(found) if folders else []
    stems: defaultdict[Path, set[str]] = defaultdict(set)
    for draft in found.drafts:
        for places in draft.files.values():
            for _, path in places:
                stems[path.parent].add(_stem(path, endings))
    masks = [draft for draft in found.drafts if _is_mask(draft, stems, endings, of)]
    folders_of_pairs = {_file(draft).parent for draft in masks}
    lone = [
        draft
        for draft in found.drafts
        if _is_one_file(draft)
        and _file(draft).parent in folders_of_pairs
        and not _is_mask(draft, stems, endings, of)
        and _images_of(_file(draft), endings, of)
    ]
    gone = {id(each) for each in (*masks, *lone)}
    found.drafts = [draft for draft in found.drafts if id(draft) not in gone]
    names, alone = _names(masks), _names(lone)
    one, many = "by its name the mask of an image beside it", "by their names the masks of images beside them"
    if predicted:
        one += ", and is predicted if it is given by itself"
        many += ", and are predicted if they are given one by one"
    leave_out(found, names, one, many, named=named)
    one = "by its name the mask of an image that is not beside it, as those of other masks are"
    many = "by their names the masks of images that are not beside them, as those of other masks are"
    leave_out(found, alone, one, many, named=named)
    one, many = "in a folder of label maps, by its name", "in folders of label maps, by their names"
    leave_out(found, by_folder, one, many, named=named)
    return len(gone) + len(by_folder)


def _take_label_folders(found: Found) -> list[str]:
    """Take files out that lie in folders such as `labelsTs`, where others lie in folders of other names."""
    every = [path for draft in found.drafts for places in draft.files.values() for _, path in places]
    if all(_FOLDER.fullmatch(path.parent.name) for path in every):
        return []
    taken: list[str] = []
    for draft in found.drafts:
        for part, places in list(draft.files.items()):
            taken += [name for name, path in places if _FOLDER.fullmatch(path.parent.name)]
            draft.files[part] = [each for each in places if not _FOLDER.fullmatch(each[1].parent.name)]
            if not draft.files[part]:
                del draft.files[part]
    found.drafts = [draft for draft in found.drafts if draft.files]
    return sorted(taken)


def _is_mask(
    draft: Draft, stems: dict[Path, set[str]], endings: Sequence[str], of: Callable[[str], str | None]
) -> bool:
    if not _is_one_file(draft):
        return False
    path = _file(draft)
    return not _images_of(path, endings, of).isdisjoint(stems[path.parent])


def _images_of(path: Path, endings: Sequence[str], of: Callable[[str], str | None]) -> set[str]:
    """Stems of the images whose mask a file may be, by its name."""
    stem = _stem(path, endings)
    usual = (each.fullmatch(stem) for each in _USUAL)
    found = {of(composed(path.name)), *(each[1] for each in usual if each)} - {None, stem}
    return {each for each in found if each is not None}


def _is_one_file(draft: Draft) -> bool:
    return sum(map(len, draft.files.values())) == 1


def _file(draft: Draft) -> Path:
    """Of a case of one file."""
    ((_, path),) = (place for places in draft.files.values() for place in places)
    return path


def _names(drafts: Sequence[Draft]) -> list[str]:
    return sorted(name for draft in drafts for places in draft.files.values() for name, _ in places)


def _stem(path: Path, endings: Sequence[str]) -> str:
    return without_ending(composed(path.name), endings)
