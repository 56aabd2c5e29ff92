"""A search for what was planted finds it in every form in which it may stand."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import json
import lzma
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medseg.testing.leaks import DAY, WORD, leaks, leaks_in


def zipped(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", text)
    return buffer.getvalue()


def png(text: bytes) -> bytes:
    buffer, info = io.BytesIO(), PngInfo()
    info.add_text("Comment", text.decode("latin-1"), zip=True)
    Image.new("L", (3, 3)).save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()


def npz(text: bytes) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, a=np.array([text]))
    return buffer.getvalue()


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "UTF-16, little end first": lambda text: text.decode().encode("utf-16-le"),
    "UTF-16, big end first": lambda text: text.decode().encode("utf-16-be"),
    "hex": lambda text: text.hex().encode(),
    "HEX": lambda text: text.hex().upper().encode(),
    "base64": base64.b64encode,
    "base64 behind one byte": lambda text: base64.b64encode(b"1" + text),
    "base64 behind two bytes": lambda text: base64.b64encode(b"12" + text),
    "base64 of what is packed": lambda text: base64.b64encode(gzip.compress(text * 9)),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(zlib.compress(bytes(range(256)) + text)),
    "percent signs": lambda text: quote(text).encode(),
    "percent signs alone": lambda text: "".join(f"%{each:02X}" for each in text).encode(),
    "JSON": lambda text: json.dumps(f"\u00e9{text.decode()}").encode(),
    "JSON, escaped": lambda text: "".join(f"\\u{each:04x}" for each in text).encode(),
    "gzip": gzip.compress,
    "gzip that ends early": lambda text: gzip.compress(text)[:-6],
    "zlib in the middle": lambda text: b"some" + zlib.compress(text) + b"more",
    "a zip": zipped,
    "a zip in a zip": lambda text: zipped(zipped(text)),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "a zip behind a program": lambda text: bytes(6000) + zipped(text),
    "a picture": png,
    "npz": npz,
    "pickle": pickle.dumps,
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    "text", [f"{WORD}00012x", f"{WORD.upper()}00012", WORD.lower()], ids=["a", "A", "aa"]
)
def test_it_is_found_in_every_form(form: Callable[[bytes], bytes], text: str) -> None:
    padded = f"before {text} behind".encode()
    assert leaks_in(form(padded))
    assert not leaks_in(form(b"before Canary00012x behind, and nothing else is here"))


def test_dates_and_names_of_files_are_found_and_nothing_in_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / f"{WORD}1").mkdir()
    (tmp_path / f"{WORD}1" / "a.txt").write_text("nothing")
    (tmp_path / "b.txt").write_text(f"born {DAY}")
    (tmp_path / "c").symlink_to(tmp_path / f"{WORD}1")

    found = {Path(path).relative_to(tmp_path).as_posix() for path in leaks(tmp_path)}

    assert found == {f"{WORD}1", f"{WORD}1/a.txt", "b.txt", "c"}
    assert leaks(tmp_path, but=tuple(tmp_path.iterdir())) == {}


@pytest.mark.parametrize(
    "text",
    [
        "1731-02-03",
        "1731-02-03T03:17:31.773",
        "03.02.1731",
        "at 03:17:31",
        DAY.encode("utf-16-le").decode("latin-1"),
    ],
)
def test_days_are_found_as_programs_print_them(text: str) -> None:
    assert leaks_in(f"before {text} behind".encode("latin-1"))


def test_a_file_is_searched_and_one_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"{WORD}7")
    assert list(leaks(tmp_path / "a.csv")) == [str(tmp_path / "a.csv")]
    with pytest.raises(FileNotFoundError, match="nothing to search"):
        leaks(tmp_path / "b")


def test_archives_that_are_damaged_or_locked_do_not_end_the_search(tmp_path: Path) -> None:
    whole = zipped(WORD.encode() * 20)
    for place in (29, 40, len(whole) // 2):
        leaks_in(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    locked = bytearray(whole)
    locked[6] |= 1  # says that it is encrypted
    locked[whole.index(b"PK\x01\x02") + 8] |= 1
    leaks_in(bytes(locked))
    (tmp_path / "a.zip").write_bytes(whole[:29] + b"\xff" + whole[30:])
    (tmp_path / "b.txt").write_text(WORD)
    assert str(tmp_path / "b.txt") in leaks(tmp_path)
