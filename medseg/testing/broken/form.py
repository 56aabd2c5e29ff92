"""What a broken input is, and what a kind of them is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Files = Mapping[str, bytes]
"""Files of one input, by what follows its name: `{".hdr": ..., ".img": ...}`; of a folder `{"/first": ...}`."""

Make = Callable[[np.random.Generator], Files]
"""Makes the files of an input, drawn by the generator."""

Write = Callable[[Path], None]
"""Writes an input to a path with its ending."""


@dataclass(frozen=True)
class Broken:
    """An input that is damaged, or says what is not so.

    Attributes:
        name: The same for the same kind, seed and place in the row; without an ending.
        why: What is wrong with it, in a few words.
        ending: Of its name, such as `.nii.gz`; empty for a folder, or a file without one.
        write: Writes it to a path, which should end in `ending`. The folder above must be there; files that belong to
            it, such as the voxels of a `.mhd`, are written beside it.
    """

    name: str
    why: str
    ending: str
    write: Write = field(compare=False, repr=False)


@dataclass(frozen=True)
class Kind:
    """How inputs of one kind are made.

    Attributes:
        ending: Of the file that is opened; empty for a folder.
        sound: A sound one.
        lies: What one may say that is not so, each by what is wrong with it.
        damaged: Whether its bytes are damaged at random, too.
    """

    ending: str
    sound: Make
    lies: Mapping[str, Make]
    damaged: bool = True


def put(path: Path, ending: str, files: Files) -> None:
    """Write the files of one input.

    Args:
        path: Of the file that is opened, or of the folder.
        ending: Of its name.
        files: By what follows the name; `{raw}` and `{self}` in them stand for names of files.
    """
    stem = path.name.removesuffix(ending)
    for rest, data in files.items():
        target = path.parent / f"{stem}{rest}"
        target.parent.mkdir(parents=True, exist_ok=True)
        for mark, named in ((b"{raw}", f"{stem}.raw"), (b"{self}", path.name)):
            data = data.replace(mark, named.encode())  # noqa: PLW2901 - files that name one another
        target.write_bytes(data)
