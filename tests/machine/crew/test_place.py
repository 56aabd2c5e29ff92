"""What --on can say, and what it cannot."""

from __future__ import annotations

import pytest

from medseg.errors import DefinitionError
from medseg.machine.crew.place import Place
from medseg.pipeline.options import RunOptions


def test_places_are_read() -> None:
    assert Place.of("local:4") == Place("local", 4)
    assert Place.of("slurm") == Place("slurm")
    assert Place.of("pbs:20") == Place("pbs", 20)
    assert Place.of("dask:tcp://127.0.0.1:8786") == Place("dask", address="tcp://127.0.0.1:8786")
    assert Place.of("dask:/shared/scheduler.json") == Place("dask", address="/shared/scheduler.json")


@pytest.mark.parametrize(
    "text",
    [
        "local",
        "local:0",
        "local:-1",
        "local:2.5",
        "local:٣",
        "slurm:",
        "lsf:10001",
        "ray:3",
        "dask:",
        "dask:host",
    ],
)
def test_what_is_no_place_is_refused_with_what_is_one(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"on is .*expected .*(dask:ADDRESS|dask:tcp://)"):
        RunOptions.of(on=text)


def test_no_file_remembers_where_work_is_done() -> None:
    assert "on" not in RunOptions.of(on="local:2").kept()
