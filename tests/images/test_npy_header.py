"""Headers of NumPy arrays: read as NumPy does, or refused before anything is taken for them."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest

from medseg.errors import DataError
from medseg.images.npy_header import read_header
from medseg.images.pictures.read import read_picture


def headed(text: str, version: bytes = b"\1\0") -> bytes:
    length = struct.pack("<H" if version == b"\1\0" else "<I", len(text))
    return b"\x93NUMPY" + version + length + text.encode()


@pytest.mark.parametrize("array", [np.zeros((3, 4), ">f4", "F"), np.ones(5, bool), np.zeros((1, 2, 3), "u2")])
def test_a_header_is_read_as_numpy_reads_it(array):
    held = io.BytesIO()
    np.save(held, array)
    held.seek(0)

    assert read_header(held) == (array.shape, array.flags.fnc, array.dtype)
    assert held.tell() == len(held.getvalue()) - array.nbytes


@pytest.mark.parametrize(
    "text",
    ["(" * 9000, "-" * 9000 + "1", "{'descr': 1, 2: 3}", "{[]: 1}", "'" * 3, "[1]", "", "{'shape': (1,)}"],
    ids=["brackets", "signs", "keys of two types", "no key", "open text", "list", "nothing", "too few keys"],
)
@pytest.mark.parametrize("version", [b"\1\0", b"\2\0"], ids=["first", "second"])
def test_what_is_no_header_is_a_value_error_whatever_python_says_of_it(text, version):
    with pytest.raises(ValueError, match=r"."):
        read_header(io.BytesIO(headed(text, version)))


def test_a_header_that_should_be_longer_than_any_is_not_read():
    class Counted(io.BytesIO):
        most = 0

        def read(self, size: int | None = -1, /) -> bytes:
            self.most = max(self.most, size or 0)
            return super().read(size)

    stream = Counted(b"\x93NUMPY\2\0" + struct.pack("<I", 2**31))

    with pytest.raises(ValueError, match="no header takes more"):
        read_header(stream)
    assert stream.most < 100


def test_a_picture_with_such_a_header_is_refused(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\2\0" + struct.pack("<I", 2**31) + bytes(600))

    with pytest.raises(DataError, match="should take 2147483648 bytes"):
        read_picture(tmp_path / "a.npy", "grey")
