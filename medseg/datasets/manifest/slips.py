"""How a file's name misses a pattern: what is loosened in a pattern, to find the one that was meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

from medseg.datasets.manifest.expressions import pattern

_SEPARATORS = re.compile(r"[-_. ]")
_TOKENS = re.compile(r"\*|\{[^{}]*\}")
_LAST = re.compile(r"\.nii\*$|\.\*$|(?:\.[A-Za-z0-9]+)+$")


@dataclass(frozen=True)
class Slip:
    """What a pattern is loosened in.

    Attributes:
        difference: What differs in the name of a file that fits then alone, in words.
        letters: Whether upper and lower case are one.
        separators: Whether `-`, `_`, `.` and a space are one.
        endings: Of which any may stand in place of the pattern's own, or none where the pattern names more than the
            case; nothing is loosened without them.
        folder: Whether the file may lie in any folder.
        other: Whether anything may stand for the ending, or behind it. Where the pattern names no more than the case,
            any file would fit then: only what begins with one of `endings`, and other kinds of volumes.
        bare: Whether no ending stands in place of the pattern's own, whatever the pattern names: the content of such
            a file has to tell what it is.
        anything: Whether anything at all may follow the pattern without its ending.
    """

    difference: str = ""
    letters: bool = False
    separators: bool = False
    endings: tuple[str, ...] = ()
    folder: bool = False
    other: bool = False
    bare: bool = False
    anything: bool = False

    def split(self, given: str) -> tuple[str, str]:
        """A pattern that is to be compiled, and the regular expression of what follows it."""
        name = given.rpartition("/")[2]
        tokens = [each for each in _TOKENS.findall(given) if each not in ("*", "{within}")]
        if self.folder and all(each in name for each in tokens):
            given = f"**/{name}"
        last = _LAST.search(given)
        if self.anything:
            return given[: last.start() if last else None], "[^/]*"
        if self.bare and last is not None:
            return given[: last.start()], ""
        if not self.endings or last is None:
            return given, ""
        stem = given[: last.start()]
        says_more = _TOKENS.sub("", stem.rpartition("/")[2])
        if self.other:
            return stem, r"\.[^/]*" if says_more else self._beyond(stem)
        return stem, f"{_any(self.endings)}?" if says_more else _any(self.endings)

    def _beyond(self, stem: str) -> str:
        """The regular expression of other endings behind a pattern that names no more than the case."""
        beyond = f"{_any(self.endings)}[^/]+"
        tells_place = _TOKENS.sub("", stem).replace("/", "") or stem.count("{case}") > 1
        if not tells_place or not {*self.endings}.intersection(VOLUMES):
            return beyond
        return f"(?:{beyond}|{_any(VOLUMES)}{_any(PACKED)}?)"

    def literal(self, text: str) -> str:
        """The regular expression of what stands for itself."""
        if not self.separators:
            return re.escape(text)
        return "".join("[-_. ]" if _SEPARATORS.match(each) else re.escape(each) for each in text)

    def whole(self, written: str) -> str:
        """The regular expression of a pattern, of that of its parts."""
        return f"(?i){written}" if self.letters else written


def _any(texts: Sequence[str]) -> str:
    """The regular expression of one of some texts."""
    return f"(?:{'|'.join(re.escape(each) for each in texts)})"


EXACT = Slip()
"""Nothing: patterns as they are written."""

FOLDER = Slip("the folder that it lies in", folder=True)
"""A name that fits, in another folder."""


LOOSEST = Slip("all that is ever loosened", letters=True, separators=True, anything=True)
"""What fits with any slip at all fits with this one, which is looked at first: most names fit nothing."""


UNFINISHED = (".part", ".partial", ".crdownload", ".download", ".tmp", ".temp", ".filepart", ".aria2")
"""What programs put behind a name while they download or copy, in lower case."""

OF_UNFINISHED = "an ending of unfinished downloads or copies"
"""What differs in the name of a file that fits without such an ending."""

PUT_ASIDE = (".bak", ".backup", ".old", ".orig", ".save", ".copy")
"""What people and programs put behind a name to put a file aside, in lower case."""

OF_PUT_ASIDE = "an ending of files that were put aside"
"""What differs in the name of a file that fits without such an ending."""


PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".z", ".lz4", ".7z")
"""What programs put behind a name as they pack a file, in lower case."""

VOLUMES = (
    *(
        ".nii",
        ".mha",
        ".mhd",
        ".nrrd",
        ".nhdr",
        ".mgz",
        ".mgh",
        ".mnc",
        ".minc",
        ".gipl",
        ".img",
        ".hdr",
        ".nia",
    ),
)
"""Endings of volumes, in lower case, whether they are read or not."""

_IMAGES = (
    *VOLUMES,
    *(
        ".dcm",
        ".dicom",
        ".ima",
        ".npy",
        ".npz",
        ".tif",
        ".tiff",
        ".png",
        ".jpg",
        ".jpeg",
        ".bmp",
        ".gif",
        ".webp",
    ),
    *(
        ".jp2",
        ".vtk",
        ".vti",
        ".brik",
        ".par",
        ".rec",
        ".svs",
        ".ndpi",
        ".mrxs",
        ".scn",
        ".czi",
        ".lif",
        ".nd2",
    ),
)

#: Endings of what is no image, and may be called as one: texts, tables, documents, programs, packed data sets.
_PLAIN = frozenset(
    {
        *(
            ".txt",
            ".md",
            ".rst",
            ".rtf",
            ".tex",
            ".pdf",
            ".doc",
            ".docx",
            ".odt",
            ".ppt",
            ".pptx",
            ".html",
            ".htm",
        ),
        *(
            ".csv",
            ".tsv",
            ".xls",
            ".xlsx",
            ".ods",
            ".db",
            ".sqlite",
            ".json",
            ".jsonl",
            ".xml",
            ".yaml",
            ".yml",
        ),
        *(".toml", ".ini", ".cfg", ".log", ".lock", ".url", ".lnk", ".md5", ".sha1", ".sha256", ".sha512"),
        *(
            ".py",
            ".ipynb",
            ".m",
            ".r",
            ".sh",
            ".bat",
            ".bval",
            ".bvec",
            ".bvals",
            ".bvecs",
            ".tfm",
            ".xfm",
            ".lta",
        ),
        *(".stl", ".obj", ".ply", ".vtp", ".gii", ".mp4", ".avi", ".mov"),
    }
)


def is_plain(name: str) -> bool:
    """Whether a file is a text, a table, a document or the like by its ending, packed or not."""
    stem, dot, last = _unpacked(name).rpartition(".")
    return bool(stem and dot) and f".{last}" in _PLAIN


def may_be_image(name: str) -> bool:
    """Whether a file is an image by its ending, of whatever kind, also where more stands behind it."""
    return _unpacked(name).endswith(_IMAGES)


def _unpacked(name: str) -> str:
    """A name in lower case without what packing, fetching or copying put behind it."""
    text = name.lower().rstrip(" ~_")
    stem, dot, last = text.rpartition(".")
    while dot and (last.isdigit() or f".{last}" in (*PACKED, *UNFINISHED, *PUT_ASIDE)):
        text = stem.rstrip(" ~_")
        stem, dot, last = text.rpartition(".")
    return text


def in_folder_of(given: str, relative: str, at: str) -> bool:
    """Whether a file lies in a folder that a pattern names, which names no case.

    Args:
        given: The pattern, as written, in NFC.
        relative: Path of the file below the root, with `/`.
        at: Where the pattern stands, for errors.

    Raises:
        ManifestError: The pattern takes too long.
    """
    folder = given.rpartition("/")[0]
    if "{case}" in folder or "{channel}" in folder or not _TOKENS.sub("", folder).replace("/", ""):
        return False
    means = {"**/": "(?:[^/]+/)*", "{within}": "(?:[^/]+/)*", "*": "[^/]*"}
    pieces = re.findall(r"\*\*/|\{within\}|\*|[^*{]+|.", f"{folder}/")
    written = "".join(means.get(each) or re.escape(each) for each in pieces)
    return pattern(f"{written}[^/]*").fullmatch(relative, at) is not None


OF_OTHER = "the ending, which is that of another kind of file, or has more behind it"
"""What differs in the name of a file of another kind, or of one that was packed or copied."""

OF_OTHER_TOO = "more than the ending, which is that of another kind of file, or has more behind it"
"""The same of a file whose name differs in letters or separators as well."""


def behind(suffix: str) -> str:
    """What differs in a name that ends so, where the name without the ending fits; empty for other endings."""
    ending = suffix.lower()
    return OF_UNFINISHED if ending in UNFINISHED else OF_PUT_ASIDE if ending in PUT_ASIDE else ""


def nearest(patterns: Sequence[str], spelt: Sequence[str], name: str) -> str:
    """The pattern whose last part is most like the name of a file.

    Args:
        patterns: As written.
        spelt: What may stand in place of `{channel}`.
        name: Of the file, without its folders.
    """
    likely = {
        (pattern, pattern.rpartition("/")[2].replace("{channel}", each))
        for pattern in patterns
        for each in spelt or [""]
    }
    return max(sorted(likely), key=lambda pair: SequenceMatcher(None, pair[1], name, autojunk=False).ratio())[
        0
    ]


def slips(endings: Sequence[str], *, folder: bool = False) -> tuple[Slip, ...]:
    """What is tried of a name that fits no pattern, in this order.

    Args:
        endings: Of names of the kind of file, in lower case.
        folder: Whether the file may lie in any folder.
    """
    tried = (
        Slip("the ending"),  # files that a pattern fits as it is were passed over for theirs
        Slip("upper and lower case", letters=True),
        Slip("the separator (- _ . or a space)", separators=True),
        Slip("the ending", endings=tuple(endings)),
        Slip(
            "more than one of upper and lower case, the separator and the ending",
            letters=True,
            separators=True,
            endings=tuple(endings),
        ),
        Slip(OF_OTHER, endings=tuple(endings), other=True),
        Slip(
            OF_OTHER_TOO,
            letters=True,
            separators=True,
            endings=tuple(endings),
            other=True,
        ),
        Slip("the ending", bare=True),
    )
    return tuple(replace(each, folder=folder) for each in tried)
