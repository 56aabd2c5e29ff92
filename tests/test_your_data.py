"""The page on data of one's own, followed word for word; and what is wrong on the way is told, with what mends it."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.testing.cases import brats_case, write_case
from medseg.testing.pictures import shapes, write_picture

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

PAGE = (Path(__file__).resolve().parents[1] / "docs" / "your-data.md").read_text(encoding="utf-8")
SECTIONS = {text.partition("\n")[0].strip(): text for text in PAGE.split("\n## ")[1:]}

#: The stored values of `brats_case` as those of the page: background, kidney, tumour.
KIDNEY = {0: 0, 2: 1, 4: 2, 1: 2}

#: What makes the page's definitions learn within a second: size, network, epochs.
TINY = ("slices.size=[32,32]", "network.channels=[4,8]", "network.strides=[2]", "steps.fit.epochs=1")


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def with_settings(settings: tuple[str, ...]) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def volumes(folder: Path, *, patients: int = 4, tumours: bool = True) -> Path:
    """Patients of two scanners, every other one with two visits, as the page's manifest of volumes wants them."""
    for number in range(1, patients + 1):
        images, stored = brats_case((24, 28, 8), number)
        mask = np.vectorize(KIDNEY.get)(stored).astype(np.int16)
        mask = mask if tumours else np.minimum(mask, 1)
        scanner = "siemens" if number % 2 else "philips"
        for visit in range(1, 2 + number % 2):
            case = folder / scanner / f"P{number:03d}_visit{visit}"
            write_case(case, {"t2": images["t2"] + visit}, mask, mask_name="mask")
    return folder


def pictures(folder: Path) -> Path:
    """Pictures below Train and Test, as the page's manifest of pictures wants them."""
    for number in range(1, 7):
        grey, instances = shapes((40, 48), number)
        home = folder / ("Train" if number > 2 else "Test")
        write_picture(home / "Images" / f"{number}.png", grey)
        write_picture(home / "Segmentation" / f"{number}.png", instances)
    return folder


def table(folder: Path) -> Path:
    """Pictures in folders without roles, and a table that lists them, two of each patient."""
    lines = ["image,mask,patient,role"]
    for number in range(6):
        grey, instances = shapes((40, 48), number)
        write_picture(folder / "Images" / f"{number}.png", grey)
        write_picture(folder / "Segmentation" / f"{number}.png", instances)
        lines.append(f"Images/{number}.png,Segmentation/{number}.png,p{number // 2},")
    (folder / "pictures.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture
def stranger(workspace: Path) -> Path:
    """A working folder with the files of the page, as they stand in it."""
    for block in re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        path = workspace / block.partition("\n")[0].removeprefix("# ")
        path.parent.mkdir(exist_ok=True)
        path.write_text(block, encoding="utf-8")
    return workspace


def commands(section: str) -> list[list[str]]:
    """Words of the commands of a section, without `medseg`."""
    blocks = re.findall(r"^```sh\n(.*?)^```", SECTIONS[section], re.MULTILINE | re.DOTALL)
    return [shlex.split(line)[1:] for block in blocks for line in block.splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "make", "case"),
    [
        ("Volumes", volumes, "siemens/P001_visit1"),
        ("Pictures", pictures, "Test/Images"),
        ("A table of paths", table, "Images"),
    ],
)
def test_who_follows_the_page_word_for_word_ends_with_a_model_that_answers(
    stranger: Path, section: str, make: Callable[[Path], Path], case: str
) -> None:
    """The one thing that is changed: networks, pictures and trainings are tiny."""
    data = make(stranger / "data")
    said = commands(section)
    runs = [words for words in said if words[:2] == ["pipeline", "run"]]
    assert len(said) >= 3
    assert len(runs) == 1
    printed = ""
    for words in said:
        tiny = with_settings((*TINY, "steps.fit.pictures_every=0")) if words in runs else []
        done = medseg(*(str(data) if word == "PATH" else word for word in words), *tiny)
        assert done.exit_code == 0, done.output
        printed += done.stdout
    (after,) = re.findall(r"^Predict: medseg (.*)$", printed, re.MULTILINE)
    asked = [{"INPUT": str(data / case), "OUT": "said"}.get(word, word) for word in shlex.split(after)]
    answer = medseg(*asked)
    assert answer.exit_code == 0, answer.output
    assert list((stranger / "said").glob("*.csv"))


def test_each_section_of_the_page_has_its_files_and_commands(stranger: Path) -> None:
    written = {path.relative_to(stranger).as_posix() for path in stranger.glob("*/*.yaml")}

    assert written == {
        *(f"data_manifests/{name}.yaml" for name in ("mine", "cells", "listed")),
        *(f"pipelines/{name}.yaml" for name in ("mine", "cells")),
    }
    assert all(commands(section) for section in ("Volumes", "Pictures", "A table of paths"))


@pytest.fixture(scope="session")
def kidneys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Volumes of several kinds; never change them."""
    place = tmp_path_factory.mktemp("kidneys")
    return {
        "all": volumes(place / "all"),
        "few": volumes(place / "few", patients=2),
        "without tumours": volumes(place / "calm", tumours=False),
    }


#: What a run refuses: of which data, with which settings, and a part of what it says.
REFUSED = {
    "a test part by a column that is not there": (
        "all",
        ("split.test={published_split: val}",),
        "split.test",
    ),
    "a value that nobody has": ("all", ("split.test={scanner: ge}",), "no case has"),
    "roles by a column that is not there": ("all", ("split={column: role}",), "split.column"),
    "roles by a column that means others": ("all", ("split={column: scanner}",), "mean no role"),
    "strata by a column that is not there": ("all", ("split.stratify=vendor",), "split.stratify"),
    "too few patients": ("few", (), "too few patients"),
    "too few patients of each stratum": ("few", ("split.stratify=scanner",), "too few patients"),
    "nobody to test": ("all", ("split.test=0",), "steps.evaluate needs patients"),
    "more channels than there are": ("all", ("network.in_channels=4",), "expected input"),
    "more classes than there are": ("all", ("network.out_channels=7",), "wants (2, 3, 32, 32)"),
    "slices that nobody has": ("without tumours", ("slices.keep=tumour",), "none of the"),
}


def remedies(said: str) -> list[tuple[str, ...]]:
    """What a message offers: settings that stand together are one remedy."""
    together = re.findall(r"(?:--set \S+ ?)+", said)
    found = [tuple(re.findall(r"--set (\S+?)[.;,]?(?=\s|$)", each)) for each in together]
    return found + [(f"{key}={value}",) for key, value in re.findall(r"Set (\S+) to (\d+)", said)]


@pytest.mark.slow
@pytest.mark.parametrize("what", REFUSED)
def test_the_checks_tell_what_a_run_refuses_and_each_remedy_mends_it(
    stranger: Path, kidneys: dict[str, Path], what: str
) -> None:
    which, wrong, told = REFUSED[what]
    data, settings = kidneys[which], (*TINY, *wrong)
    checked = medseg("data", "check", "mine", "--jobs", 1, "--data", data, *with_settings(settings))
    # What no slice fits, a run tells when all are prepared: `pipeline check` is asked instead.
    late = "slices.keep=tumour" in wrong
    words = ("check" if late else "run", "mine", "--jobs", 1, "--data", data, *with_settings(settings))
    ran = medseg("pipeline", *words)

    assert checked.exit_code == ran.exit_code == 2, checked.output
    said = ran.stderr.removeprefix("Error: ").strip().rstrip(".")
    assert told in said
    assert f"A run would be refused: {said}." in checked.stdout
    assert not (stranger / "medseg-runs").exists()
    offered = remedies(said)
    assert offered, said
    for remedy in offered:
        words = with_settings((*settings, *remedy))
        mended = medseg("data", "check", "mine", "--jobs", 1, "--data", data, *words)
        assert mended.exit_code == 0, (remedy, mended.output)


@pytest.mark.slow
def test_a_column_that_is_then_declared_in_the_manifest_leads_on(
    stranger: Path, kidneys: dict[str, Path]
) -> None:
    settings = with_settings((*TINY, "split.test={published_split: philips}"))
    command = ("data", "check", "mine", "--jobs", 1, "--data", kidneys["all"], *settings)
    refused = medseg(*command)
    manifest = stranger / "data_manifests" / "mine.yaml"
    manifest.write_text(manifest.read_text().replace("{scanner:", "{published_split:"))

    assert "'columns' reads it from the path" in refused.stdout
    assert refused.exit_code == 2
    assert medseg(*command).exit_code == 0


def test_a_check_tells_all_that_is_wrong_and_not_the_first_alone(
    stranger: Path, kidneys: dict[str, Path]
) -> None:
    settings = with_settings((*TINY, "network.in_channels=4", "split.stratify=vendor"))
    checked = medseg("data", "check", "mine", "--jobs", 1, "--data", kidneys["all"], *settings)

    assert checked.stdout.count("A run would be refused") == 2
    assert "No faults" in checked.stdout


@pytest.mark.slow
def test_a_transform_that_fails_on_the_data_is_told_before_a_run(
    stranger: Path, kidneys: dict[str, Path]
) -> None:
    wrong = "{_target_: monai.transforms.ScaleIntensityRanged, keys: [image], a_min: 0, a_max: 0, b_min: 0, b_max: 1}"
    settings = with_settings((*TINY, f"slices.transforms=[{wrong}]"))
    checked = medseg("data", "check", "mine", "--jobs", 1, "--data", kidneys["all"], *settings)
    ran = medseg("pipeline", "run", "mine", "--jobs", 1, "--data", kidneys["all"], *settings)

    assert ran.exit_code == checked.exit_code == 2
    assert "slices.transforms" in ran.stderr
    assert "slices.transforms" in checked.output


@pytest.mark.slow
def test_slices_that_are_cut_to_size_are_noted(stranger: Path, kidneys: dict[str, Path]) -> None:
    def noted(*settings: str) -> bool:
        words = with_settings((*TINY, *settings))
        checked = medseg("data", "check", "mine", "--jobs", 1, "--data", kidneys["all"], *words)
        assert checked.exit_code == 0
        return "what lies outside is never seen" in checked.stdout

    assert noted("slices.size=[16,16]")
    assert not noted("slices.size=[16,16]", "slices.fit=resize")
    assert not noted()


@pytest.mark.slow
def test_pipeline_check_without_data_says_that_it_saw_none(stranger: Path, kidneys: dict[str, Path]) -> None:
    alone = medseg("pipeline", "check", "mine", *with_settings(TINY))
    whole = medseg("pipeline", "check", "mine", "--jobs", 1, "--data", kidneys["all"], *with_settings(TINY))

    assert "No data were looked at" in alone.stdout
    assert "a run would begin" not in alone.stdout
    assert "a run would begin" in whole.stdout


@pytest.mark.slow
def test_what_pipeline_check_offers_for_faults_are_options_that_it_has(
    stranger: Path, kidneys: dict[str, Path], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(kidneys["all"], tmp_path / "spoilt"))
    (data / "siemens" / "P001_visit1" / "P001_visit1_t2.nii.gz").write_bytes(b"")
    command = ("pipeline", "check", "mine", "--jobs", 1, "--data", data, *with_settings(TINY))
    refused = medseg(*command)

    assert refused.exit_code == 2
    assert "--skip-bad" in refused.stderr
    assert "--show-paths" in refused.stderr
    assert "P001_visit1" in medseg(*command, "--show-paths").stderr
    assert medseg(*command, "--skip-bad").exit_code == 0
