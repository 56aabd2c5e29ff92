"""The mark of a generated sample: which files medseg made, so that learning from them says so wherever they lie."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from medseg.files.content import Content, content_of
from medseg.files.regular import read_json
from medseg.places import written_whole

MARK = ".medseg-sample.json"
"""Name of the mark in the folder of the sample; no layout takes it for a case, as it begins with a dot."""


def mark_sample(folder: Path) -> None:
    """Write down the digest of every file of a sample that was generated whole.

    Args:
        folder: Of the sample. Equal files give an equal mark.

    Raises:
        OSError: A file cannot be read.
        NotWrittenError: The mark cannot be written.
    """
    paths = (Path(at) / name for at, _, names in os.walk(folder) for name in names if name != MARK)
    digests = sorted({content_of(path).digest for path in paths})
    with written_whole(folder / MARK) as target:
        target.write_text(json.dumps({"files": digests}, indent=0) + "\n", encoding="utf-8")


def all_of_sample(folder: Path, contents: Iterable[Content]) -> bool:
    """Whether files are all of the sample whose mark lies in their folder.

    One file of another origin among them, as where somebody put cases of his own beside the generated ones, and
    they are not.

    Args:
        folder: Of the data.
        contents: What the files hold.
    """
    try:
        known = set(read_json(folder / MARK)["files"])
    except (OSError, ValueError, KeyError, TypeError):
        return False  # no mark, or none that can be read: data as they are given
    digests = {content.digest for content in contents}
    return bool(digests) and digests <= known
