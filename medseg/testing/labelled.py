"""Tiny pictures with a class for tests: a bright disc whose place tells the class, learnt at once."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from math import cos, pi, sin
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medseg.testing.pictures import write_picture

_DARK, _BRIGHT, _NOISE = 60.0, 190.0, 12.0


def disc(
    which: Sequence[int], of: int, *, size: tuple[int, int] = (24, 32), seed: Sequence[int] = (0,)
) -> NDArray[np.uint8]:
    """Make a grey picture with a bright disc on noise for each class that it has.

    The place of a class is on a ring around the centre, the first at the left, the others clockwise: of two
    classes the second is at the right.

    Args:
        which: Classes of the picture, from 0; none gives noise alone.
        of: How many classes there are.
        size: (H, W), each at least 16.
        seed: The same seed gives the same picture.

    Returns:
        The picture (H, W), uint8.
    """
    random = np.random.default_rng([91, *seed])
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    grey = random.normal(_DARK, _NOISE, size)
    for number in which:
        angle = pi - 2 * pi * number / of
        y = height * (0.5 - 0.3 * sin(angle)) + random.uniform(-1, 1)
        x = width * (0.5 + 0.3 * cos(angle)) + random.uniform(-1, 1)
        inside = (rows - y) ** 2 + (columns - x) ** 2 <= (min(size) * random.uniform(0.14, 0.2)) ** 2
        grey[inside] += _BRIGHT - _DARK
    return np.rint(grey).clip(0, 255).astype(np.uint8)


def write_class_folders(
    folder: Path,
    classes: Sequence[str] = ("left", "right"),
    cases: int = 4,
    roles: Sequence[str] = (),
    *,
    size: tuple[int, int] = (24, 32),
    seed: int = 0,
    suffix: str = ".png",
    learnable: bool = True,
    write: Callable[[Path, NDArray[np.uint8]], object] = write_picture,
) -> Path:
    """Write pictures sorted into folders by class: `<role>/<class>/0001.png`, or `<class>/0001.png`.

    The names of files recur in each class folder, as in the set mednist; no two pictures are the same.

    Args:
        folder: To write into; made if it is not there.
        classes: Names of the folders, two or more.
        cases: Number of pictures in each class folder.
        roles: Folders above, as `("Train", "Val", "Test")`; none when left out.
        size: (H, W) of a picture, each at least 16.
        seed: The same seed gives the same pictures, however many; another gives others.
        suffix: Ending of the names; may be empty if `write` takes any name.
        learnable: Whether the pictures show their class; else the class is drawn without regard to it.
        write: What writes a picture (H, W) to a path, such as one that writes DICOM.

    Returns:
        The folder.
    """
    for place, home in enumerate([folder / role for role in roles] or [folder]):
        for index, name in enumerate(classes):
            for number in range(1, cases + 1):
                one = (seed, place, index, number)
                shown = index if learnable else int(np.random.default_rng(one).integers(len(classes)))
                path = home / name / f"{number:04d}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                write(path, disc([shown], len(classes), size=size, seed=one))
    return folder


def write_labelled_table(
    folder: Path,
    classes: Sequence[str] = ("left", "right"),
    cases: int = 6,
    *,
    many: bool = False,
    separator: str = "|",
    patients: int | None = None,
    size: tuple[int, int] = (24, 32),
    seed: int = 0,
) -> Path:
    """Write `pictures/0001.png` and on, and the table `labels.csv` of them.

    Its columns are `image`, `patient`, `label` (one class, or several joined by the separator) and one column
    of 0 and 1 for each class.

    Args:
        folder: To write into; made if it is not there.
        classes: Names of the classes, two or more.
        cases: Number of pictures; of one class each they take turns.
        many: Whether a picture may have any number of classes, also none.
        separator: Between the classes of a picture.
        patients: How many patients there are, whose pictures follow each other in turn; None: each is its own.
        size: (H, W) of a picture, each at least 16.
        seed: The same seed gives the same pictures, however many; another gives others.

    Returns:
        The folder.
    """
    rows = [["image", "patient", "label", *classes]]
    for number in range(1, cases + 1):
        random = np.random.default_rng([seed, number])
        chosen = [(number - 1) % len(classes)]
        if many:
            chosen = np.flatnonzero(random.random(len(classes)) < 0.5).tolist()
        name = f"pictures/{number:04d}.png"
        write_picture(folder / name, disc(chosen, len(classes), size=size, seed=(seed, number)))
        patient = f"p{(number - 1) % (patients or cases) + 1:03d}"
        flags = [str(int(index in chosen)) for index in range(len(classes))]
        rows.append([name, patient, separator.join(classes[index] for index in chosen), *flags])
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder
