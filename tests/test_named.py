"""Finding pipelines and manifests: which place wins, and what an unknown name is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from medseg import named
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DefinitionError
from medseg.named import Found, all_manifests, all_pipelines, find_manifest, find_pipeline


class World:
    """The places that are searched, all below one folder and empty at first."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.working = root / "working"
        self.working.mkdir()
        monkeypatch.chdir(self.working)
        monkeypatch.setenv("MEDSEG_CONFIG", str(root / "config"))
        monkeypatch.setenv("MEDSEG_PIPELINES", os.pathsep.join([str(root / "team"), "", str(root / "lab")]))
        monkeypatch.setenv("MEDSEG_MANIFESTS", str(root / "team"))
        (root / "site" / "zoo" / "recipes").mkdir(parents=True)
        metadata = root / "site" / "zoo-1.0.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: zoo\nVersion: 1.0\n", encoding="utf-8"
        )
        (metadata / "entry_points.txt").write_text(
            "[medseg.pipelines]\nzoo = zoo.recipes\n", encoding="utf-8"
        )
        (root / "site" / "zoo" / "__init__.py").touch()
        monkeypatch.syspath_prepend(str(root / "site"))
        for name in ("zoo", "wheel"):  # as another test left them
            monkeypatch.delitem(sys.modules, name, raising=False)
        module = root / "checkout" / "medseg" / "named.py"
        module.parent.mkdir(parents=True)
        (root / "checkout" / "pyproject.toml").write_text('packages = ["medseg"]\n', encoding="utf-8")
        monkeypatch.setattr(named, "__file__", str(module))
        monkeypatch.setattr(
            named,
            "PIPELINES",
            named.Kind("pipeline", "pipelines", "medseg.pipelines", "absent._x", "MEDSEG_PIPELINES", "steps"),
        )
        monkeypatch.setattr(
            named,
            "MANIFESTS",
            named.Kind("manifest", "data_manifests", "none", "absent._x", "MEDSEG_MANIFESTS", "layout"),
        )

    def write(self, place: str, text: str = "name: x\n") -> Path:
        path = self.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


PLACES = [
    ("working/pipelines/a.yaml", "pipelines of the working folder"),
    ("config/pipelines/a.yml", "your configuration"),
    ("team/a.yaml", "$MEDSEG_PIPELINES"),
    ("lab/a.yaml", "$MEDSEG_PIPELINES"),
    ("site/zoo/recipes/a.yaml", "installed with zoo"),
    ("checkout/pipelines/a.yaml", "installed with medseg"),
]


@pytest.mark.parametrize("first", range(len(PLACES)))
def test_the_first_place_in_the_order_wins_and_is_named(world: World, first: int) -> None:
    paths = [world.write(place) for place, _ in PLACES[first:]]

    assert find_pipeline("a") == Found("a", paths[0], PLACES[first][1])
    assert all_pipelines() == [find_pipeline("a")]


def test_a_path_is_taken_as_it_is(world: World) -> None:
    world.write("working/pipelines/a.yaml")
    for given in ("a.yaml", "./a.yaml", "sub/a.yml", str(world.root / "b.yaml")):
        path = world.write(str(world.root / given) if Path(given).is_absolute() else f"working/{given}")

        found = find_pipeline(given)

        assert (found.path.resolve(), found.origin) == (path, "the path given")


def test_a_path_that_is_absent_is_not_looked_up_as_a_name(world: World) -> None:
    world.write("working/pipelines/a.yaml")

    with pytest.raises(DefinitionError, match=r"no pipeline file at a\.yaml"):
        find_pipeline("a.yaml")


@pytest.mark.parametrize("name", ["../pipelines/a", "pipelines/a"])
def test_a_name_cannot_climb_out_of_the_folders(world: World, name: str) -> None:
    world.write("working/pipelines/a.yaml")

    with pytest.raises(DefinitionError, match="no pipeline file"):
        find_pipeline(name)


def test_an_unknown_name_lists_what_there_is_and_where(world: World) -> None:
    world.write("working/pipelines/brats2d.yaml")
    world.write("checkout/pipelines/acdc.yaml")
    world.write("checkout/pipelines/notes.txt")

    with pytest.raises(DefinitionError) as error:
        find_pipeline("brats2")

    message = str(error.value)
    assert "no pipeline 'brats2'. Did you mean 'brats2d'?" in message
    assert "brats2d (pipelines of the working folder)" in message
    assert "acdc (installed with medseg)" in message
    assert "notes" not in message
    assert f"{world.root / 'team'} (absent), $MEDSEG_PIPELINES" in message


def test_nothing_found_is_said(world: World) -> None:
    with pytest.raises(DefinitionError, match="There are:\n  none\nLooked in:"):
        find_manifest("a")


def test_a_folder_of_another_project_is_not_taken_for_a_checkout(world: World) -> None:
    world.write("checkout/pipelines/a.yaml")
    (world.root / "checkout" / "pyproject.toml").write_text('name = "another"\n', encoding="utf-8")

    assert all_pipelines() == []


def test_the_mapped_package_of_a_wheel_goes_before_the_checkout(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write("checkout/data_manifests/a.yaml")
    inside = world.write("site/wheel/_manifests/a.yaml")
    (world.root / "site" / "wheel" / "__init__.py").touch()
    kind = named.Kind("manifest", "data_manifests", "none", "wheel._manifests", "MEDSEG_MANIFESTS", "layout")
    monkeypatch.setattr(named, "MANIFESTS", kind)

    assert find_manifest("a") == Found("a", inside, "installed with medseg")


def test_a_manifest_beside_the_definition_goes_first(world: World) -> None:
    world.write("working/data_manifests/mine.yaml")
    definition = world.write("project/mine_definition.yaml")
    beside = world.write("project/mine.yaml")

    assert find_manifest("mine", definition) == Found("mine", beside, "beside the definition")

    sibling = world.write("data_manifests/mine.yaml")
    assert find_manifest("mine", definition).path == sibling
    assert find_manifest("mine").path == world.working / "data_manifests" / "mine.yaml"


DEFINITION, MANIFEST = "name: x\nsteps: {}\n", "name: x\n'layout' : {}\nabout: steps\n"


@pytest.mark.parametrize("folder", ["project", "pipelines", "_pipelines"])
def test_a_definition_is_never_taken_for_the_manifest_of_its_name(world: World, folder: str) -> None:
    installed = world.write("checkout/data_manifests/acdc.yaml", MANIFEST)
    definition = world.write(f"elsewhere/{folder}/acdc.yaml", DEFINITION)
    other = world.write(f"elsewhere/{folder}/study.yaml", DEFINITION)

    assert find_manifest("acdc", definition).path == installed
    assert find_manifest("acdc", other).path == installed
    assert [found.name for found in all_manifests(definition)] == ["acdc"]


def test_one_folder_may_hold_definitions_and_manifests(world: World) -> None:
    definition = world.write("team/acdc.yaml", DEFINITION)
    manifest = world.write("team/hearts.yaml", MANIFEST)
    unclear = world.write("team/odd.yaml", f"{DEFINITION}{MANIFEST}")

    assert {found.path for found in all_pipelines()} == {definition, unclear}
    assert {found.path for found in all_manifests()} == {manifest, unclear}
    with pytest.raises(DefinitionError, match="there is no pipeline 'hearts'"):
        find_pipeline("hearts")


def test_a_relative_path_in_a_definition_starts_at_the_definition(world: World) -> None:
    world.write("working/mine.yaml")
    definition = world.write("project/definition.yaml")
    beside = world.write("project/mine.yaml")

    assert find_manifest("./mine.yaml", definition).path == beside
    assert find_manifest("./mine.yaml").path.resolve() == world.working / "mine.yaml"


def test_a_checkout_finds_its_own_folder() -> None:
    root = Path(named.__file__).resolve().parents[1]

    assert any(folder.samefile(root / "pipelines") for folder, _ in named._folders(named.PIPELINES, None))


def test_a_script_reads_a_manifest_by_its_name_or_path_and_is_told_what_there_is(world: World) -> None:
    told = "name: {}\nabout: a\nsource: a\nlicence: a\ncitation: a\nobtain: a\nchannels: [t1]\nclasses: [a]\n"
    told += (
        'label_values: {{0: a}}\nlayout: {{images: "{{case}}_{{channel}}.nii", mask: "{{case}}_seg.nii"}}\n'
    )
    for place in ("checkout/data_manifests/mine", "working/data_manifests/mine", "working/other"):
        world.write(f"{place}.yaml").write_text(told.format(place.replace("/", "_")), encoding="utf-8")

    assert Manifest.named("mine").name == "working_data_manifests_mine"
    assert Manifest.named("other.yaml").name == "working_other"
    with pytest.raises(DefinitionError, match=r"no manifest 'min'. Did you mean 'mine'\?"):
        Manifest.named("min")
