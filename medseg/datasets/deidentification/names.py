"""Names of files and folders that show no id: keyed pseudonyms, with words that may stay."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePath

from medseg.datasets.pseudonym import pseudonym

_PARTS = re.compile(r"([_\-. ]+)")


def public_place(relative: PurePath, ending: str, words: Collection[str], key: bytes) -> tuple[str, ...]:
    """Folders and file, without its ending: files that are called alike in the same folder stay so.

    Args:
        relative: The path below the folder that is de-identified.
        ending: Of the file's name, such as `.nii.gz`; left out.
        words: In lower case. What stands between separators (`_`, `-`, `.`, blank) and is one of them stays.
        key: Of pseudonyms.
    """
    stem = relative.name[: len(relative.name) - len(ending)] if ending else relative.name
    return tuple(_public(part, words, key) for part in (*relative.parts[:-1], stem))


def _public(name: str, words: Collection[str], key: bytes) -> str:
    """`BraTS-0001-t1c` gives `case-0f3a91c27b_t1c` where `t1c` may stay."""
    kept = [part for part in _PARTS.split(name)[::2] if part.casefold() in words]
    rest = [part for part in _PARTS.split(name)[::2] if part and part.casefold() not in words]
    return "_".join([*([pseudonym("case", "_".join(rest), key)] if rest else []), *kept])
