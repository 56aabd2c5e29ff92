"""Calls are sent in a thread of their own, in order, and stand in a file until they are."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from medseg.errors import TrackingError
from medseg.places import NotWrittenError, written_whole
from medseg.tracking.mlflow.calls import Call, metrics_call
from medseg.tracking.mlflow.sending.background import Background
from medseg.tracking.mlflow.sending.outbox import UNTRACKED, Outbox


def number(step: int) -> Call:
    return metrics_call({"loss": float(step)}, step, 0)


def waiting(folder: Path) -> list[int]:
    path = folder / UNTRACKED
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [Call.from_line(line).body["step"] for line in lines]


class Server:
    """Takes calls, one each time that it is let, and can be away."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.away = False
        self.steps: list[int] = []

    def send(self, call: Call) -> None:
        self.let.acquire()
        if self.away:
            raise ConnectionError("no answer")
        self.steps.append(call.body["step"])

    def reach(self) -> None:
        if self.away:
            raise TrackingError("no answer")


def sender(server: Server, folder: Path, send: Callable[[Call], None] | None = None) -> Background:
    return Background(
        Outbox(send or server.send, server.reach, folder, lambda _: None), folder, lambda _: None
    )


def test_who_records_does_not_wait_and_what_is_recorded_stands_in_a_file_until_it_is_sent(tmp_path):
    server = Server()
    background = sender(server, tmp_path)
    for step in range(5):
        background.put(number(step))  # returns, though the server takes nothing yet

    assert server.steps == []
    assert waiting(tmp_path) == [0, 1, 2, 3, 4]
    server.let.release(5)
    background.settle()
    assert server.steps == [0, 1, 2, 3, 4]
    assert not (tmp_path / UNTRACKED).exists()


def test_a_process_that_is_killed_leaves_what_was_not_sent_to_the_next(tmp_path):
    server = Server()
    background = sender(server, tmp_path)
    for step in range(3):
        background.put(number(step))

    later = Server()
    later.let.release(9)
    Outbox(later.send, later.reach, tmp_path, lambda _: None).flush()
    assert later.steps == [0, 1, 2]
    server.let.release(3)
    background.settle()


def test_what_is_put_while_a_server_comes_back_is_neither_lost_nor_sent_before_the_rest(tmp_path):
    server = Server()
    server.away = True
    server.let.release(100)
    outbox = Outbox(server.send, server.reach, tmp_path, lambda _: None, clock=lambda: 0.0)
    background = Background(outbox, tmp_path, lambda _: None)
    background.put(number(0))
    background.settle()
    assert waiting(tmp_path) == [0]

    background.put(number(1))
    background.settle()
    server.away = False
    background.put(number(2))
    background.settle()
    assert waiting(tmp_path) == [0, 1, 2]
    assert outbox.flush()
    assert server.steps == [0, 1, 2]
    assert waiting(tmp_path) == []


def test_the_file_keeps_what_is_behind_when_the_outbox_writes_it(tmp_path):
    server = Server()
    outbox = Outbox(server.send, server.reach, tmp_path, lambda _: None)
    background = Background(outbox, tmp_path, lambda _: None)
    for step in range(3):
        background.put(number(step))
    outbox.save()

    assert waiting(tmp_path) == [1, 2]
    server.let.release(3)
    background.settle()


def test_many_threads_lose_nothing(tmp_path):
    server = Server()
    server.let.release(1000)
    background = sender(server, tmp_path)
    threads = [
        threading.Thread(
            target=lambda first: [background.put(number(first + i)) for i in range(20)], args=(each,)
        )
        for each in range(0, 100, 20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    background.settle()

    assert sorted(server.steps) == list(range(100))
    assert waiting(tmp_path) == []


def test_a_disk_that_is_full_while_the_server_is_away_ends_neither_the_thread_nor_the_wait(
    tmp_path, monkeypatch
):
    server = Server()
    server.away = True
    server.let.release(9)
    outbox = Outbox(server.send, server.reach, tmp_path, lambda _: None)
    background = Background(outbox, tmp_path, lambda _: None)

    def full(*_: object, **__: object) -> None:
        raise NotWrittenError(28, "No space left on device")

    with monkeypatch.context() as patched:
        for name in ("append_line", "written_whole"):
            patched.setattr(f"medseg.tracking.mlflow.sending.outbox.{name}", full)
        for step in range(3):
            background.put(number(step))
        background.settle()
        with pytest.raises(NotWrittenError):
            outbox.save()
    server.away = False
    background.put(number(3))
    background.settle()
    assert outbox.flush()
    assert server.steps == [0, 1, 2, 3]


def test_while_a_server_is_away_the_file_grows_by_what_is_put_and_is_not_written_anew(tmp_path, monkeypatch):
    server = Server()
    server.away = True
    server.let.release(99)
    outbox = Outbox(server.send, server.reach, tmp_path, lambda _: None, clock=lambda: 0.0)
    background = Background(outbox, tmp_path, lambda _: None)
    monkeypatch.setattr(Outbox, "save", lambda *_: 1 / 0)
    for step in range(20):
        background.put(number(step))
        background.settle()

    assert waiting(tmp_path) == list(range(20))


def test_files_are_sent_while_others_are_written_beside_them(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "data.png").write_bytes(b"x")
    sent: list[str] = []
    client = SimpleNamespace(
        tracking_uri="http://there", log_artifact=lambda _run, path, _folder: sent.append(path)
    )
    outbox = Outbox(lambda call: call.send(client, "run", tmp_path), lambda: None, tmp_path, lambda _: None)
    background = Background(outbox, tmp_path, lambda _: None)
    for count in range(150):
        background.put(Call("artifact", {"path": "figures/data.png", "folder": "figures"}))
        with written_whole(tmp_path / "figures" / f"{count}.png") as beside:
            beside.write_bytes(b"y" * 30_000)
    background.settle()

    assert outbox.refused == 0
    assert len(sent) == 150


def test_a_defect_in_the_thread_is_raised_where_it_is_waited_for(tmp_path, monkeypatch):
    background = sender(Server(), tmp_path)
    monkeypatch.setattr(Outbox, "put", lambda *_, **__: 1 / 0)
    background.put(number(1))

    with pytest.raises(ZeroDivisionError):
        background.settle()
    background.settle()
