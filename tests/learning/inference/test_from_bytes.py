"""The files that a server gets lie where nobody else may look, and no longer than it takes to answer."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from medseg.errors import ModelError
from medseg.learning.inference import from_bytes


def test_files_lie_in_a_folder_of_this_user_that_is_cleared_after_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def seen(_predictor: object, _files: object, place: Path) -> None:
        found.append((place.name.partition("medseg-served.")[0], stat.S_IMODE(place.stat().st_mode)))
        assert place.suffix == ".part"  # by which `medseg.places` knows it
        raise ModelError("no such file")

    found: list[tuple[str, int]] = []
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(from_bytes, "_answered", seen)

    assert from_bytes.answer(None, {}) == {"error": "no such file"}  # type: ignore[arg-type]
    assert found == [(".", 0o700)]
    assert not list(tmp_path.iterdir())
