"""Fetching the series of a study into a folder, with every image checked to be one that was asked for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from medseg.errors import DataError
from medseg.images.dicom.series.index import instance_of
from medseg.images.dicom.web.archive import MOST_IMAGES, Archive
from medseg.images.dicom.web.complaint import BrokenOffError, refusal
from medseg.images.dicom.web.rows import Row, bytes_of, number_in, uid_in
from medseg.images.refusal import RefusedError
from medseg.progress import Bar, Progress

_HEAD = 1 << 20  # bytes of an object beside its pixels
_UNSAID = 1 << 26  # bytes of an image whose size the archive does not say
_SPARE = 1 << 30  # bytes that are left free on the disk
_TRIES = 3
_KEEPERS = "Ask those who keep the archive."
_WAIT = "Wait until the study is complete in the archive, and try again."


class _GrownError(RefusedError):
    """A series has an image that it had not when it was listed."""


@dataclass(frozen=True)
class _Series:
    """A series that is fetched.

    Attributes:
        uid: Its UID.
        instances: UIDs of its objects.
        pixels: Bytes of their pixels; None where the archive does not say.
    """

    uid: str
    instances: frozenset[str]
    pixels: int | None

    @property
    def most(self) -> int:
        """Bytes that an answer with all of them may have."""
        count = len(self.instances)
        return _UNSAID * count if self.pixels is None else 2 * self.pixels + _HEAD * count


def fetch_study(
    archive: Archive,
    study: str,
    folder: Path,
    *,
    wanted: Callable[[Row], bool],
    keywords: Sequence[str],
    progress: Progress,
) -> list[Row]:
    """Fetch the series of a study that are wanted.

    Args:
        archive: Where it is.
        study: Its UID.
        folder: A new folder; each series gets one of its own in it. No name in it says who the patient is.
        wanted: Whether a series is, by what the archive says of it.
        keywords: Attributes that `wanted` looks at.
        progress: Where it is shown.

    Returns:
        What the archive says of the series that were left out.

    Raises:
        DataError: The archive cannot be asked, has no such study, or gives something else than it says; or there
            is too much of it.
    """
    with progress.bar("asking the archive", None, "series") as bar:
        rows = archive.series(study, keywords)
        taken = [row for row in rows if wanted(row)]
        _refuse_many(sum(number_in(row, "NumberOfSeriesRelatedInstances") or 0 for row in taken))
        series = []
        for row in taken:
            series.append(_asked(archive, study, row))
            _refuse_many(sum(len(each.instances) for each in series))
            bar.advance()
    folder.mkdir()
    _refuse_large(sum(each.pixels or 0 for each in series), folder)
    with progress.bar("fetching images", sum(len(each.instances) for each in series), "images") as bar:
        for number, (row, each) in enumerate(zip(taken, series, strict=True), 1):
            place = folder / f"series-{number}"
            try:
                _fetch(archive, study, each, place, bar)
            except _GrownError:  # listed anew, once: a study that goes on growing is not complete
                now = _asked(archive, study, row)
                _refuse_many(len(now.instances))
                _fetch(archive, study, now, place, bar)
    return [row for row in rows if row not in taken]


def _asked(archive: Archive, study: str, row: Row) -> _Series:
    try:
        uid = uid_in(row, "SeriesInstanceUID")
        images = archive.images(study, uid)
        instances = frozenset(uid_in(each, "SOPInstanceUID") for each in images)
    except ValueError as error:
        raise refusal(error, archive.address.url) from None
    if not instances:
        raise RefusedError(
            "the archive names a series of the study, and no image of it", f"{_WAIT} {_KEEPERS}"
        )
    return _Series(uid, instances, bytes_of(images))


def _refuse_many(count: int) -> None:
    if count > MOST_IMAGES:
        raise RefusedError(
            f"the archive says {count} images of the study, and at most {MOST_IMAGES} are fetched",
            "Export the series that are meant to a folder, and name that.",
        )


def _room(folder: Path) -> int:
    """Bytes that may be written: some are left free."""
    return max(0, shutil.disk_usage(folder).free - _SPARE)


def _refuse_large(pixels: int, folder: Path) -> None:
    """Refuse what would fill the disk, by what the archive says of sizes."""
    room = _room(folder)
    if pixels > room:
        raise RefusedError(
            f"the images take {pixels / 2**30:.1f} GiB by what the archive says of them, and {room / 2**30:.1f} GiB "
            "are free where temporary files go",
            "Set TMPDIR to a folder on a larger disk, or export the study and name its folder.",
        )


def _fetch(archive: Archive, study: str, series: _Series, folder: Path, bar: Bar) -> None:
    """Fetch a series; once more where it broke off."""
    for attempt in range(1, _TRIES + 1):
        folder.mkdir()
        got: set[str] = set()
        try:
            files = archive.fetch(
                study, series.uid, new=partial(_numbered, folder), most=min(series.most, _room(folder))
            )
            with closing(files):
                for path in files:
                    got.add(_checked(path, study, series, got))
                    bar.advance()
            if got != series.instances:
                raise BrokenOffError(
                    f"the archive says {len(series.instances)} images in a series, and gave {len(got)}",
                    f"Try again. {_KEEPERS}",
                )
        except (BrokenOffError, _GrownError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            bar.advance(-len(got))
            if attempt == _TRIES or isinstance(error, _GrownError):
                raise
        else:
            return


def _numbered(folder: Path, number: int) -> Path:
    return folder / f"{number:05d}.dcm"


def _checked(path: Path, study: str, series: _Series, got: Iterable[str]) -> str:
    """The UID of an image that was asked for, and that had not come before."""
    try:
        found = instance_of(path, ("SOPInstanceUID",))
    except DataError:
        found = None
    if found is None:
        raise RefusedError(
            "the archive gave something that is no DICOM object, or one that cannot be read", _KEEPERS
        )
    uid = found.tags["SOPInstanceUID"]
    if (found.study[1], found.series) != (study, series.uid):
        raise RefusedError("the archive gave an image of another series than was asked for", _KEEPERS)
    if uid not in series.instances:
        raise _GrownError(
            "a series changed while it was read: the archive gave an image that came later", _WAIT
        )
    if uid in got:
        raise RefusedError("the archive gave an image twice", _KEEPERS)
    return uid
