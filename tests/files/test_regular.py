"""What is no regular file is refused without waiting for it, and JSON has bounds."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from medseg.files import regular
from medseg.files.regular import (
    IrregularError,
    open_regular,
    open_text,
    parse_json,
    read_json,
    refuse_irregular,
)

pytestmark = pytest.mark.timeout(20)  # opening a pipe would wait for ever
UNIX = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")


@UNIX
@pytest.mark.parametrize("read", [open_regular, open_text, read_json, refuse_irregular])
def test_a_pipe_a_socket_and_a_device_are_refused_by_name(tmp_path, monkeypatch, read):
    monkeypatch.chdir(tmp_path)  # the name of a socket has to be short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        for name, kind in (("pipe", "a named pipe"), ("socket", "a socket"), ("/dev/zero", "a device")):
            with pytest.raises(IrregularError) as raised:
                read(Path(name))
            assert raised.value.strerror == f"it is {kind}, expected a regular file"


@UNIX
def test_a_pipe_that_takes_the_place_of_a_file_meanwhile_is_refused(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.setattr(regular, "refuse_irregular", lambda _: None)

    with pytest.raises(IrregularError):
        open_regular(tmp_path / "pipe")


def test_files_links_and_folders_are_what_they_were(tmp_path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfx\r\n")
    (tmp_path / "b").symlink_to(tmp_path / "a")

    with open_regular(tmp_path / "b") as file:
        assert file.read() == b"\xef\xbb\xbfx\r\n"
    with open_text(tmp_path / "b") as file:
        assert file.read() == "x\r\n"
    with pytest.raises(IsADirectoryError):
        open_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "c")


def test_json_that_is_nested_very_deep_is_no_json(tmp_path):
    for depth in (51, 100_000):
        with pytest.raises(ValueError, match="deeper than 50"):
            parse_json("[" * depth + "]" * depth)
    assert parse_json('{"a": ' * 49 + "[]" + "}" * 49)


def test_json_that_is_very_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(regular, "MOST_JSON", 9)
    (tmp_path / "a.json").write_text("[1, 2, 3]")
    assert read_json(tmp_path / "a.json") == [1, 2, 3]
    (tmp_path / "a.json").write_text("[1, 2, 34]")

    with pytest.raises(ValueError, match="more than 9 bytes"):
        read_json(tmp_path / "a.json")


def test_json_of_very_many_lists_is_not_taken_apart(monkeypatch):
    monkeypatch.setattr(regular, "MOST_LISTS_OF_JSON", 4)
    assert parse_json('[[], {}, {"a": 1}]') == [[], {}, {"a": 1}]

    with pytest.raises(ValueError, match="more than 4 lists and objects"):
        parse_json("[[], [], [], {}]")
