"""Opening a file of a volume, and saying in words why it cannot be read."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from isal import igzip, isal_zlib

from medseg.errors import DataError
from medseg.files.regular import open_regular
from medseg.images.refusal import NO_RIGHT, NOT_THERE, RefusedError


class Unpacked(igzip.IGzipFile):
    """What is packed by gzip, as a stream of what is within."""

    def read(self, size: int | None = -1) -> bytes:
        """So many bytes.

        Raises:
            OSError: It is damaged, or a name before the data is longer than the half megabyte that isal holds.
        """
        try:
            return super().read(size)
        except OverflowError as error:
            raise gzip.BadGzipFile(str(error)) from None


@contextmanager
def opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file that is not empty, and its size in bytes.

    Raises:
        DataError: It cannot be opened, or what is read of it meanwhile is cut short or damaged; holds no path.
    """
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise DataError("the file is empty (0 bytes)")
            yield file, size
    except FileNotFoundError:
        raise RefusedError("the file is not there", NOT_THERE) from None
    except PermissionError:
        raise RefusedError("the file may not be read by this user", NO_RIGHT) from None
    except EOFError:
        raise DataError("the file is truncated: its compressed data end early") from None
    except (isal_zlib.error, zlib.error, gzip.BadGzipFile):  # type: ignore[misc]  # its stubs call it a value
        raise DataError("the file is damaged: its compressed data cannot be unpacked") from None
    except OSError as error:
        raise DataError(f"the file cannot be read: {error.strerror or 'it is damaged'}") from error
