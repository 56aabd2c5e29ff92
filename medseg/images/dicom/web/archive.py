"""One archive: which series a study has, which images a series, fetching them, and storing an object.

Questions and storing go through dicomweb-client. Images are fetched by a reader of our own on the same session: the
client holds each of them in memory and has pydicom parse it, deflated bombs included.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.uid import generate_uid
from requests.auth import AuthBase
from requests.exceptions import InvalidJSONError

from medseg.errors import DataError
from medseg.images.dicom.quiet import quiet
from medseg.images.dicom.web.address import Address
from medseg.images.dicom.web.complaint import refusal
from medseg.images.dicom.web.multipart import boundary_of, pieces
from medseg.images.dicom.web.rows import Row, row_of, uid_in
from medseg.images.dicom.web.session import MOST_ANSWER, TIMEOUT_S, BoundedSession
from medseg.images.refusal import RefusedError
from medseg.places import passing_folder

MOST_STUDIES, MOST_SERIES, MOST_IMAGES = 10_000, 1000, 20_000
"""An archive is asked for no more studies; a study of more series, or more images in all, is refused."""

FOLDER = "medseg-dicomweb"
"""Name of passing folders with what was fetched: those that killed processes left are removed at the next."""

_PAGE = 1000
_ACCEPT = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_PIECE = 1 << 16
_WAITS_S = (0.0, 0.5, 2.0, 5.0)  # until what was stored can be had again
_SIZES = ("Rows", "Columns", "NumberOfFrames", "BitsAllocated", "SamplesPerPixel")
_LOGGERS = ("dicomweb_client", "urllib3")


class Archive:
    """An archive that is asked and told.

    Args:
        address: Where it is.
        auth: Who asks; None leaves it to a netrc file.

    Raises:
        RefusedError: dicomweb-client is not installed.
    """

    def __init__(self, address: Address, auth: AuthBase | None) -> None:
        client = _dicomweb_client()
        self.address = address
        self._session = BoundedSession(address.origin, auth)
        self._client = client.DICOMwebClient(
            address.url,
            session=self._session,
            timeout=TIMEOUT_S,
            chunk_size=1 << 40,  # what is sent says how long it is: not every archive takes chunks
        )
        self._client.set_http_retry_params(
            retry=False
        )  # the session tries again, and only what can be asked twice

    def close(self) -> None:
        """Let its connections go."""
        self._session.close()

    def reach(self) -> None:
        """Ask it for a study that nobody has: whether it is there, and answers this user.

        Raises:
            DataError: It does not.
        """
        nobody = {"StudyInstanceUID": str(generate_uid())}
        with self._talking():
            self._client.search_for_studies(search_filters=nobody, limit=1)

    def studies(self) -> list[Row]:
        """What it says of its studies, the first `MOST_STUDIES` of them.

        Raises:
            DataError: It cannot be asked.
        """
        found: dict[str, Row] = {}
        fields = ["ModalitiesInStudy", "NumberOfStudyRelatedInstances"]
        with self._talking():
            while len(found) < MOST_STUDIES:
                page = self._client.search_for_studies(fields=fields, limit=_PAGE, offset=len(found))
                new = {uid_in(row, "StudyInstanceUID"): row for row in map(row_of, page)}
                if not new.keys() - found.keys():
                    break
                found |= new
        return list(found.values())

    def series(self, study: str, keywords: Sequence[str]) -> list[Row]:
        """The series of a study.

        Args:
            study: Its UID.
            keywords: Attributes that are asked for beside the usual; the archive may leave them out.

        Raises:
            DataError: It cannot be asked, or has none or too many.
        """
        rows = self._rows(
            lambda **page: self._client.search_for_series(study, fields=list(keywords), **page),
            "SeriesInstanceUID",
            study,
            MOST_SERIES,
        )
        if not rows:
            raise RefusedError(
                f"the archive {self.address.url} has no series of the study",
                "See whether the StudyInstanceUID is right, and whether this user may see the study.",
            )
        return rows

    def images(self, study: str, series: str) -> list[Row]:
        """The objects of a series, with the sizes of their pixels where the archive says them.

        Raises:
            DataError: As `series`.
        """
        return self._rows(
            lambda **page: self._client.search_for_instances(study, series, fields=list(_SIZES), **page),
            "SOPInstanceUID",
            study,
            MOST_IMAGES,
        )

    def _rows(self, ask: Callable[..., Any], key: str, study: str, most: int) -> list[Row]:
        """All matches of a question, page by page: an archive may give fewer at a time than it is asked for."""
        found: dict[str, Row] = {}
        with self._talking():
            while True:
                page = [row_of(each) for each in ask(limit=_PAGE, offset=len(found))]
                new = {uid_in(row, key): row for row in page}
                if not new.keys() - found.keys():
                    return list(found.values())
                if any(row.get("StudyInstanceUID", study) != study for row in page):
                    raise RefusedError(
                        f"the archive {self.address.url} was asked for one study and names another",
                        "Ask those who keep the archive.",
                    )
                found |= new
                if len(found) > most:
                    what = "series" if key == "SeriesInstanceUID" else "images"
                    raise RefusedError(
                        f"the archive {self.address.url} says more than {most} {what}",
                        "Export what is meant to a folder, and name that.",
                    )

    def fetch(
        self, study: str, series: str, instance: str = "", *, new: Callable[[int], Path], most: int
    ) -> Generator[Path, None, None]:
        """Fetch the objects of a series, or one of them, as they are stored; gives each file once it is whole.

        Args:
            study: UID.
            series: UID.
            instance: UID of the one that is meant; by default all are.
            new: A path for the file with a number, from 1.
            most: Bytes of all together.

        Raises:
            DataError: They cannot be had; the last file may be a part of one then.
        """
        url = f"{self.address.url}/studies/{study}/series/{series}" + f"/instances/{instance}" * bool(
            instance
        )
        self._session.allow(most)
        try:
            with (
                self._talking(),
                self._session.get(
                    url, headers={"Accept": _ACCEPT}, stream=True, timeout=TIMEOUT_S
                ) as response,
            ):
                response.raise_for_status()
                boundary = boundary_of(response.headers.get("content-type", ""))
                yield from _files(pieces(response.iter_content(_PIECE), boundary), new)
        finally:
            self._session.allow(MOST_ANSWER)

    def store(self, path: Path) -> None:
        """Store an object, read it back, and compare.

        Raises:
            RefusedError: It cannot be stored, or what the archive then gives is something else; says what is known
                of whether it is in the archive.
        """
        from medseg.images.dicom.web.standing import with_standing  # noqa: PLC0415 - imports NumPy
        from medseg.images.dicom.web.stored import refuse_changed  # noqa: PLC0415 - as above

        with quiet():
            data = dcmread(path)
        self._send(data)
        try:
            with passing_folder(FOLDER) as place:
                back = self._read_back(data, place / "back", 2 * path.stat().st_size + (1 << 20))
                refuse_changed(path, back)
        except DataError as error:
            raise with_standing(error, taken=True) from error

    def _send(self, data: Any) -> None:
        from medseg.images.dicom.web.standing import may_be_taken, with_standing  # noqa: PLC0415 - imports NumPy
        from medseg.images.dicom.web.stored import refuse_failed  # noqa: PLC0415 - as above

        taken = False
        try:
            with self._talking(), quiet():
                try:
                    answer = self._stored(data)
                except Exception as error:
                    taken = may_be_taken(error)
                    raise
                refuse_failed(answer, str(data.SOPInstanceUID))
        except DataError as error:
            raise with_standing(error, taken=taken) from None

    def _stored(self, data: Any) -> Any:
        """What the archive says of storing; nothing where that cannot be understood: it is read back anyhow."""
        try:
            return self._client.store_instances([data])
        except InvalidJSONError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, OSError):  # some of requests' are both
                raise
            return None

    def _read_back(self, data: Any, place: Path, most: int) -> Path:
        uids = (str(data[name].value) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
        study, series, instance = uids
        refused: DataError = RefusedError(
            f"the archive {self.address.url} took the segmentation and does not give it back",
            "Ask those who keep the archive.",
        )
        for wait in _WAITS_S:
            time.sleep(wait)  # some archives take what they are given and file it a little later
            try:
                with closing(self.fetch(study, series, instance, new=lambda _: place, most=most)) as files:
                    if len(list(files)) == 1:
                        return place
            except DataError as error:
                refused = error
        raise refused

    @contextmanager
    def _talking(self) -> Iterator[None]:
        """Turn whatever comes of asking into a sentence, and keep addresses with UIDs out of every log."""
        logs = [logging.getLogger(name) for name in _LOGGERS]
        before = [(log.propagate, log.level) for log in logs]
        for log in logs:
            log.propagate = False
            log.setLevel(logging.CRITICAL + 1)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - an archive may answer anything
            raise refusal(error, self.address.url) from None
        finally:
            for log, (propagate, level) in zip(logs, before, strict=True):
                log.propagate = propagate
                log.setLevel(level)


def _files(parts: Iterator[tuple[int, bytes]], new: Callable[[int], Path]) -> Iterator[Path]:
    """Write pieces into files, one for each number."""
    written, file, path = 0, None, Path()
    try:
        for number, piece in parts:
            if number != written:
                if file is not None:
                    file.close()
                    yield path
                written, path = number, new(number)
                file = _opened(path)
            if file is not None:
                file.write(piece)
        if file is not None:
            file.close()
            yield path
    finally:
        if file is not None:
            file.close()


def _opened(path: Path) -> BinaryIO:
    return path.open("wb")


def _dicomweb_client() -> Any:
    try:
        return import_module("dicomweb_client.web")
    except ImportError as error:
        raise RefusedError(
            f"dicomweb-client, which asks archives, cannot be imported: {error}",
            'Install it: pip install "dicomweb-client>=0.60" (it is the extra `dicomweb` of medseg).',
        ) from error
