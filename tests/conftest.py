"""What every test may ask for: real images where they are, and places of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """Give the folder of a real data set by name, or skip the test."""
    named = os.environ.get("MEDSEG_TEST_DATA")
    folder = Path(named) if named else ROOT.parent / "shared" / "data"

    def find(name: str) -> Path:
        if not (folder / name).is_dir():
            pytest.skip(f"real images of {name!r} are not here: set MEDSEG_TEST_DATA to the folder that has them")
        return folder / name

    return find


@pytest.fixture(autouse=True)
def own_places(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test a cache, a configuration and a tracking store of its own, unless it sets others."""
    place = tmp_path_factory.mktemp("places")
    monkeypatch.setenv("MEDSEG_CACHE", str(place / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(place / "config"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    yield
