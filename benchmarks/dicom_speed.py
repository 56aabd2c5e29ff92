"""Reading DICOM series against bare pydicom, in turn, and looking into a folder of many files.

    python benchmarks/dicom_speed.py [--rounds 5] [--slices 200] [--files 10000] [--quick]

Prints medians and their ratios. Bare pydicom reads and decodes each slice and puts it into an array; that it has to
sort and to rescale them is left out. What medseg does besides: it compares what headers say with each other and with
the pixels, refuses what makes no volume, and rescales. Of a folder, bare pydicom reads each header up to the pixels,
and `medseg data scan` all that it says: walking, headers, layout, and the images of 40 cases.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.uid import JPEGLSLossless, RLELossless

from medseg.datasets.scanning.look import look
from medseg.images.dicom.series import index
from medseg.images.dicom.series.read import read_series
from medseg.images.nifti.write import write_nifti
from medseg.testing.series import uid_of, write_series


def volume(slices: int, side: int) -> NDArray[np.int16]:
    """A smooth volume of 12 bits with some noise, which compresses about as a CT does."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:side, :side] * 6.4 / side
    plane = 1000 + 900 * np.sin(rows) * np.cos(columns)
    return (plane + random.normal(0, 8, (slices, side, side))).astype(np.int16)


def by_pydicom(paths: list[Path], size: tuple[int, ...]) -> NDArray[np.int16]:
    found = np.empty(size, np.int16)
    for number, path in enumerate(paths):
        found[number] = dcmread(path).pixel_array
    return found


def forgetful(call: Callable[[], object]) -> object:
    """Headers are remembered while a program runs: each round begins without any."""
    index._read.cache_clear()  # noqa: SLF001 - nothing but a benchmark needs to
    return call()


def seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def compare(name: str, ours: Callable[[], object], bare: Callable[[], object], rounds: int) -> None:
    pairs = [(seconds(ours), seconds(bare)) for _ in range(rounds)]
    first, second = (statistics.median(each) for each in zip(*pairs, strict=True))
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{name:36} medseg {first:7.2f} s   bare pydicom {second:7.2f} s   ratio {ratio:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--quick", action="store_true", help="Few small files, one round: whether it runs.")
    given = parser.parse_args()
    rounds, slices, side, files = (
        (1, 4, 32, 40) if given.quick else (given.rounds, given.slices, 512, given.files)
    )
    with tempfile.TemporaryDirectory() as folder:
        for name, syntax in (("plain", None), ("RLE", RLELossless), ("JPEG-LS", JPEGLSLossless)):
            said: dict[str, Any] = {} if syntax is None else {"transfer_syntax": syntax}
            array = volume(slices, side)
            paths = write_series(Path(folder) / name, array, RescaleIntercept=-1024, RescaleSlope=1, **said)
            compare(
                f"{slices} slices of {side}x{side}, {name}",
                partial(read_series, paths),
                partial(by_pydicom, paths, array.shape),
                rounds,
            )
        many = Path(folder) / "many"
        each = min(100, files // 2)
        for number in range(files // each):
            told: dict[str, Any] = {"PatientID": f"p{number}", "StudyInstanceUID": uid_of("study", number)}
            home = many / str(number)
            stored = read_series(write_series(home, volume(each, 16), SeriesDescription="t1", **told))
            write_nifti((stored.data > 1000).astype(np.uint8), stored.geometry, home / "seg.nii.gz")
        paths = sorted(path for path in many.rglob("*") if path.is_file() and path.suffix != ".gz")
        compare(
            f"headers of {len(paths)} files",
            lambda: forgetful(lambda: [index.instance_of(path) for path in paths]),
            lambda: [dcmread(path, stop_before_pixels=True) for path in paths],
            rounds,
        )
        compare(
            f"medseg data scan of {len(paths)} files",
            lambda: forgetful(lambda: look(many)),
            lambda: [dcmread(path, stop_before_pixels=True) for path in paths],
            rounds,
        )


if __name__ == "__main__":
    main()
