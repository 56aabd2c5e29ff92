"""What is installed is whole: every package, every pipeline, every manifest, from any folder."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

import medseg
from medseg.api import check_pipeline, load_pipeline, open_pipeline
from medseg.datasets.manifest.manifest import Manifest
from medseg.named import all_manifests, all_pipelines
from medseg.yaml import read_yaml

ROOT = Path(__file__).resolve().parents[1]
PIPELINES = sorted(path.stem for path in (ROOT / "pipelines").glob("*.yaml"))
MANIFEST_OF = {name: open_pipeline(name).manifest for name in PIPELINES}
OF_VOLUMES = [name for name, each in MANIFEST_OF.items() if each.truth == "masks" and not each.pictures]
MANIFESTS = sorted(path.stem for path in (ROOT / "data_manifests").glob("*.yaml"))


@pytest.fixture(scope="module")
def options() -> configparser.ConfigParser:
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg", encoding="utf-8")
    return found


def test_the_version_is_one(options: configparser.ConfigParser) -> None:
    assert options["metadata"]["version"] == medseg.__version__ == version("medseg")
    assert f"## {medseg.__version__}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


#: What is ours in a checkout, beside what tools and people leave in it.
FOLDERS = ("benchmarks", "data_manifests", "docs", "medseg", "pipelines", "tests")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source distribution, built from a copy of the checkout: building leaves folders behind."""
    pytest.importorskip("setuptools", reason="no setuptools here to build with", exc_type=ImportError)
    place = tmp_path_factory.mktemp("built")
    copy = place / "copy"
    copy.mkdir()
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in filter(Path.is_file, ROOT.iterdir()):
        if file.name not in {".git", ".gitignore"}:
            shutil.copy(file, copy)
    build("sdist", copy, place)
    (packed,) = place.glob("*.tar.gz")
    shutil.unpack_archive(packed, place, filter="data")
    return place / f"medseg-{medseg.__version__}"


def build(kind: str, source: Path, target: Path) -> None:
    program = f"import sys, setuptools.build_meta as b; print(b.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if "wheel" in done.stderr and done.returncode and "No module named" in done.stderr:
        pytest.skip("this setuptools cannot build wheels by itself")
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_source_distribution_holds_all_that_its_tests_need(source: Path) -> None:
    copied = source.parent / "copy"
    made = {"egg-info", "__pycache__"}
    files = {path.relative_to(copied) for path in copied.rglob("*") if path.is_file()}

    assert {path for path in files if not any(part.endswith(tuple(made)) for part in path.parts)} <= {
        path.relative_to(source) for path in source.rglob("*")
    }


@pytest.mark.slow
def test_a_wheel_holds_every_module_pipeline_and_manifest_and_finds_them(
    source: Path, tmp_path: Path
) -> None:
    build("wheel", source, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")

    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "medseg").rglob("*.py")}
    assert modules <= names
    assert {f"medseg/_pipelines/{name}.yaml" for name in PIPELINES} <= names
    assert {f"medseg/_manifests/{name}.yaml" for name in MANIFESTS} <= names
    assert "medseg/py.typed" in names
    templates = {path.relative_to(ROOT).as_posix() for path in (ROOT / "medseg").rglob("templates/*")}
    assert templates
    assert templates <= names
    about = (tmp_path / "site" / f"medseg-{medseg.__version__}.dist-info" / "METADATA").read_text(
        encoding="utf-8"
    )
    assert "License-Expression: Apache-2.0\n" in about
    assert "Description-Content-Type: text/markdown\n" in about
    assert "# medseg" in about
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", about), "a page of an index has no files beside it"
    program = (
        "import medseg.named as found; print(found.__file__)\n"
        "print(*sorted(f.name for f in found.all_pipelines()))\n"
        "print(*sorted(f.name for f in found.all_manifests()))\n"
        "from medseg.api.opening import open_pipeline\n"
        "for f in found.all_pipelines(): print(f.name, open_pipeline(f.name).manifest.name)"
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd=elsewhere,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert str(tmp_path / "site") in told[0]
    assert told[1].split() == PIPELINES
    assert told[2].split() == MANIFESTS
    assert dict(line.split() for line in told[3:]) == {
        name: read_yaml(ROOT / "pipelines" / f"{name}.yaml")["manifest"] for name in PIPELINES
    }


def test_shipped_files_are_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert [found.name for found in all_pipelines()] == PIPELINES
    assert [found.name for found in all_manifests()] == MANIFESTS


@pytest.mark.parametrize("name", PIPELINES)
def test_a_shipped_pipeline_is_called_as_its_file(name: str) -> None:
    assert load_pipeline(name).name == name


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_VOLUMES)
def test_each_shipped_pipeline_of_volumes_is_in_order(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, monai_imported: None
) -> None:
    """Those of pictures and of whole images are checked by test_picture_pipelines.py and test_class_pipelines.py."""
    monkeypatch.chdir(tmp_path)

    for sample in {False, load_pipeline(name).sample is not None}:
        assert check_pipeline(name, sample=sample).parameters > 100_000


@pytest.mark.parametrize("name", MANIFESTS)
def test_each_shipped_manifest_tells_source_licence_and_how_to_get_the_data(name: str) -> None:
    manifest = Manifest.from_yaml(ROOT / "data_manifests" / f"{name}.yaml")

    assert manifest.name == name
    for text in (manifest.about, manifest.source, manifest.licence, manifest.citation, manifest.obtain):
        assert len(text) > 20
