"""What pydicom says while it reads is kept for the thread that reads, and for no other."""

from __future__ import annotations

import logging
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from medseg.images.dicom.quiet import quiet

PADDED = "The pixel data length is odd and excess padding was found"


def test_threads_read_at_the_same_time_and_each_has_its_own_notes() -> None:
    together = threading.Barrier(2, timeout=20)

    def read(text: str) -> list[str]:
        with quiet() as notes:
            together.wait()  # a lock around a whole reading would never let the other in
            warnings.warn(text, UserWarning, stacklevel=1)
            together.wait()
        return notes

    with ThreadPoolExecutor(2) as threads:
        padded, other = threads.map(read, [PADDED, "of patient Anna"])
    assert padded == ["its pixel data are longer than its pixels, and what follows them was passed over"]
    assert other == []


def test_everything_is_as_before_once_all_have_read() -> None:
    log, before = logging.getLogger("pydicom"), warnings.showwarning
    propagates, filters = log.propagate, list(warnings.filters)
    with suppress(ValueError), quiet():
        assert not log.propagate
        raise ValueError("damaged")
    assert (log.propagate, warnings.showwarning, list(warnings.filters)) == (propagates, before, filters)


@pytest.mark.parametrize("name", ["pydicom", "highdicom.image"])
def test_logs_that_may_hold_identifiers_reach_no_terminal(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # as where nobody set logging up
    log = logging.getLogger(name)
    before = list(logging.getLogger(name.split(".", maxsplit=1)[0]).handlers)
    with quiet():
        log.warning("instance %s", "1.2.3")
    assert capsys.readouterr() == ("", "")
    assert logging.getLogger(name.split(".", maxsplit=1)[0]).handlers == before


def test_a_warning_of_another_thread_is_shown_there(recwarn: pytest.WarningsRecorder) -> None:
    with quiet() as notes:
        other = threading.Thread(target=warnings.warn, args=(PADDED, UserWarning))
        other.start()
        other.join()
    assert notes == []
    assert [str(each.message) for each in recwarn] == [PADDED]
