from __future__ import annotations

import json
import pickle
import socket
import threading
import time

import pytest
import torch.distributed as dist

from medseg.errors import RunError
from medseg.machine.ranks.meeting import Meeting
from medseg.machine.ranks.place import Place
from medseg.machine.ranks.seal import Seal
from medseg.testing.ranks import free_port

SAME = {"medseg": "1", "torch": "2"}
SEAL = Seal(b"a key")


def two(limit=5.0):
    store = dist.HashStore()
    return [Meeting(store, Place(rank, 2), SEAL, limit) for rank in range(2)]


def beside(do, *given):
    """Do it in a thread, and keep what it gives or raises."""
    found = []

    def keep():
        try:
            found.append(do(*given))
        except RunError as error:
            found.append(error)

    thread = threading.Thread(target=keep)
    thread.start()
    return thread, found


def test_ranks_of_one_version_agree():
    first, second = two()
    thread, found = beside(second.agree, SAME)
    first.agree(SAME)
    thread.join()
    assert found == [None]


def test_other_versions_are_refused_in_all_ranks_and_named():
    first, second = two()
    thread, (*_,) = beside(second.agree, {**SAME, "torch": "3"})
    told = r"rank 1 on .* has torch 3 and not 2: .*Install the same versions on all machines"
    with pytest.raises(RunError, match=told):
        first.agree(SAME)
    thread.join()


def test_the_other_ranks_are_told_of_other_versions():
    first, second = two()
    thread, found = beside(second.agree, {**SAME, "torch": "3"})
    with pytest.raises(RunError):
        first.agree(SAME)
    thread.join()
    assert isinstance(found[0], RunError)
    assert "torch 3 and not 2" in str(found[0])


@pytest.mark.parametrize("rank", [0, 1])
def test_who_waits_in_vain_says_for_whom(rank):
    meeting = two(limit=0.05)[rank]
    with pytest.raises(RunError, match=("rank 1 has not come", "the first process has not answered")[rank]):
        meeting.agree(SAME)


def test_what_the_first_makes_reaches_the_others():
    first, second = two()
    thread, found = beside(second.called)
    first.call("gloo")
    thread.join()
    assert found == ["gloo"]
    thread, found = beside(second.called)
    ending, _ = beside(first.end, {"made": 3})
    thread.join()
    assert found == ["end"]
    assert second.ended() == {"made": 3}
    ending.join()


def test_where_the_first_fails_the_others_do():
    first, second = two()
    ending, _ = beside(first.end, None, "the loss became nan.")
    assert second.called() == "end"
    with pytest.raises(RunError, match="rank 0 has ended: the loss became nan"):
        second.ended()
    ending.join()


def test_who_fails_is_named_with_the_reason_and_the_first_reason_counts():
    first, second = two()
    second.fail("the prepared slices are not here.")
    first.fail("a consequence.")
    assert "rank 1 on" in str(first.why(RuntimeError("closed")))
    assert str(first.why(RuntimeError("closed"))).endswith("has ended: the prepared slices are not here.")


def met(monkeypatch, rank, port, limit=0.3):
    for name, value in {
        "RANK": rank,
        "WORLD_SIZE": 2,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
    }.items():
        monkeypatch.setenv(name, str(value))
    begun = time.monotonic()
    with pytest.raises(RunError) as refused:
        Meeting.join(Place(rank, 2), SEAL, limit)
    assert time.monotonic() - begun < 30
    return str(refused.value)


def test_a_port_in_use_is_told_with_the_way_to_another(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert "MASTER_PORT is in use on this machine. Give another: torchrun --master-port=PORT" in met(
            monkeypatch, 0, taken.getsockname()[1]
        )


@pytest.mark.slow
def test_a_first_process_that_is_not_there_is_told_by_its_address(monkeypatch):
    assert "rank 1 does not reach the first process at MASTER_ADDR and MASTER_PORT" in met(
        monkeypatch, 1, free_port()
    )


@pytest.mark.slow
def test_another_program_that_listens_there_is_not_waited_for(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert "what listens there does not answer" in met(monkeypatch, 1, other.getsockname()[1])


@pytest.mark.slow
def test_processes_that_do_not_come_are_missed(monkeypatch):
    assert "not all of the 2 processes that WORLD_SIZE names have come" in met(monkeypatch, 0, free_port())


def test_a_failure_is_kept_as_plain_words():
    first, _ = two()
    first.fail("told.")
    assert json.loads(first.store.get("failed"))["text"] == "told."


def test_ranks_with_other_keys_are_refused_with_what_to_set():
    store = dist.HashStore()
    first, second = Meeting(store, Place(0, 2), SEAL, 5.0), Meeting(store, Place(1, 2), Seal(b"another"), 5.0)
    thread, found = beside(second.agree, SAME)
    with pytest.raises(
        RunError, match=r"not signed by the user who trains.*set MEDSEG_CONFIG to a folder that all"
    ):
        first.agree(SAME)
    thread.join()
    assert "MEDSEG_CONFIG" in str(found[0])


def test_what_a_stranger_writes_to_the_store_is_not_unpickled(tmp_path):
    _, second = two()
    forged = pickle.dumps((Opened(tmp_path / "opened"), None))
    for message in (
        forged,
        bytes(32) + forged,
        Seal(b"another").sealed("result", Opened(tmp_path / "opened")),
    ):
        second.store.set("result", message)
        with pytest.raises(RunError, match=r"not signed by the user who trains, and is not read"):
            second.ended()
        second.store.set("task/1", message)
        second.turn = 0
        with pytest.raises(RunError, match=r"not signed"):
            second.called()
    assert not (tmp_path / "opened").exists()


def test_a_greeting_that_a_stranger_wrote_is_refused():
    first, second = two()
    thread, _ = beside(second.agree, SAME)
    while not first.store.check(["hello/1"]):
        time.sleep(0.01)
    first.store.set("hello/1", "{}")
    with pytest.raises(RunError, match=r"not signed by the user who trains"):
        first.agree(SAME)
    thread.join()


def test_what_was_signed_as_one_thing_is_not_read_as_another():
    _, second = two()
    second.store.set("result", SEAL.sealed("task/1", ("", "run")))
    with pytest.raises(RunError, match=r"not signed"):
        second.ended()


class Opened:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")
