"""Searching all that was written for what may stand nowhere, in whatever form it stands there."""

from __future__ import annotations

import base64
import binascii
import bz2
import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

WORD = "Kanarie"
"""How every text that `medseg.testing.canaries` plants begins; numbers and dates are those below."""

DAY, MOMENT, DIGITS, DECIMAL = "17310203", "031731.773", "77370137", "7737013.25"

_DEEPEST = 4
_DAMAGE = (
    *(zipfile.BadZipFile, NotImplementedError, zlib.error, lzma.LZMAError),
    *(OSError, EOFError, RuntimeError, ValueError),
)
"""What damaged and encrypted archives raise."""
_MOST = 64 << 20  # bytes that a stream may unpack to
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{32,}={0,2}")
_ZLIB = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_PNG = b"\x89PNG\r\n\x1a\n"
_SPELT = ("1731-02-03", "03.02.1731", "02/03/1731", "03/02/1731", "03:17:31")
"""The day and the moment as programs print them."""
_NUMBERS = tuple(
    sorted(
        form
        for each in (DAY, MOMENT, DIGITS, DECIMAL, *_SPELT)
        for form in (each.encode(), each.encode("utf-16-le"), each.encode("utf-16-be"))
    )
)


def _in_base64(word: bytes) -> Iterator[bytes]:
    """The digits that a word always gives: they depend on where among three bytes it begins."""
    for lead in range(3):
        whole = base64.b64encode(bytes(lead) + word)
        first, behind = -(-lead * 8 // 6), (lead + len(word)) * 8 // 6
        yield whole[first:behind]


def _forms() -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """The forms of the word to look for in lower case, and those to look for as they are."""
    word = WORD.lower()
    folded = {
        word.encode(),
        word.encode("utf-16-le"),
        word.encode("utf-16-be"),
        *(each.encode().hex().encode() for each in (word, WORD, WORD.upper())),
    }
    for each in (word, WORD, WORD.upper()):
        folded |= {
            "".join(f"%{ord(letter):02x}" for letter in each).encode(),
            "".join(f"\\u{ord(letter):04x}" for letter in each).encode(),
            "".join(f"\\x{ord(letter):02x}" for letter in each).encode(),
            "".join(f"&#{ord(letter)};" for letter in each).encode(),
        }
    exact = {form for each in (word, WORD, WORD.upper()) for form in _in_base64(each.encode())}
    return tuple(sorted(folded)), tuple(sorted(exact))


_FOLDED, _EXACT = _forms()


def leaks_in(content: bytes) -> list[bytes]:
    """What stands in some bytes, or packed in them, with a little of what is around."""
    found = []
    for layer in unpacked(content):
        small = layer.lower()
        places = [small.find(form) for form in _FOLDED] + [layer.find(form) for form in _EXACT]
        places += [layer.find(form) for form in _NUMBERS]
        found += [layer[max(at - 60, 0) : at + 60] for at in places if at >= 0]
    return found


def unpacked(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Some bytes, and what is packed in them: gzip, archives, compressed streams and chunks, base64."""
    yield content
    if depth == _DEEPEST:
        return
    for inner in _within(content):
        yield from unpacked(inner, depth + 1)


def _within(content: bytes) -> Iterator[bytes]:
    if content.startswith(b"\x1f\x8b"):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
                yield file.read(_MOST)
        except (OSError, EOFError, zlib.error):
            yield from _inflated(content[10:], -15)
    for start, unpacker in ((b"BZh", bz2.BZ2Decompressor), (b"\xfd7zXZ\x00", lzma.LZMADecompressor)):
        if content.startswith(start):
            with suppress(OSError, EOFError, lzma.LZMAError):
                yield unpacker().decompress(content, _MOST)
    if content.startswith(_PNG):
        yield from _texts(content)
        return
    if b"PK\x05\x06" in content[-(1 << 16) :]:  # the end of an archive, whatever stands before it
        yield from _members(content)
    for match in _ZLIB.finditer(content):
        yield from _inflated(memoryview(content)[match.start() :], 15)
    for match in _BASE64.finditer(content):
        digits = match[0].rstrip(b"=").replace(b"-", b"+").replace(b"_", b"/")
        try:
            yield base64.b64decode(digits[: len(digits) // 4 * 4])
        except binascii.Error:
            continue


def _texts(content: bytes) -> Iterator[bytes]:
    """Compressed texts of a PNG, which stand behind a name; pixels are left out, as no text is found in them."""
    at = len(_PNG)
    while at + 8 <= len(content):
        size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
        if kind in {b"zTXt", b"iTXt", b"iCCP"}:
            chunk = content[at + 8 : at + 8 + size]
            for match in _ZLIB.finditer(chunk):
                yield from _inflated(chunk[match.start() :], 15)
        at += size + 12


def _members(content: bytes) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for each in archive.infolist():
                yield each.filename.encode() + b"\0" + each.comment + b"\0" + each.extra
                if each.file_size <= _MOST:
                    with suppress(*_DAMAGE):
                        yield archive.read(each)
    except _DAMAGE:
        return


def _inflated(content: bytes | memoryview, bits: int) -> Iterator[bytes]:
    try:
        found = zlib.decompressobj(bits).decompress(content, _MOST)
    except zlib.error:
        return
    if len(found) > 8:
        yield found


def leaks(*places: Path, but: tuple[Path, ...] = ()) -> dict[str, list[bytes]]:
    """What stands in files, and in the names of files and folders, below some folders.

    Args:
        places: The folders, or files.
        but: Files and folders that are left out.

    Returns:
        By path: what was found, with a little of what is around.

    Raises:
        FileNotFoundError: One of them is not there, so that nothing would be searched.
    """
    found: dict[str, list[bytes]] = {}
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"nothing to search: {place} is not there")
        for path in [place] if place.is_file() else sorted(place.rglob("*")):
            if any(path.is_relative_to(each) for each in but):
                continue
            hits = leaks_in(path.relative_to(place).as_posix().encode(errors="surrogateescape"))
            if path.is_file() and not path.is_symlink():
                hits += leaks_in(path.read_bytes())
            elif path.is_symlink():
                hits += leaks_in(str(path.readlink()).encode(errors="surrogateescape"))
            if hits:
                found[str(path)] = hits
    return found
