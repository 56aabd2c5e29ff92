from __future__ import annotations

from pathlib import Path

import pytest
import requests

from medseg.errors import TrackingError
from medseg.tracking.mlflow.calls import Call
from medseg.tracking.mlflow.sending.outbox import UNTRACKED, Outbox, leave


class RefusedError(Exception):
    def __init__(self, said: str, code: str = "INVALID_PARAMETER_VALUE") -> None:
        super().__init__(said)
        self.error_code = code


class Server:
    """A server that can be switched off, counts what it costs to ask, and has a clock."""

    def __init__(self, folder: Path) -> None:
        self.up = True
        self.refuses: set[int] = set()
        self.broken: set[int] = set()
        self.got: list[int] = []
        self.asked = 0
        self.now = 1000.0
        self.said: list[str] = []
        self.folder = folder

    def send(self, call: Call) -> None:
        self.asked += 1
        number = call.body["number"]
        if not self.up or number in self.broken:
            raise ConnectionError("refused http://me:secret@host/api")
        if number in self.refuses:
            raise RefusedError("bad name")
        self.got.append(number)

    def reach(self) -> None:
        self.asked += 1
        if not self.up:
            raise TrackingError("away")

    def outbox(self) -> Outbox:
        return Outbox(self.send, self.reach, self.folder, self.said.append, lambda: self.now)


def put(outbox: Outbox, *numbers: int) -> None:
    for number in numbers:
        outbox.put(Call("metrics", {"number": number}))


@pytest.fixture
def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


def test_calls_arrive_in_order_and_leave_no_file(server: Server, tmp_path: Path) -> None:
    put(server.outbox(), 1, 2, 3)
    assert server.got == [1, 2, 3]
    assert not server.said
    assert not (tmp_path / UNTRACKED).exists()


def test_a_dead_server_is_asked_once_in_thirty_seconds_and_spoken_of_once(server: Server) -> None:
    outbox = server.outbox()
    server.up = False
    put(outbox, *range(100))
    assert server.asked == 1
    server.now += 31
    put(outbox, *range(100, 200))
    assert server.asked == 2
    assert len(server.said) == 1
    assert "secret" not in server.said[0]


def test_what_waited_is_sent_in_order_when_the_server_is_back(server: Server, tmp_path: Path) -> None:
    outbox = server.outbox()
    put(outbox, 1)
    server.up = False
    put(outbox, 2, 3)
    server.up = True
    put(outbox, 4)
    assert server.got == [1]
    server.now += 31
    put(outbox, 5)
    assert server.got == [1, 2, 3, 4, 5]
    assert not (tmp_path / UNTRACKED).exists()
    assert "has now received all that waited" in server.said[-1]
    server.up = False
    put(outbox, 6)
    assert len(server.said) == 3  # a second outage is news again


def test_pauses_grow_to_five_minutes(server: Server) -> None:
    outbox = server.outbox()
    server.up = False
    tried = []
    for second in range(1200):
        before = server.asked
        server.now = 1000.0 + second
        put(outbox, second)
        if server.asked > before:
            tried.append(second)
    assert tried == [0, 30, 90, 210, 450, 750, 1050]


def test_a_refused_call_is_reported_and_blocks_nothing(server: Server) -> None:
    server.refuses = {2}
    put(server.outbox(), 1, 2, 3)
    assert server.got == [1, 3]
    assert server.said == ["The tracking server refused metrics: bad name."]


def test_what_a_process_could_not_send_is_sent_by_the_next(server: Server, tmp_path: Path) -> None:
    server.up = False
    put(server.outbox(), 1, 2)
    with (tmp_path / UNTRACKED).open("a") as handle:
        handle.write('{"what": "metr')  # killed while writing
    server.up = True
    outbox = server.outbox()
    assert outbox.waiting == 2
    assert outbox.flush()
    put(outbox, 3)
    assert server.got == [1, 2, 3]
    assert not (tmp_path / UNTRACKED).exists()


def test_a_store_that_fails_for_one_call_alone_holds_back_no_other(server: Server, tmp_path: Path) -> None:
    server.broken = {2}
    outbox = server.outbox()
    put(outbox, 1, 2, 3)
    server.now += 31
    put(outbox, 4)
    assert server.got == [1, 3, 4]
    assert outbox.waiting == 1
    assert server.outbox().waiting == 1  # the file says the same
    server.broken = set()
    assert outbox.flush()
    assert server.got == [1, 3, 4, 2]


def test_a_server_that_dies_while_it_catches_up_loses_and_repeats_nothing(server: Server) -> None:
    outbox = server.outbox()
    server.up = False
    put(outbox, 1, 2, 3, 4)
    server.up, server.broken = True, {2, 3, 4}
    assert not outbox.flush()
    server.broken = set()
    assert outbox.flush()
    assert server.got == [1, 2, 3, 4]


def test_two_failures_in_a_row_end_a_try_and_what_came_after_waits_unasked(server: Server) -> None:
    """Each failure may cost a time-out: a server that went away again must not cost one for every call."""
    outbox = server.outbox()
    server.up = False
    put(outbox, *range(1, 11))
    server.up, server.broken, server.asked = True, {2, 4, 5, 7}, 0
    assert not outbox.flush()
    assert server.got == [1, 3]  # a failure alone lets the next one pass
    assert server.asked == 1 + 5  # whether it answers, then the calls 1 to 5
    assert outbox.waiting == 8
    assert server.outbox().waiting == 8  # the file says the same
    server.broken = set()
    assert outbox.flush()
    assert server.got == [1, 3, 2, 4, 5, 6, 7, 8, 9, 10]


def test_a_try_that_ends_is_followed_by_a_pause(server: Server) -> None:
    outbox = server.outbox()
    server.up = False
    put(outbox, 1, 2, 3)
    server.up, server.broken, server.asked = True, {1, 2}, 0
    assert not outbox.flush()
    put(outbox, 4)
    assert server.asked == 3
    assert server.got == []
    server.now += 1000
    server.broken = set()
    put(outbox, 5)
    assert server.got == [1, 2, 3, 4, 5]


def test_a_file_that_is_gone_is_not_waited_for(server: Server, tmp_path: Path) -> None:
    def send(_call: Call) -> None:
        raise FileNotFoundError("figure.png")

    outbox = Outbox(send, server.reach, tmp_path, server.said.append)
    put(outbox, 1)
    assert outbox.waiting == 0
    assert "refused" in server.said[0]


def test_a_line_torn_within_a_letter_is_left_out(server: Server, tmp_path: Path) -> None:
    leave(tmp_path, Call("metrics", {"number": 1}), print)
    with (tmp_path / UNTRACKED).open("ab") as handle:
        handle.write('{"what": "µ'.encode()[:-1])
    assert server.outbox().flush()
    assert server.got == [1]


def test_what_is_no_longer_true_is_forgotten(server: Server, tmp_path: Path) -> None:
    leave(tmp_path, Call("metrics", {"number": 1}), print)
    leave(tmp_path, Call("status", {"number": 2}), print)
    outbox = server.outbox()
    assert outbox.holds("status")
    outbox.forget("status")
    assert not outbox.holds("status")
    assert server.outbox().waiting == 1
    assert outbox.flush()
    assert server.got == [1]


@pytest.mark.parametrize("damage", [b"\0" * 5000, b'{"what": "metr'])
def test_what_a_power_cut_left_is_cut_off_and_said_also_where_only_a_line_is_added(
    damage: bytes, server: Server, tmp_path: Path
) -> None:
    leave(tmp_path, Call("metrics", {"number": 1}), print)
    for number in (2, 3):
        with (tmp_path / UNTRACKED).open("ab") as file:
            file.write(damage)
        if number == 2:
            leave(tmp_path, Call("metrics", {"number": number}), server.said.append)

    assert server.outbox().flush()
    assert server.got == [1, 2]
    assert server.said[:2] == 2 * [
        f"The last {len(damage)} bytes of {UNTRACKED} were damaged, as by a power cut, and are cut off."
    ]


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED", "CUSTOMER_UNAUTHORIZED", ""])
def test_what_a_login_that_ran_out_keeps_back_waits_and_is_sent_with_a_new_one(
    code: str, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = server.outbox()

    def closed(_: Call) -> None:
        if code:
            raise RefusedError("token expired", code)
        answer = requests.Response()  # as MLflow passes it on of files
        answer.status_code = 401
        answer.raise_for_status()

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "_send", closed)
        put(outbox, *range(7))
        assert not outbox.flush()
    assert "refuses the login" in server.said[0]
    assert outbox.unsent.startswith(f"7 records wait in {UNTRACKED} (7 metrics): it refuses the login: ")
    assert len((tmp_path / UNTRACKED).read_text().splitlines()) == 7

    assert server.outbox().flush()
    assert server.got == list(range(7))


def file_call(number: int) -> Call:
    return Call("artifact", {"number": number})


def test_files_that_are_never_taken_hold_up_neither_scores_nor_the_end(
    server: Server, tmp_path: Path
) -> None:
    server.broken = {1, 2, 3}
    outbox = server.outbox()
    for number in (1, 2, 3):
        outbox.put(file_call(number))
    put(outbox, 10)
    outbox.put(Call("status", {"number": 11}))

    assert not outbox.flush()
    assert server.got == [10, 11]
    assert outbox.unsent.startswith(
        f"3 records wait in {UNTRACKED} (3 artifacts): it did not take artifact: refused"
    )
    assert not outbox.holds("status")


def test_what_another_process_left_is_sent_scores_first(server: Server, tmp_path: Path) -> None:
    server.broken = {1, 2, 3}
    for number in (1, 2, 3):
        leave(tmp_path, file_call(number), print)
    leave(tmp_path, Call("metrics", {"number": 10}), print)
    leave(tmp_path, Call("status", {"number": 11}), print)

    outbox = server.outbox()
    assert not outbox.flush()
    assert server.got == [10, 11]
    server.broken = set()
    assert outbox.flush()
    assert server.got == [10, 11, 1, 2, 3]


def test_files_are_tried_again_though_numbers_alone_are_sent_meanwhile(server: Server) -> None:
    server.broken = {1}
    outbox = server.outbox()
    outbox.put(file_call(1))
    server.broken = set()
    put(outbox, 2)
    assert server.got == [2]
    server.now += 31
    put(outbox, 3)
    assert server.got == [2, 3, 1]


def test_what_was_refused_is_counted_and_never_said_to_be_sent(server: Server) -> None:
    server.refuses, server.up = {2}, False
    outbox = server.outbox()
    put(outbox, 1, 2)
    server.up = True

    assert outbox.flush()
    assert server.said[-1].endswith("all that waited for it, but for 1 that were refused for good.")
    assert outbox.unsent == "1 were refused for good, and are in the run's own folder alone"


@pytest.mark.parametrize("content", [b"", b'{"what": "metr'], ids=["empty", "torn"])
def test_a_file_in_which_nothing_waits_any_more_is_removed(server: Server, content: bytes) -> None:
    outbox = server.outbox()
    outbox._path.write_bytes(content)

    assert server.outbox().flush()
    assert not outbox._path.exists()
