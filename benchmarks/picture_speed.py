"""Reading a picture as medseg does against the bare library, in turn; and DICOM pictures against bare pydicom.

    python benchmarks/picture_speed.py [--rounds 100] [--quick]

Prints milliseconds and their ratio. What medseg does besides: it looks for damage (check sums, truncation), for
several frames, turned cameras and lossy compression, and brings values through LUT and window.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import JPEGBaseline8Bit, RLELossless

from medseg.images.dicom.reader import read_dicom
from medseg.images.pictures.read import read_picture
from medseg.testing.dicoms import write_dicom

SIZE = (512, 512)


def film() -> NDArray[np.uint16]:
    """A smooth picture of 12 bits with some noise, which compresses about as a radiograph does."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : SIZE[0], 0 : SIZE[1]] / 80
    return (2000 + 1500 * np.sin(rows) * np.cos(columns) + random.normal(0, 8, SIZE)).astype(np.uint16)


def by_pillow(path: Path) -> object:
    with Image.open(path) as image:
        return np.asarray(image)


def by_pydicom(path: Path) -> object:
    data = dcmread(path)
    return apply_voi_lut(apply_modality_lut(data.pixel_array, data), data)


def milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def compare(name: str, ours: Callable[[], object], peer: Callable[[], object], rounds: int) -> None:
    ours(), peer()
    pairs = [(milliseconds(ours), milliseconds(peer)) for _ in range(rounds)]
    first, second = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:24} medseg {first:7.2f} ms   bare {second:7.2f} ms   ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--quick", action="store_true", help="One round: whether it runs.")
    given = parser.parse_args()
    rounds = 1 if given.quick else given.rounds
    pixels = film()
    eight = (pixels >> 4).astype(np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("png", "jpg", "tif", "bmp"):
            path = Path(folder) / f"film.{suffix}"
            Image.fromarray(eight).save(path)
            compare(
                f"{suffix} of 512x512",
                partial(read_picture, path, "grey"),
                partial(by_pillow, path),
                rounds,
            )
        window = {"WindowCenter": 2000, "WindowWidth": 3000}
        small = {"WindowCenter": 128, "WindowWidth": 256}
        for name, array, said in (
            ("plain", pixels, {**window, "BitsStored": 12}),
            ("RLE", pixels, {**window, "BitsStored": 12, "transfer_syntax": RLELossless}),
            ("JPEG baseline", eight, {**small, "transfer_syntax": JPEGBaseline8Bit}),
        ):
            path = write_dicom(Path(folder) / f"{name}.dcm", array, **said)
            compare(
                f"DICOM, {name}",
                partial(read_dicom, path, "grey"),
                partial(by_pydicom, path),
                rounds,
            )


if __name__ == "__main__":
    main()
