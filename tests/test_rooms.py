"""The house as it was planned: no circle of modules, no room with too much in it, no module with two ideas."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from statistics import median

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = [path for path in (ROOT / "medseg").rglob("*.py") if path.name != "__init__.py"]
LINES = {
    path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES
}


def circles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Modules that import one another, directly or over others; imports for type checkers and late ones count.

    Packages are left out: their `__init__` looks names up late, and holds no code.
    """
    packages = {name for name in graph.modules if graph.find_children(name)}
    left = {
        name: {to for to in graph.find_modules_directly_imported_by(name) if to not in packages}
        for name in graph.modules - packages
    }
    changed = True
    while changed:  # what imports nothing that is left, or is imported by nothing, is in no circle
        imported = {to for targets in left.values() for to in targets}
        kept = {name: targets & left.keys() for name, targets in left.items() if targets & left.keys()}
        kept = {name: targets for name, targets in kept.items() if name in imported}
        changed, left = kept != left, kept
    return [sorted(left)] if left else []


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("medseg", cache_dir=None)


def test_no_modules_import_one_another_in_a_circle(graph: grimp.ImportGraph) -> None:
    assert circles(graph) == []


def test_a_circle_is_seen(graph: grimp.ImportGraph) -> None:
    lowest, highest = "medseg.errors", "medseg.cli.main"
    assert lowest in graph.find_upstream_modules(highest)
    graph = grimp.build_graph("medseg", cache_dir=None)
    graph.add_import(importer=lowest, imported=highest)

    ((first, *_),) = circles(graph)

    assert first.startswith("medseg.")


def test_no_room_holds_more_than_fifteen_modules() -> None:
    rooms = Counter(path.parent.relative_to(ROOT).as_posix() for path in MODULES)

    assert {room: count for room, count in rooms.items() if count > 15} == {}


def test_modules_are_short() -> None:
    assert median(LINES.values()) <= 130
    assert {name: count for name, count in LINES.items() if count > 350} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    empty_words = {"utils", "util", "helper", "helpers", "manager", "common", "misc", "core", "base"}

    assert not [path for path in MODULES if path.stem in empty_words]
