"""A worker looks at itself before it does anything, and says what does not suit."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from medseg.errors import DataError, RunError
from medseg.machine.crew import sent as sent_module
from medseg.machine.crew.sent import Done, Guarded, Refused, Sent, done_there, versions


def guarded(place: Path, **changed: object) -> Guarded:
    fit = Guarded(Sent.of(len, place / ".task"), versions(), (place,), place)
    return replace(fit, **changed)  # type: ignore[arg-type]


def refused(given: Guarded) -> Refused:
    found = done_there(given, pickle.dumps("abc"))
    assert isinstance(found, Refused)
    return found


def test_a_worker_that_suits_does_the_task(tmp_path: Path) -> None:
    assert done_there(guarded(tmp_path), pickle.dumps("abc")) == Done(3)


def test_an_error_that_the_user_can_mend_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(text: str) -> None:
        raise DataError(text, show_paths=True)

    monkeypatch.setattr(sent_module, "_function", lambda _: fails)
    found = done_there(Guarded(Sent("of this test"), versions()), pickle.dumps("torn"))
    assert isinstance(found, Done)
    told = pickle.loads(pickle.dumps(found)).error  # noqa: S301
    assert (type(told), str(told), told.show_paths) == (DataError, "torn", True)


def test_another_version_is_refused(tmp_path: Path) -> None:
    other = (*versions()[1:], ("Python", "2.7"))
    found = refused(guarded(tmp_path, versions=other))
    assert "Python" in found.found
    assert "2.7" in found.found


def test_data_that_are_not_there_are_refused_without_their_path(tmp_path: Path) -> None:
    found = refused(guarded(tmp_path, read=(tmp_path / "gone",)))
    assert found.path == tmp_path / "gone"
    assert "gone" not in found.found + found.remedy


def test_a_folder_that_is_another_one_there_is_refused(tmp_path: Path) -> None:
    """As of a name that each machine has for itself, such as /tmp: what was put there by the sender is not there."""
    given = guarded(tmp_path)
    (tmp_path / ".task").unlink()
    assert "another one" in refused(given).found


def test_a_package_that_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "ward_that_nobody_has" in refused(guarded(tmp_path, packages=("ward_that_nobody_has",))).found


def test_a_function_that_was_changed_on_the_way_is_not_unpickled(tmp_path: Path) -> None:
    given = guarded(tmp_path)
    (tmp_path / ".task").write_bytes(pickle.dumps(eval))
    with pytest.raises(ValueError, match="not what arrived"):
        done_there(given, pickle.dumps("1 / 0"))


def test_a_task_in_a_file_is_the_senders_alone(tmp_path: Path) -> None:
    guarded(tmp_path)
    assert (tmp_path / ".task").stat().st_mode & 0o077 == 0


def test_a_function_of_a_script_is_refused() -> None:
    with pytest.raises(RunError, match="module of an installed package"):
        Sent.of(lambda task: task)
