"""What is wrong with a lock file is said, with what to do about it, which works."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.files.lock import refused, seen, take
from medseg.pipeline.process import LOCKS, hold, let_go, turn


def link(path: Path) -> None:
    target = path.parent / "outside"
    target.write_text("kept", encoding="utf-8")
    path.symlink_to(target)


def lost_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize(
    ("make", "said", "remedy"),
    [
        (link, "is a link, and locks follow none. Remove the link", Path.unlink),
        (lost_link, "is a link, and locks follow none. Remove the link", Path.unlink),
        (Path.mkdir, "is a folder, and a lock file goes there. Remove it, or move it away", Path.rmdir),
    ],
    ids=["link", "lost link", "folder"],
)
@pytest.mark.parametrize("name", LOCKS)
def test_what_lies_in_the_place_of_a_lock_is_said_and_the_remedy_works(
    name: str, make: Callable[[Path], None], said: str, remedy: Callable[[Path], None], tmp_path: Path
) -> None:
    def work() -> None:
        with turn(tmp_path):
            assert hold(tmp_path)
        let_go(tmp_path)

    make(tmp_path / name)
    with pytest.raises(RunError, match=said) as caught:
        work()
    assert f"{tmp_path.name} cannot be worked on: " in str(caught.value)
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    remedy(tmp_path / name)
    work()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_with_the_name_of_a_lock_keeps_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".held")
    assert seen(tmp_path / ".held") == "free"
    found = take(tmp_path / ".held")
    assert found is not None
    found.let_go()


def test_a_lock_that_may_not_be_written_is_told_apart_from_one_that_cannot_be_made(tmp_path: Path) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(tmp_path / ".turn"))
    assert "cannot be made: Permission denied. Give this user the right to write to the folder" in refused(
        tmp_path / ".turn", error
    )
    (tmp_path / ".turn").touch()
    assert "cannot be opened: Permission denied. Give this user the right to write to it" in refused(
        tmp_path / ".turn", error
    )
