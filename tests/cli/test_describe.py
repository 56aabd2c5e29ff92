"""What `pipeline describe` and the commands on data say and draw of pictures."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.testing.pictures import write_emps, write_lgg, write_nuclei, write_picture

SMALL = ("slices.size=[32,32]", "network.channels=[4,8]", "network.strides=[2]", "network.num_res_units=1")


def medseg(*words: object, sets: tuple[str, ...] = (), columns: int = 100) -> Any:
    settings = [part for each in sets for part in ("--set", each)]
    return CliRunner().invoke(app, [*map(str, words), *settings], env={"COLUMNS": str(columns)})


def numbers(text: str) -> int:
    return int(text.replace(",", ""))


def looks_drawn(path: Path) -> bool:
    with Image.open(path) as image:
        pixels = np.array(image.convert("RGB"))
    return min(pixels.shape[:2]) > 100 and pixels.std() > 5


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five pictures of three articles, one of another size; never change them."""
    folder = write_emps(tmp_path_factory.mktemp("described"), cases=5, size=(36, 52))
    for part in ("images", "segmaps"):
        path = folder / part / "emps05.png"
        with Image.open(path) as image:
            write_picture(path, np.array(image)[:30])
    return folder


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_the_columns_of_the_table_add_up_and_the_picture_is_named(columns: int, workspace: Path) -> None:
    result = medseg("pipeline", "describe", "emps", "-o", "n.png", sets=SMALL, columns=columns)

    assert result.exit_code == 0, result.output
    assert "…" not in result.stdout
    total, trainable = (
        numbers(n) for n in re.search(r"([\d,]+) parameters, ([\d,]+) of them", result.stdout).groups()
    )
    cells = re.findall(
        r" (?:\d+(?: x \d+)*|-) +([\d,]+|-) +(?:[\d.,]+ [GM]iB|-)\s*$", result.stdout, re.MULTILINE
    )
    assert len(cells) > 5
    assert sum(numbers(cell) for cell in cells if cell != "-") == total == trainable
    assert "1 x 32 x 32" in result.stdout
    assert "Drawn to n.png" in result.stdout
    assert re.search(
        r"Training takes about [\d.,]+ [GM]iB with batches of \d+", " ".join(result.stdout.split())
    )
    assert looks_drawn(workspace / "n.png")


@pytest.mark.slow
def test_the_originals_are_described_with_their_numbers(workspace: Path) -> None:
    said = medseg(
        *("pipeline", "describe", "emps"),
        sets=("slices.size=[128,128]", "network={_target_: medseg.learning.networks.EncoderDecoder}"),
    )

    assert said.exit_code == 0, said.output
    assert "664,961 parameters, 664,961 of them trainable" in said.stdout
    assert "147,584" in said.stdout
    assert "128 x 32 x 32" in said.stdout
    assert looks_drawn(workspace / "emps_network.png")


@pytest.mark.parametrize("words", [("nothing",), ("emps", "--set", "network.strides=[2,2,2]")])
def test_what_cannot_be_described_ends_with_exit_code_2(words: tuple[str, ...], workspace: Path) -> None:
    result = medseg("pipeline", "describe", *words)

    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert "Traceback" not in result.output
    assert not list(workspace.glob("*.png"))


def test_describe_explains_itself() -> None:
    result = medseg("pipeline", "describe", "--help")

    assert result.exit_code == 0
    assert "layer by layer" in result.stdout


@pytest.mark.slow
def test_data_check_tells_sizes_labels_and_groups_of_pictures(data: Path, workspace: Path) -> None:
    result = medseg("data", "check", "emps", "--data", data, "--jobs", 1)

    assert result.exit_code == 0, result.output
    assert re.search(r"\b4\b.*36 x 52", result.stdout)
    assert re.search(r"\b1\b.*30 x 52", result.stdout)
    assert "rows x columns" in result.stdout
    assert "pixels" in result.stdout
    assert "5 cases of 3 groups; 5 without faults; 5 read now." in result.stdout
    assert "No faults." in result.stdout
    for word in ("spacing", "mm", "voxel", "patient", "GENERATED"):
        assert word not in result.stdout
    total = 0
    for path in (data / "segmaps").iterdir():
        with Image.open(path) as image:
            total += int((np.array(image) > 0).sum())
    (line,) = [line for line in result.stdout.splitlines() if "foreground" in line]
    assert f"{total:,}" in line
    assert "0 read now" in medseg("data", "check", "emps", "--data", data, "--jobs", 1).stdout


@pytest.mark.parametrize("name", ["emps", "nuclei", "lgg"])
def test_data_show_draws_pictures_with_their_truth(name: str, tmp_path: Path, workspace: Path) -> None:
    write: Any = {
        "emps": lambda: write_emps(tmp_path / "in", cases=3, size=(36, 52)),
        "nuclei": lambda: write_nuclei(tmp_path / "in", cases=3, size=(36, 52), stained=2),
        "lgg": lambda: write_lgg(tmp_path / "in", patients=2, slices=3, size=(36, 52)),
    }[name]
    folder = write()
    result = medseg("data", "show", name, "--data", folder, "--jobs", 1, "-o", "shown.png")

    assert result.exit_code == 0, result.output
    assert "Wrote shown.png" in result.stdout
    assert looks_drawn(workspace / "shown.png")
    wrong = medseg("data", "show", name, "--data", folder, "--jobs", 1, "-o", "one.png", "--case", "nobody")
    assert wrong.exit_code == 2
    assert "no case 'nobody'" in wrong.stderr
    assert not (workspace / "one.png").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fit", "slices"),
    # tiles of 32 x 32: two columns on 52, two rows on 36 (four pictures), one row on 30 (the fifth)
    [("resize", 5), ("pad", 5), ("tile", 4 * 4 + 2)],
)
def test_a_dry_run_tells_slices_and_the_store_then_holds_them(
    fit: str, slices: int, data: Path, workspace: Path
) -> None:
    sets = (
        "slices.size=[32,32]",
        f"slices.fit={fit}",
        "slices.overlap=0.25",
        "split.val=0.34",
        "split.test=0.34",
    )
    words = ("data", "prepare", "emps", "--data", data, "--jobs", 1)
    told, made, again = (
        medseg(*words, "--dry-run", sets=sets),
        medseg(*words, sets=sets),
        medseg(*words, "--dry-run", sets=sets),
    )

    assert told.exit_code == made.exit_code == again.exit_code == 0, told.output + made.output + again.output
    found = re.search(r"5 cases, 0 of them prepared already; (?:at most )?([\d,]+) slices", told.stdout)
    assert found, told.stdout
    rows = re.findall(r"(?:train|val|test)\W+(\d+)\W+([\d,]+)\W", made.stdout)
    assert sum(int(cases) for cases, _ in rows) == 5
    assert sum(numbers(count) for _, count in rows) == numbers(found[1])
    assert numbers(found[1]) == slices
    assert "5 cases, 5 of them prepared already" in again.stdout
