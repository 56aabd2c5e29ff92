"""Paths that must stay within a folder."""

from __future__ import annotations

import os

import pytest

from medseg.errors import RunError
from medseg.files.inside import inside, refuse_ways_out


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "file").touch()
    made = tmp_path / "run"
    (made / "figures").mkdir(parents=True)
    (made / "figures" / "a.png").touch()
    return made


@pytest.mark.parametrize("given", ["../secret/file", "/etc/passwd", "..", "figures/../../secret", "../run2"])
def test_a_path_that_leads_out_is_refused(given, folder):
    with pytest.raises(RunError, match="leads out of the folder run"):
        inside(folder, given)


def test_a_path_that_stays_is_given_whole(folder):
    assert inside(folder, "figures/../figures/a.png") == folder.resolve() / "figures" / "a.png"


@pytest.mark.parametrize("to", ["../../secret/file", "../../secret"])
def test_links_are_followed(to, folder):
    (folder / "figures" / "b").symlink_to(to)
    with pytest.raises(RunError, match="leads out"):
        inside(folder, "figures/b")
    with pytest.raises(RunError, match="leads out"):  # with all that lies below
        inside(folder, "figures")
    with pytest.raises(RunError, match="'figures/b' in the folder run is a link"):
        refuse_ways_out(folder)


def test_links_that_stay_within_and_a_folder_that_is_a_link_itself_are_fine(folder, tmp_path):
    (folder / "latest.png").symlink_to("figures/a.png")
    (tmp_path / "moved").symlink_to(folder)
    refuse_ways_out(folder)
    refuse_ways_out(tmp_path / "moved")

    assert inside(tmp_path / "moved", "figures/a.png") == folder.resolve() / "figures" / "a.png"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are of POSIX")
def test_what_is_neither_file_nor_folder_is_refused(folder):
    os.mkfifo(folder / "definition.yaml")  # whoever reads it waits for ever
    with pytest.raises(RunError, match=r"'definition\.yaml' in the folder run"):
        refuse_ways_out(folder)


def test_a_folder_into_which_nobody_can_look_is_refused(folder, close_folder):
    close_folder(folder / "figures")
    with pytest.raises(
        RunError, match=r"'figures' in the folder run cannot be looked into: Permission denied"
    ):
        refuse_ways_out(folder)
