"""A small DICOMweb archive in this process, well-behaved or not, for tests."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from ssl import SSLContext
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from medseg.images.dicom.web.multipart import boundary_of, pieces

ROOT = "/dicom-web"
_BOUNDARY = "medseg-testing"
_PIECE = 1 << 21
_SAID = {
    "series": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "Modality",
        "SeriesDescription",
        "SeriesNumber",
        "PatientID",
    ),
    "instances": (
        "StudyInstanceUID",
        "SeriesInstanceUID",
        "SOPInstanceUID",
        "Rows",
        "Columns",
        "BitsAllocated",
    ),
}

Behaviour = Callable[["Request"], bool]
"""Answers a request in its own way, and says so; False leaves it to the archive."""


class Request(BaseHTTPRequestHandler):
    """One question, and the ways to answer it."""

    protocol_version = "HTTP/1.1"
    archive: Archive

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""

    def do_GET(self) -> None:
        """Answer a question or give images."""
        self._answer(self._asked)

    def do_POST(self) -> None:
        """Take objects."""
        self._answer(self._stored)

    def _answer(self, usual: Callable[[], None]) -> None:
        self.body = bytearray()
        left = int(self.headers.get("Content-Length", 0))
        while left and (piece := self.rfile.read(min(left, _PIECE))):
            self.body += piece
            left -= len(piece)
            time.sleep(self.archive.pause)
        self.archive.asked.append(f"{self.command} {self.path}")
        with suppress(ConnectionError):  # who asked has heard enough
            if self.archive.credentials not in {None, self.headers.get("Authorization")}:
                self.say(401, b"who?")
            elif not any(behaves(self) for behaves in self.archive.behaviours):
                usual()

    def say(self, status: int, body: bytes = b"", kind: str = "text/plain", **headers: str) -> None:
        """Answer with a status and a body."""
        self.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **given}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def parts(self, objects: Sequence[bytes]) -> bytes:
        """Objects as a multipart message."""
        head = f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        return b"".join(head + each + b"\r\n" for each in objects) + f"--{_BOUNDARY}--\r\n".encode()

    def say_parts(self, body: bytes, **headers: str) -> None:
        """Answer with a multipart message."""
        self.say(200, body, f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}', **headers)

    def say_json(self, answer: Any, status: int = 200) -> None:
        """Answer with DICOM JSON."""
        self.say(status, json.dumps(answer).encode(), "application/dicom+json")

    def _asked(self) -> None:
        parts = urlsplit(self.path)
        words, query = parts.path.removeprefix(f"{ROOT}/").split("/"), parse_qs(parts.query)
        uids, what = words[1::2], words[-1]
        if what in _SAID:
            found = self.archive.under(uids)
            if what == "series":
                found = list({str(each.SeriesInstanceUID): each for each in found}.values())
            more = [name for each in query.get("includefield", []) for name in each.split(",")]
            rows = [_row(each, (*_SAID[what], *more)) for each in found]
            begin, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["100"])[0])
            self.say_json(rows[begin : begin + limit])
        elif what == "studies":
            self.say_json([])
        elif objects := [self.archive.held[str(each.SOPInstanceUID)] for each in self.archive.under(uids)]:
            self.say_parts(self.parts(objects))
        else:
            self.say(404, b"nothing there")

    def _stored(self) -> None:
        taken: dict[int, bytes] = {}
        for number, piece in pieces([bytes(self.body)], boundary_of(self.headers["Content-Type"])):
            taken[number] = taken.get(number, b"") + piece
        for each in taken.values():
            self.archive.hold(each)
        self.say_json({})


def _row(data: Dataset, keywords: Sequence[str]) -> dict[str, Any]:
    found = {}
    for keyword in keywords:
        tag = tag_for_keyword(keyword)
        if tag is not None and keyword in data:
            found[f"{tag:08X}"] = json.loads(data[keyword].to_json())
    return found


@dataclass
class Archive:
    """What it holds, whom it answers, and how it behaves.

    Attributes:
        held: Objects by SOPInstanceUID, as they were given.
        credentials: The header `Authorization` that it wants; None for any.
        behaviours: What answers in place of it; the first that does counts.
        asked: Methods and paths of what it was asked.
        pause: Seconds that it rests after each 2 MiB that it is sent.
        url: Its address on this machine.
    """

    held: dict[str, bytes] = field(default_factory=dict)
    credentials: str | None = None
    behaviours: list[Behaviour] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    pause: float = 0.0
    url: str = ""

    def hold(self, stored: bytes) -> None:
        """Keep an object."""
        self.held[str(dcmread(io.BytesIO(stored), stop_before_pixels=True).SOPInstanceUID)] = stored

    def hold_folder(self, folder: Path) -> None:
        """Keep all files of a folder."""
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                self.hold(path.read_bytes())

    def under(self, uids: Sequence[str]) -> list[Dataset]:
        """Headers of the objects of a study, of a series, or one."""
        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        heads = [dcmread(io.BytesIO(each), stop_before_pixels=True) for each in self.held.values()]
        return [
            head
            for head in heads
            if all(str(head[name].value) == uid for name, uid in zip(names, uids, strict=False))
        ]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Say nothing: those who ask may hang up."""


@contextmanager
def serving(secured: SSLContext | None = None) -> Iterator[Archive]:
    """Serve an empty archive on a free port of 127.0.0.1.

    Args:
        secured: Serve HTTPS with this certificate.
    """
    archive = Archive()
    server = _Quiet(("127.0.0.1", 0), type("Bound", (Request,), {"archive": archive}))
    if secured is not None:
        server.socket = secured.wrap_socket(server.socket, server_side=True)
    archive.url = f"http{'s' if secured else ''}://127.0.0.1:{server.server_port}{ROOT}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
