"""Entry points of installed packages: those that are there now, read once."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from medseg.machine.installed import brought, origin


def install(folder: Path, name: str) -> None:
    facts = folder / f"{name}-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (facts / "entry_points.txt").write_text(f"[medseg.test]\nward = {name}.ward\n", encoding="utf-8")


def test_a_package_that_is_installed_meanwhile_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    assert [origin(point) for point in brought("medseg.test")] == []

    install(tmp_path, "hospital")

    assert [(origin(point), point.value) for point in brought("medseg.test")] == [
        ("hospital", "hospital.ward")
    ]


def test_packages_are_read_once_while_none_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    brought("medseg.test")
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: pytest.fail("read again"))

    brought("medseg.test")
