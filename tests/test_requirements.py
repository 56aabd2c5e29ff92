"""What medseg needs can be had by a stranger, in releases without known holes."""

from __future__ import annotations

import ast
import configparser
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]

#: The first release without a hole that medseg's own use would meet, and which hole.
MENDED = {
    "torch": ("2.10", "memory corruption behind weights_only=True"),
    "pillow": ("13", "an overflow in a decoder of pictures"),
    "monai": ("1.6.1", "security fixes"),
    "pydicom": ("3.0.2", "paths that leave the folder of a data set"),
    "requests": ("2.33", "credentials and temporary files that others can read"),
    "scikit-learn": ("1.5", "training data kept in a vectoriser"),
    "pyarrow": ("14.0.1", "code that is run from a file"),
    "pytest": ("9.1", "a temporary folder that others can foresee"),
}


def expected() -> dict[str, Requirement]:
    """Requirements of medseg and of its extras, by canonical name."""
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = [options["options"]["install_requires"], *options["options.extras_require"].values()]
    found = [Requirement(line) for text in texts for line in text.splitlines() if line.strip()]
    return {canonicalize_name(each.name): each for each in found}


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    return {
        canonicalize_name(name): Version(version) for name, _, version in (x.partition("==") for x in lines)
    }


def test_no_pin_is_of_a_build_that_only_some_machine_has() -> None:
    """A local label, `+cpu`, is in no ordinary index; without it such a build still satisfies the pin."""
    assert {name: str(version) for name, version in pins().items() if version.local} == {}


@pytest.mark.parametrize("name", sorted(expected()))
def test_each_requirement_is_pinned_within_its_bounds(name: str) -> None:
    assert name in pins()
    assert expected()[name].specifier.contains(pins()[name])


def test_a_requirement_of_several_extras_has_one_bound() -> None:
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg", encoding="utf-8")
    texts = [options["options"]["install_requires"], *options["options.extras_require"].values()]
    lines = {line.strip() for text in texts for line in text.splitlines() if line.strip()}
    assert len(lines) == len(expected())


@pytest.mark.parametrize("name", MENDED)
def test_bounds_leave_known_holes_out(name: str) -> None:
    mended, hole = MENDED[name]
    lowest = min(
        Version(each.version) for each in expected()[name].specifier if each.operator in {">=", "=="}
    )
    assert lowest >= Version(mended), hole


@pytest.mark.slow
def test_what_is_imported_is_declared() -> None:
    """Not left to another package's requirements, which may drop it."""
    met = set()
    for path in (ROOT / "medseg").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                met |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                met.add((node.module or "").partition(".")[0])
    places = packages_distributions()
    lacking = {
        name
        for name in met - set(sys.stdlib_module_names) - {"medseg"}
        if not {canonicalize_name(each) for each in places.get(name, [])} & expected().keys()
    }
    assert lacking == set()


@pytest.mark.slow
def test_the_pins_are_to_be_had_together_from_an_ordinary_index(tmp_path: Path) -> None:
    """As on a machine without wheels and settings of its own.

    A current pip asks for the metadata alone, so that nothing large is downloaded: seconds on a good connection.
    """
    own = {"PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_CONSTRAINT", "PIP_REQUIRE_VIRTUALENV", "PYTHONPATH"}
    plain = {name: value for name, value in os.environ.items() if name not in own}
    plain |= {"PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}

    def pip(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pip", *words],
            cwd=tmp_path,
            env={**plain, **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )

    current = str(tmp_path / "pip")
    fetched = pip("install", "-q", "--retries", "0", "--timeout", "10", "--target", current, "pip>=25")
    if fetched.returncode:
        pytest.skip(f"the package index cannot be reached: {fetched.stderr.splitlines()[-1:]}")
    asked = [str(requirement) for requirement in expected().values()]
    done = pip(
        *("install", "-q", "--dry-run", "--ignore-installed", "--only-binary", ":all:"),
        *("--use-feature", "fast-deps", "-c", str(ROOT / "constraints.txt"), *asked),
        PYTHONPATH=current,
    )
    assert done.returncode == 0, done.stderr
