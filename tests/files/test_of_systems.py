"""What systems leave beside the files of the user is no data."""

from __future__ import annotations

import pytest

from medseg.files.of_systems import is_of_system


@pytest.mark.parametrize(
    "name",
    ["Thumbs.db", "THUMBS.DB", "desktop.ini", "Desktop.ini", ".DS_Store", "._a.nii.gz", "__MACOSX", "@eaDir"],
)
def test_what_systems_leave_is_known_by_its_name(name: str) -> None:
    assert is_of_system(name)


@pytest.mark.parametrize("name", ["thumbs.png", "a.db", ".hidden", "image.nii.gz", "desktop.ini.nii"])
def test_other_files_are_the_users(name: str) -> None:
    assert not is_of_system(name)
