from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

from medseg.files.content import content_of, stamp_of
from medseg.files.many import files_of, together


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    for name in "abc":
        (tmp_path / name).write_text(name)
    return [tmp_path / name for name in "abc"]


def test_several_files_look_like_the_first_and_know_the_others(paths):
    made = together(paths)
    assert isinstance(made, Path)
    assert made == paths[0]
    assert {made: 1}[paths[0]] == 1
    assert str(made) == str(paths[0])
    assert made.read_text() == "a"
    assert files_of(made) == tuple(paths)


def test_a_usual_path_and_what_is_derived_from_several_stand_for_themselves(paths):
    made = together(paths)
    assert files_of(paths[1]) == (paths[1],)
    assert files_of(made.parent) == (paths[0].parent,)
    assert files_of(made.parent / "c") == (paths[2],)
    assert type(pickle.loads(pickle.dumps(made.parent))) is type(paths[0])  # noqa: S301 - our own


def test_copies_know_the_others_too(paths):
    made = together(paths)
    for again in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):  # noqa: S301 - our own
        assert files_of(again) == tuple(paths)


def test_stamp_and_digest_are_those_of_all_files_in_their_order(paths):
    made = together(paths)
    assert stamp_of(made) == tuple(number for path in paths for number in stamp_of(path))
    before = content_of(made)
    assert content_of(together(paths[::-1])).digest != before.digest
    paths[2].write_text("other")
    assert content_of(made, before).digest != before.digest
    assert content_of(together(paths[:1])) == content_of(paths[0])


def test_from_the_root_they_are_still_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert files_of(together([Path("a"), Path("b/c")]).absolute()) == (tmp_path / "a", tmp_path / "b" / "c")
