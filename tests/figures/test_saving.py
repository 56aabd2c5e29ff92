from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from medseg import figures
from medseg.figures.saving import save_figure


def figure():
    drawn = Figure(figsize=(2, 1))
    drawn.subplots().plot([0, 1], [1, 0], label="line")
    return drawn


def test_a_picture_is_written_in_a_folder_that_is_made(tmp_path):
    path = save_figure(figure(), tmp_path / "new" / "curves.png")
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert int.from_bytes(content[16:20], "big") == 220
    assert [file.name for file in path.parent.iterdir()] == ["curves.png"]


def test_the_same_figure_gives_the_same_bytes_and_names_no_software(tmp_path):
    first = save_figure(figure(), tmp_path / "a.png").read_bytes()
    assert first == save_figure(figure(), tmp_path / "b.png").read_bytes()
    assert b"tEXt" not in first
    assert b"tIME" not in first


def test_a_failure_leaves_the_older_picture(tmp_path):
    path = save_figure(figure(), tmp_path / "a.png")
    before = path.read_bytes()
    broken = figure()
    broken.axes[0].set_title(r"$\nosuchcommand$")
    with pytest.raises(ValueError, match="nosuchcommand"):
        save_figure(broken, path)
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.slow
def test_figures_are_made_without_pyplot():
    names = [
        each.name for each in pkgutil.walk_packages(figures.__path__, "medseg.figures.") if not each.ispkg
    ]
    assert len(names) > 15
    code = "; ".join(f"import {name}" for name in names)
    code += "; import sys; assert 'matplotlib.pyplot' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
