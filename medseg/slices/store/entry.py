"""The prepared slices of one case on disk: two arrays and what is known about them."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medseg.errors import StoreError
from medseg.files.durable import checksum, checksum_of
from medseg.files.regular import opener, read_json, refuse_irregular
from medseg.places import written_whole

_FACTS = "entry.json"
_FILES = {"image": "image.npy", "label": "label.npy"}
_GONE = "Run the command again: what is missing is prepared anew."

Part = Literal["image", "label"]


@dataclass(frozen=True)
class Entry:
    """The slices of one case that were kept; a folder that holds no identifier.

    Attributes:
        folder: Where they are.
        positions: Of each stored slice in its volume, counted along the axis of the rule, ascending.
        shape: (C, H, W) of a slice.
        dtype: Of the stored images.
        counts: (N, K) voxels of each class in each slice; None without a truth.
        geometry: Of the file: `shape` in voxels, `spacing` in mm, `orientation`.
        intensities: Of the raw volume, one number for each channel: `background`, and over the other voxels
            the percentiles `p01`, `p50`, `p99`.
        cut_away: How many places of the label that are not of the first class reach no slice, since slices are
            smaller than the volume, and of how many.
        sizes: Bytes of each file; one that has another size is not trusted.
        sums: Checksum of each file, see `medseg.files.durable.checksum`.
        seconds: What preparing took.
    """

    folder: Path
    positions: tuple[int, ...]
    shape: tuple[int, int, int]
    dtype: str
    counts: NDArray[np.int64] | None
    geometry: Mapping[str, Any]
    intensities: Mapping[str, list[float]]
    cut_away: tuple[int, int]
    sizes: Mapping[str, int]
    sums: Mapping[str, int]
    seconds: float

    @property
    def slice_bytes(self) -> int:
        """Bytes of one slice, image and label."""
        channels, height, width = self.shape
        label = 1 if "label" in self.sizes else 0
        return height * width * (channels * np.dtype(self.dtype).itemsize + label)

    def is_sound(self) -> bool:
        """Whether the files hold what was written: all of them are read, which takes a second for some gigabytes."""
        try:
            return all(checksum(self.folder / _FILES[part]) == self.sums[part] for part in self.sizes)
        except OSError:
            return False

    def read(self, part: Part, row: int) -> NDArray[Any]:
        """Read one slice: image (C, H, W) in the stored precision, or label (H, W) uint8.

        A plain read at the slice's offset: the file is open only meanwhile, so that a thousand cases need no
        thousand file handles, and the entry may be sent to another process.

        Raises:
            StoreError: The case has no truth, or the store was cleared meanwhile.
        """
        shape, dtype = self._layout(part)
        found = np.empty(shape, dtype=dtype)
        begin = self.sizes[part] - found.nbytes * len(self.positions) + found.nbytes * row
        try:
            # no Path is made of it: that takes a fifth of the time
            with io.FileIO(f"{self.folder}/{_FILES[part]}", opener=opener) as handle:
                handle.seek(begin)
                read = handle.readinto(found.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise StoreError(f"a prepared slice cannot be read: {error.strerror}. {_GONE}") from error
        if read != found.nbytes:
            raise StoreError(f"a prepared slice has {read} bytes, expected {found.nbytes}. {_GONE}")
        return found

    def array(self, part: Part) -> NDArray[Any]:
        """All slices, (N, C, H, W) or (N, H, W), as a read-only memory map.

        Raises:
            StoreError: As `read`.
        """
        self._layout(part)
        mode: Any = "r" if self.positions else None  # what is empty cannot be mapped
        try:
            refuse_irregular(self.folder / _FILES[part])
            return np.load(self.folder / _FILES[part], mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise StoreError(f"prepared slices cannot be read. {_GONE}") from error

    def _layout(self, part: Part) -> tuple[tuple[int, ...], np.dtype[Any]]:
        if part not in self.sizes:
            raise StoreError("this case has no truth: its label cannot be read.")
        if part == "image":
            return self.shape, np.dtype(self.dtype)
        return self.shape[1:], np.dtype(np.uint8)


def read_entry(folder: Path) -> Entry | None:
    """The entry in a folder; None if there is none that is whole."""
    try:
        facts = read_json(folder / _FACTS)
        if any((folder / _FILES[part]).stat().st_size != size for part, size in facts["sizes"].items()):
            return None
        counts = facts["counts"]
        shape = facts["shape"]
        return Entry(
            folder=folder,
            positions=tuple(facts["positions"]),
            shape=(shape[0], shape[1], shape[2]),
            dtype=facts["dtype"],
            counts=None
            if counts is None
            else np.array(counts, dtype=np.int64).reshape(len(counts), -1 if counts else 0),
            geometry=facts["geometry"],
            intensities=facts["intensities"],
            cut_away=tuple(facts["cut_away"]),
            sizes=facts["sizes"],
            sums={part: facts["sums"][part] for part in facts["sizes"]},
            seconds=facts["seconds"],
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None


def sound_entries(folder: Path, names: Sequence[str], jobs: int) -> dict[str, Entry]:
    """The entries of these names that are whole and hold what was written.

    Args:
        folder: What they lie in.
        names: Of entries, whether they are there or not.
        jobs: How many to read at once, by threads.
    """

    def sound(name: str) -> Entry | None:
        entry = read_entry(folder / name)
        return entry if entry is not None and entry.is_sound() else None

    with ThreadPoolExecutor(max(1, jobs), thread_name_prefix="check") as pool:
        found = zip(names, pool.map(sound, names), strict=True)
        return {name: entry for name, entry in found if entry is not None}


def write_entry(
    folder: Path, image: NDArray[Any], label: NDArray[np.uint8] | None, facts: Mapping[str, Any]
) -> Entry:
    """Write an entry so that it is there whole or not at all.

    Args:
        folder: Where; an entry that is there already is replaced.
        image: (N, C, H, W).
        label: (N, H, W), None without a truth.
        facts: `positions`, `counts`, `geometry`, `intensities`, `cut_away` and `seconds` of the `Entry`, as JSON.

    Raises:
        OSError: It cannot be written, for want of space for example.
    """
    with written_whole(folder) as beside:
        beside.mkdir()
        arrays = {"image": image} if label is None else {"image": image, "label": label}
        saved = {part: _save(array, beside / _FILES[part]) for part, array in arrays.items()}
        known = {
            "shape": image.shape[1:],
            "dtype": str(image.dtype),
            "sizes": {part: size for part, (size, _) in saved.items()},
            "sums": {part: found for part, (_, found) in saved.items()},
        }
        text = json.dumps({**facts, **known})
        (beside / _FACTS).write_text(text, encoding="utf-8")
    entry = read_entry(folder)
    if entry is None:
        raise StoreError(
            "slices were written but cannot be read back: the disk loses data. Use another disk."
        )
    return entry


def _save(array: NDArray[Any], path: Path) -> tuple[int, int]:
    """Write an npy file; unlike `np.save`, a full disk keeps its error number. Gives its size and checksum."""
    array, header = np.ascontiguousarray(array), io.BytesIO()
    np.lib.format.write_array_header_1_0(header, np.lib.format.header_data_from_array_1_0(array))
    parts = [header.getvalue(), array.reshape(-1).view(np.uint8).data if array.size else b""]
    with path.open("wb") as handle:
        for part in parts:
            handle.write(part)
    return path.stat().st_size, checksum_of(parts)
