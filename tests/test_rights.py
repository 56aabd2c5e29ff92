"""Who may read what is written: the umask says it, and of data that identify people nobody else."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from medseg.datasets.case import Case
from medseg.datasets.checks.cache import Memory
from medseg.datasets.checks.case_facts import CaseFacts
from medseg.datasets.manifest.manifest import Manifest
from medseg.places import private_folder, written_whole

pytestmark = pytest.mark.skipif(os.name != "posix", reason="rights of another kind")
MANIFESTS = Path(__file__).parents[1] / "data_manifests"


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path):
    return stat.S_IMODE(path.stat().st_mode)


def closed(path):
    path.chmod(0o600)


def test_a_file_is_as_open_as_the_umask_says_whatever_wrote_it(tmp_path, umask):
    with written_whole(tmp_path / "a") as target:
        target.write_text("x")
        closed(target)

    assert rights(tmp_path / "a") == 0o666 & ~umask


def test_a_folder_is_as_open_with_all_that_it_holds(tmp_path, umask):
    with written_whole(tmp_path / "a") as target:
        (target / "b").mkdir(parents=True)
        for path in (target / "x", target / "b" / "y"):
            path.write_text("x")
            closed(path)
        (target / "b").chmod(0o700)

    assert {rights(tmp_path / name) for name in ("a", "a/b")} == {0o777 & ~umask}
    assert {rights(tmp_path / name) for name in ("a/x", "a/b/y")} == {0o666 & ~umask}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_a_private_folder_is_open_to_nobody_else_even_if_it_was(tmp_path, umask):
    (tmp_path / "old").mkdir(mode=0o755)

    for name in ("old", "new/new"):
        assert rights(private_folder(tmp_path / name)) == 0o700


@pytest.mark.parametrize(("ids", "others"), [("identifying", 0), ("pseudonyms", 0o055)])
def test_remembered_checks_of_identifying_data_are_closed_to_others(tmp_path, ids, others):
    told = Manifest.from_yaml(MANIFESTS / "brats2019.yaml")
    manifest = told.model_copy(update={"ids": ids})
    (tmp_path / "t1.nii").touch()
    case = Case("p", "p", {"t1": tmp_path / "t1.nii"})
    memory = Memory.of(tmp_path / "checked", manifest, ["t1"])
    memory.keep(case, memory.stamp(case), CaseFacts("p", "p"))

    assert rights(tmp_path / "checked") & 0o077 == others
    assert memory.recall(case, memory.stamp(case)) is not None
