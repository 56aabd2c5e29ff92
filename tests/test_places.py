"""What is written is on the disk before it has its name, and what killed processes leave is cleared."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from medseg.errors import RunError
from medseg.files.durable import flush_folder
from medseg.files.lock import Held, take
from medseg.places import (
    cache_contents,
    cache_folder,
    clear_cache_leftovers,
    clear_outputs,
    leftovers,
    passing_folder,
    read_kept,
    written_whole,
)

LONG_AGO = (1, 1)


@pytest.fixture
def no_waiting_for_the_disk() -> None:
    """Here it is waited for, as in use."""


@pytest.fixture
def on_disk(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was done, in order: names that were flushed, and moves."""
    done: list[str] = []
    fsync, move = os.fsync, Path.replace

    def flushed(handle: int) -> None:
        done.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def moved(path: Path, target: Path) -> Path:
        done.append(f"move {path.name}")
        return move(path, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", moved)
    return done


@pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="needs /proc, which tells the name of an open file"
)
def test_files_and_folders_are_flushed_before_they_are_moved_and_their_names_after(
    tmp_path: Path, on_disk: list[str]
) -> None:
    with written_whole(tmp_path / "new" / "model") as target:
        (target / "parts").mkdir(parents=True)
        (target / "parts" / "weights").write_bytes(b"1")
        (target / "card").write_text("x")

    at = on_disk.index("move model")
    assert sorted(on_disk[:at]) == ["card", "model", "parts", "weights"]
    assert on_disk[at + 1 :] == ["new", tmp_path.name]


KILLED = """
import os, signal, sys
from pathlib import Path
from medseg.places import written_whole
with written_whole(Path(sys.argv[1])) as target:
    target.write_text("half")
    print(target.parent, flush=True)
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows has not")
def test_what_a_killed_process_had_begun_is_counted_and_cleared_once_it_is_dead(tmp_path: Path) -> None:
    place = cache_folder() / "stores" / "a" / "entry"
    command = [sys.executable, "-c", KILLED, str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        begun = Path(other.stdout.readline().strip())
        os.utime(begun, LONG_AGO)
        assert leftovers(cache_folder()) == []
        assert "leftovers" not in cache_contents()
        other.communicate("\n")

    os.utime(begun, LONG_AGO)
    assert cache_contents()["leftovers"] == (1, 4)
    assert cache_contents()["stores"][0] == 1
    others = cache_folder() / "myproject" / ".film.part"
    others.mkdir(parents=True)
    linked = place.parent / ".link.part"
    linked.symlink_to(others, target_is_directory=True)
    os.utime(others, LONG_AGO)
    clear_cache_leftovers()
    assert list(place.parent.iterdir()) == [linked]
    assert others.is_dir()


PASSING = """
import os, signal, sys, tempfile
from medseg.places import passing_folder
tempfile.tempdir = sys.argv[1]
with passing_folder("medseg-test") as place:
    (place / "picture").write_text("of a patient")
    print(place, flush=True)
    input()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL, which Windows has not")
def test_what_a_killed_process_left_of_a_patient_is_cleared_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    command = [sys.executable, "-c", PASSING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        left = Path(other.stdout.readline().strip())
        os.utime(left, LONG_AGO)
        with passing_folder("medseg-test") as place:
            assert stat.S_IMODE(place.stat().st_mode) == 0o700
            assert (left / "picture").exists()  # its process is at work
        other.communicate("\n")

    assert not place.exists()
    os.utime(left, LONG_AGO)
    with passing_folder("medseg-other"):
        assert left.exists()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: -2)  # another user, who may be allowed more
        with passing_folder("medseg-test"):
            assert left.exists()
    with passing_folder("medseg-test"):
        assert not left.exists()


def test_what_has_just_been_begun_is_left_alone_unless_nobody_else_can_have(tmp_path: Path) -> None:
    (tmp_path / ".a.x.part").mkdir()
    (tmp_path / ".b.y.part").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / ".a.z.part").mkdir()

    assert leftovers(tmp_path) == []
    assert [path.name for path in leftovers(tmp_path, below="a", own=True)] == [".a.x.part"]
    assert len(leftovers(tmp_path, own=True)) == 3
    os.utime(tmp_path / ".a.x.part", LONG_AGO)  # of a medseg, or a file system, without locks
    assert [path.name for path in leftovers(tmp_path)] == [".a.x.part"]


def begun(folder: Path, name: str, *, marked: bool = True, ago: float = 2.0) -> Path:
    """What a process that is gone had begun to write, some days ago."""
    part = folder / name
    part.mkdir(parents=True)
    (part / "half").write_bytes(b"of a patient")
    if marked:
        (part / ".writing").touch()
    when = time.time() - ago * 86400
    os.utime(part, (when, when))
    return part


def test_whoever_writes_into_a_folder_clears_what_killed_processes_left_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    dead = begun(out, ".case-1.nii.gz.abcdef_9.part")
    young = begun(out, ".case-2.nii.gz.abcdefg1.part", ago=0.0003)  # half a minute
    busy = begun(out, ".case-3.nii.gz.abcdefg2.part")
    others = [
        begun(out, ".film.abcdefgh.part", marked=False),
        begun(out, ".film.part"),
        begun(out, "case-1.abcdefgh.part"),
        begun(out / "deeper", ".case-1.nii.gz.abcdefgh.part"),
        begun(tmp_path, "elsewhere"),
    ]
    (out / ".link.abcdefgh.part").symlink_to(others[-1])
    at_work = take(busy / ".writing")
    assert at_work is not None
    os.utime(busy, LONG_AGO)

    with written_whole(out / "case-9.nii.gz") as target:
        target.touch()
    at_work.let_go()

    assert not dead.exists()
    assert all((each / "half").exists() for each in (young, busy, *others))
    assert (out / ".link.abcdefgh.part").is_symlink()


def test_what_was_left_minutes_ago_goes_too_and_an_empty_folder_without_a_lock(tmp_path: Path) -> None:
    minutes = begun(tmp_path, ".case-1.nii.gz.abcdefg3.part", ago=0.002)
    bare = tmp_path / ".case-2.nii.gz.abcdefg4.part"
    bare.mkdir()
    os.utime(bare, LONG_AGO)
    fresh = tmp_path / ".case-2.nii.gz.abcdefg5.part"
    fresh.mkdir()
    with written_whole(tmp_path / "case-9.nii.gz") as target:
        target.touch()

    assert [minutes.exists(), bare.exists(), fresh.exists()] == [False, False, True]


def test_the_lock_of_a_folder_goes_when_nothing_else_is_left_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed while it clears leaves what the next one knows as left over."""
    left: list[list[str]] = []
    let_go = Held.let_go

    def watched(held: Held) -> None:
        left.append(sorted(each.name for each in held._path.parent.iterdir()))
        let_go(held)

    monkeypatch.setattr(Held, "let_go", watched)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old.txt").touch()
    with written_whole(tmp_path / "model") as target:
        target.mkdir()
        (target.parent / "more").mkdir()
        (target.parent / "more" / "one").touch()

    assert left == [[".writing"]]


def test_outputs_and_the_folders_of_their_cases_are_cleared(tmp_path: Path) -> None:
    dead = [begun(tmp_path, ".a.npz.abcdefg6.part"), begun(tmp_path / "case-1", ".p.nii.gz.abcdefg7.part")]
    kept = [begun(tmp_path / "case-1" / "deeper", ".p.nii.gz.abcdefg8.part"), begun(tmp_path, "case-2")]
    clear_outputs(tmp_path)
    clear_outputs(tmp_path / "there is none")

    assert not any(each.exists() for each in dead)
    assert all(each.exists() for each in kept)


@pytest.mark.skipif(os.name != "posix", reason="folders are flushed on POSIX alone")
@pytest.mark.parametrize(("number", "raised"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_folder_that_a_share_does_not_flush_is_no_fault_and_a_failing_disk_is_one(
    number: int, raised: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refused)
    with pytest.raises(OSError, match=os.strerror(number)) if raised else nullcontext():
        flush_folder(tmp_path)


@pytest.mark.parametrize("kind", [dict, list])
@pytest.mark.parametrize("content", ["5", "null", '"text"', "{]", ""])
def test_what_a_run_kept_is_of_its_kind_or_refused(tmp_path: Path, kind: type, content: str) -> None:
    kept = tmp_path / "history.json"
    kept.write_text(content)

    with pytest.raises(RunError, match=r"history\.json of the run is damaged"):
        read_kept(kept, kind)

    kept.write_text(str(kind()))
    assert read_kept(kept, kind) == kind()
