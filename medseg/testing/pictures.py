"""Tiny pictures with masks for tests, in the layouts of public data sets: bright shapes on noise, learnt at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_DARK, _BRIGHT, _NOISE = 60.0, 180.0, 12.0
_PURPLE, _PINK = (110, 50, 150), (235, 205, 225)


def write_picture(path: Path, array: NDArray[Any], mode: str | None = None, **save_options: Any) -> Path:
    """Write an array as a picture file, in the format that the suffix says.

    Args:
        path: Of the file; its folder is made if it is not there.
        array: (H, W) bool, uint8 or uint16, or (H, W, 3) or (H, W, 4) uint8.
        mode: Pillow's mode to convert to, as "RGBA", "P" or "I;16"; that of the array when left out.
        save_options: Handed to Pillow, as `exif=...`, `quality=...`, `format="PNG"`.

    Returns:
        The path.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "I;16":
        array = array.astype(np.uint16)
    image = Image.fromarray(array)
    if mode is not None and image.mode != mode:
        image = image.convert(mode)
    image.save(path, **save_options)
    return path


def shapes(size: tuple[int, int] = (48, 64), seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Make a grey picture of two or three bright shapes on noise.

    The shapes are an ellipse, an L and perhaps a second ellipse, each in a third of the width of its own, so
    that none touch. A threshold of 120 finds them.

    Args:
        size: (H, W), each at least 16.
        seed: Of the picture.

    Returns:
        The picture (H, W), uint8, and its instance map (H, W), uint16: 0 background, 1, 2 and perhaps 3.
    """
    random = np.random.default_rng([seed, 77])
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    instances = np.zeros(size, np.uint16)
    third = width / 3
    for number, place in enumerate(random.permutation(3)[: random.integers(2, 4)].tolist(), start=1):
        y, x = height * random.uniform(0.4, 0.6), third * (place + 0.5)
        tall, wide = height * random.uniform(0.2, 0.35), third * random.uniform(0.3, 0.42)
        down, right = (rows - y) / tall, (columns - x) / wide
        if number == 2:  # an L: wide below, narrow above, its foot to the right
            shape = (np.abs(down) <= 1) & (np.abs(right) <= 1) & ((down > 0.3) | (right < -0.2))
        else:
            shape = down**2 + right**2 <= 1
        instances[shape] = number
    grey = np.where(instances > 0, _BRIGHT, _DARK) + random.normal(0, _NOISE, size)
    return np.rint(grey).clip(0, 255).astype(np.uint8), instances


def write_emps(folder: Path, *, cases: int, size: tuple[int, int] = (48, 64), seed: int = 0) -> Path:
    """Write pictures as the set emps has them: `images/<id>.png`, `segmaps/<id>.png` and `metadata.csv`.

    The images are RGB with grey content, the maps 16-bit with a value for each particle. Each article gives
    two pictures (`10.0000.test.01` the first two), the last one if `cases` is odd.

    Args:
        folder: To write into; made if it is not there.
        cases: Number of pictures; their ids are `emps01` and on.
        size: (H, W) of a picture, each at least 16.
        seed: The same seed gives the same pictures, however many; another gives others.

    Returns:
        The folder.
    """
    lines = ["filename,doi,figure,instances"]
    for number in range(1, cases + 1):
        name = f"emps{number:02d}.png"
        grey, instances = shapes(size, seed * 10_000 + number)
        write_picture(folder / "images" / name, grey, "RGB")
        write_picture(folder / "segmaps" / name, instances)
        article, figure = divmod(number - 1, 2)
        lines.append(f"{name},10.0000.test.{article + 1:02d},gr{figure + 1},{instances.max()}")
    (folder / "metadata.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def write_nuclei(
    folder: Path,
    *,
    cases: int,
    size: tuple[int, int] = (48, 64),
    seed: int = 0,
    modes: Sequence[str] = ("RGBA", "RGBA", "L", "RGB"),
    stained: int = 0,
) -> Path:
    """Write pictures one folder an image: `stage1_train/<id>/images/<id>.png`, a mask a nucleus in `masks/`.

    Args:
        folder: To write into; made if it is not there.
        cases: Number of pictures; their ids are `nucleus01` and on.
        size: (H, W) of a picture, each at least 16.
        seed: The same seed gives the same pictures, however many; another gives others.
        modes: Pillow's modes of the images, taken in turn.
        stained: Every such picture is purple on pink instead of bright on dark; 0 for none.

    Returns:
        The folder.
    """
    for number in range(1, cases + 1):
        name, mode = f"nucleus{number:02d}", modes[(number - 1) % len(modes)]
        grey, instances = shapes(size, seed * 10_000 + number)
        picture: NDArray[np.uint8] = grey
        if stained and number % stained == 0:
            part = (grey.astype(np.float64)[..., None] - _DARK).clip(0, _BRIGHT - _DARK) / (_BRIGHT - _DARK)
            colour = np.array(_PINK) + part * (np.array(_PURPLE) - np.array(_PINK))
            picture = np.rint(colour).astype(np.uint8)
        case = folder / "stage1_train" / name
        write_picture(case / "images" / f"{name}.png", picture, mode)
        for one in range(1, int(instances.max()) + 1):
            mask = np.where(instances == one, 255, 0).astype(np.uint8)
            write_picture(case / "masks" / f"{name}mask{one}.png", mask)
    return folder


def write_lgg(
    folder: Path, *, patients: int, slices: int = 4, size: tuple[int, int] = (48, 64), seed: int = 0
) -> Path:
    """Write slices as `kaggle_3m/<patient>/<patient>_<n>.tif` and `<patient>_<n>_mask.tif`, n from 1 unpadded.

    The three planes show the same shapes, brightest in the second; the first slice of each patient has none.

    Args:
        folder: To write into; made if it is not there.
        patients: Number of patients; their ids are `TEST_LG_0001_20000101` and on.
        slices: Of each patient.
        size: (H, W) of a slice, each at least 16.
        seed: The same seed gives the same slices, however many; another gives others.

    Returns:
        The folder.
    """
    for number in range(1, patients + 1):
        patient = f"TEST_LG_{number:04d}_20000101"
        for n in range(1, slices + 1):
            random = np.random.default_rng([seed, number, n])
            _, instances = shapes(size, (seed * 10_000 + number) * 1000 + n)
            tumour = (instances > 0) & (n > 1)
            planes = [_DARK + gain * tumour + random.normal(0, _NOISE, size) for gain in (30, 120, 60)]
            image = np.rint(np.stack(planes, axis=-1)).clip(0, 255).astype(np.uint8)
            path = folder / "kaggle_3m" / patient / f"{patient}_{n}.tif"
            write_picture(path, image)
            write_picture(path.with_name(f"{path.stem}_mask.tif"), np.where(tumour, 255, 0).astype(np.uint8))
    return folder


def write_pairs(
    folder: Path,
    *,
    cases: int,
    roles: Sequence[str] = (),
    size: tuple[int, int] = (48, 64),
    seed: int = 0,
    masks: str = "Segmentation",
) -> Path:
    """Write `Images/<id>.png` with `Segmentation/<id>.png` of the same stem: grey, with masks of 0 and 255.

    Args:
        folder: To write into; made if it is not there.
        cases: Number of pictures, of each role if there are roles; ids are `pair01` and on, none twice.
        roles: Folders above, as `("Train", "Val", "Test")`; none when left out.
        size: (H, W) of a picture, each at least 16.
        seed: The same seed gives the same pictures; another gives others.
        masks: Name of the masks' folder.

    Returns:
        The folder.
    """
    number = 0
    for home in [folder / role for role in roles] or [folder]:
        for _ in range(cases):
            number += 1
            grey, instances = shapes(size, seed * 10_000 + number)
            mask = np.where(instances > 0, 255, 0).astype(np.uint8)
            write_picture(home / "Images" / f"pair{number:02d}.png", grey)
            write_picture(home / masks / f"pair{number:02d}.png", mask)
    return folder
