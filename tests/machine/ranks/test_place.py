from __future__ import annotations

import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.errors import RunError
from medseg.machine.ranks.across import across
from medseg.machine.ranks.place import Place

SECOND = {"RANK": "1", "WORLD_SIZE": "4", "MASTER_ADDR": "a", "MASTER_PORT": "29500"}


def test_a_process_is_by_itself_unless_several_are_said_to_be_there():
    assert Place.of({}) == Place.of({"RANK": "0", "WORLD_SIZE": "1"}) == Place(0, 1, 0, 1)
    assert Place.of({}).first


def test_torchrun_says_who_is_who():
    place = Place.of({**SECOND, "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"})
    assert (place.rank, place.world, place.local, place.beside, place.first) == (1, 4, 1, 2, False)


@pytest.mark.parametrize("name", ["RANK", "MASTER_ADDR", "MASTER_PORT"])
def test_what_is_not_set_is_named_with_the_command_that_sets_it(name):
    given = {key: value for key, value in SECOND.items() if key != name}
    with pytest.raises(RunError, match=rf"{name} is not set. Start all processes with torchrun --nproc"):
        Place.of(given)


@pytest.mark.parametrize(
    ("name", "value"), [("RANK", "4"), ("RANK", "-1"), ("WORLD_SIZE", "two"), ("MASTER_PORT", "65536")]
)
def test_what_is_no_such_number_is_refused(name, value):
    with pytest.raises(RunError, match=f"{name} is '{value}', expected a whole number"):
        Place.of({**SECOND, name: value})


def test_a_process_by_itself_just_does_it(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert across(lambda: 3, bytes) == 3


@pytest.mark.parametrize(
    "command", [["pipeline", "list"], ["predict", "MODEL", "x"], ["pipeline", "folds", "brats2d"]]
)
def test_a_command_that_each_would_do_whole_is_refused(monkeypatch, command):
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 2
    assert "torchrun has started 4 processes, and each would do all of this command" in found.stderr


def test_an_unset_environment_ends_a_run_before_anything_is_read(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    found = CliRunner().invoke(app, ["pipeline", "run", "brats2d"])
    assert found.exit_code == 2
    assert "RANK, MASTER_ADDR, MASTER_PORT is not set" in found.stderr
