"""Bad pictures through the command line: what, where, what to do; exit code 2; before anything is learned."""

from __future__ import annotations

import csv
import io
import json
import shutil
import sqlite3
import struct
import tracemalloc
import unicodedata
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import RunFolder, State, all_runs
from medseg.places import cache_folder
from medseg.testing.pictures import shapes, write_emps, write_nuclei, write_pairs, write_picture
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

Change = Callable[[Path], None]

TINY = (
    "slices.size=[32,32]",
    "network.channels=[4,8]",
    "network.strides=[2]",
    "network.num_res_units=1",
    "loading.batch_size=4",
    "loading.augment=[]",
    "split.val=0.25",
    "split.test=0.25",
    "steps.fit.epochs=1",
    "steps.fit.validate_every=1",
)
TABLE = ("manifest=picture_table", "channels=[picture]")
PAIRS = ("manifest=picture_pairs", "channels=[picture]")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of four articles; never change them."""
    return write_emps(tmp_path_factory.mktemp("written"), cases=8, size=(36, 52))


@pytest.fixture
def data(tmp_path: Path, written: Path) -> Path:
    """A copy of the pictures that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / "data"))


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def run(data: Path, *words: object, sets: tuple[str, ...] = (), name: str = "emps") -> Any:
    settings = [part for each in (*TINY, *sets) for part in ("--set", each)]
    return medseg("pipeline", "run", name, "--device", "cpu", "--jobs", 1, "--data", data, *words, *settings)


def check(data: Path, *words: object, sets: tuple[str, ...] = (), name: str = "emps") -> Any:
    settings = [part for each in sets for part in ("--set", each)]
    return medseg("data", "check", name, "--jobs", 1, "--data", data, *words, *settings)


def nothing_is_left(workspace: Path) -> None:
    """No run, no prepared slices and no MLflow run of a command that was refused."""
    assert list(all_runs()) == []
    assert not (workspace / "medseg-runs").exists()
    assert not (cache_folder() / "stores").exists()
    with closing(sqlite3.connect(workspace / "mlflow.db")) as database:
        assert database.execute("SELECT count(*) FROM runs").fetchone() == (0,)


def refused(result: Any, *words: str) -> list[str]:
    """The lines of the faults, each of which says what was met, and then what to do."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "defect of medseg" not in result.output
    lines = [line for line in result.stderr.splitlines() if line.startswith("  - ")]
    assert lines
    assert all(line.count(". ") >= 1 for line in lines)
    for word in words:
        assert word in result.stderr, result.stderr
    return lines


def image(data: Path) -> Path:
    return data / "images" / "emps03.png"


def mask(data: Path) -> Path:
    return data / "segmaps" / "emps03.png"


def stored(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.array(picture)


def huge_png() -> bytes:
    """A file of some hundred bytes whose header says 50000 x 50000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        sealed = kind + content
        return struct.pack(">I", len(content)) + sealed + struct.pack(">I", zlib.crc32(sealed))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(200_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def coloured(data: Path) -> None:
    colours = np.zeros((36, 52, 3), dtype=np.uint8)
    colours[5:12, 6:20] = 255, 0, 0
    colours[20:30, 30:44] = 0, 0, 255
    write_picture(mask(data), colours)


def of_two_pictures(data: Path) -> None:
    """Two pages, of which nobody can tell the right one."""
    pages = [Image.fromarray(stored(image(data))) for _ in range(2)]
    image(data).unlink()
    pages[0].save(data / "images" / "emps03.tif", save_all=True, append_images=pages[1:])


def broken_numbers(data: Path) -> None:
    instances = stored(mask(data)) * 0.5
    mask(data).unlink()
    np.save(data / "segmaps" / "emps03.npy", instances.astype(np.float32))


def negative(data: Path) -> None:
    instances = stored(mask(data)).astype(np.int32)
    mask(data).unlink()
    np.save(data / "segmaps" / "emps03.npy", np.where(instances == 1, -1, instances))


def lossy_mask(data: Path) -> None:
    instances = (stored(mask(data)) * 60).astype(np.uint8)
    mask(data).unlink()
    write_picture(data / "segmaps" / "emps03.jpg", instances, quality=60)


FAULTS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "an image without mask": (lambda data: mask(data).unlink(), ("mask", "missing", "segmaps/{case}")),
    "a mask without image": (lambda data: image(data).unlink(), ("micrograph", "missing", "images/{case}")),
    "a mask of another size": (
        lambda data: write_picture(mask(data), stored(mask(data))[:-3]) and None,
        ("mask", "36", "33", "52"),
    ),
    "a mask with rows and columns swapped": (
        lambda data: write_picture(mask(data), stored(mask(data)).T) and None,
        ("mask", "36", "52"),
    ),
    "a colour mask": (coloured, ("mask", "colour mask")),
    "a truncated image": (lambda data: torn(image(data)), ("micrograph", "ends early")),
    "a truncated mask": (lambda data: torn(mask(data)), ("mask", "ends early")),
    "an image of 0 bytes": (lambda data: image(data).write_bytes(b"") and None, ("micrograph", "0 bytes")),
    "a mask of 0 bytes": (lambda data: mask(data).write_bytes(b"") and None, ("mask", "0 bytes")),
    "a bomb": (
        lambda data: image(data).write_bytes(huge_png()) and None,
        ("micrograph", "50000 x 50000", "limit"),
    ),
    "a mask that is a bomb": (
        lambda data: mask(data).write_bytes(huge_png()) and None,
        ("mask", "50000 x 50000", "limit"),
    ),
    "a text": (lambda data: image(data).write_text("no picture") and None, ("micrograph", "text")),
    "several pictures in one file": (of_two_pictures, ("micrograph", "2 pictures in one file")),
    "a mask of broken numbers": (broken_numbers, ("mask", "whole")),
    "a mask in lossy JPEG": (lossy_mask, ("mask", "JPEG")),
    "an image of one colour": (
        lambda data: write_picture(image(data), np.full((36, 52), 7, np.uint8)) and None,
        ("micrograph", "empty"),
    ),
    "an image of one pixel": (
        lambda data: (
            [write_picture(path, np.full((1, 1), 9, np.uint8)) for path in (image(data), mask(data))] and None
        ),
        ("micrograph", "empty"),
    ),
    "negative numbers of objects": (negative, ("mask", "-1 in", "Number the objects from 1")),
    "an image twice": (
        lambda data: shutil.copyfile(image(data), image(data).with_suffix(".tif")) and None,
        ("micrograph", "2 files claim"),
    ),
}


OWN_REMEDY = {
    "a colour mask",
    "a truncated image",
    "a bomb",
    "a mask that is a bomb",
    "a text",
    "several pictures in one file",
    "a mask of broken numbers",
    "a mask in lossy JPEG",
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_named_with_case_part_and_remedy_before_training(
    kind: str, data: Path, workspace: Path
) -> None:
    spoil, words = FAULTS[kind]
    spoil(data)
    for line in refused(run(data), "case emps03", "--skip-bad", *words):
        assert "no. 3" in line
        assert "voxel" not in line  # a picture has pixels
        assert "affine" not in line
        assert "series" not in line
        assert kind not in OWN_REMEDY or "Unpack" not in line
        assert line.rstrip().endswith(".")
    nothing_is_left(workspace)
    refused(check(data), "case emps03", *words)


@pytest.mark.slow
def test_a_bomb_is_refused_without_the_memory_that_it_asks_for(data: Path, workspace: Path) -> None:
    check(data)  # all is imported
    image(data).write_bytes(huge_png())
    assert image(data).stat().st_size < 1000
    tracemalloc.start()
    try:
        refused(check(data), "50000 x 50000")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 50_000 * 50_000 / 10  # bytes: what the check itself takes, and none of the picture


@pytest.mark.slow
def test_the_same_picture_in_two_groups_is_refused_with_both_names(data: Path, workspace: Path) -> None:
    shutil.copyfile(image(data), data / "images" / "emps06.png")
    (line,) = refused(run(data), "case emps06", "case emps03", "another patient")

    assert "leave one of the two" in line
    nothing_is_left(workspace)
    refused(check(data), "case emps06", "case emps03")


@pytest.mark.slow
def test_the_same_colour_picture_in_two_groups_is_refused_once(tmp_path: Path, workspace: Path) -> None:
    data = write_nuclei(tmp_path / "data", cases=4, size=(32, 40))
    places = [data / "stage1_train" / name / "images" / f"{name}.png" for name in ("nucleus01", "nucleus04")]
    shutil.copyfile(*places)
    assert len(refused(check(data, name="nuclei"), "case nucleus04", "case nucleus01")) == 1


@pytest.mark.slow
def test_one_mask_of_a_nucleus_of_another_size_or_torn_is_named(tmp_path: Path, workspace: Path) -> None:
    data = write_nuclei(tmp_path / "data", cases=4, size=(32, 40))
    folders = [data / "stage1_train" / f"nucleus0{number}" / "masks" for number in (1, 2, 3)]
    first, second, _ = (sorted(folder.iterdir()) for folder in folders)
    write_picture(first[1], stored(first[1])[:, :-4])
    torn(second[0])
    shutil.rmtree(folders[2])
    lines = refused(check(data, name="nuclei"), "ends early", "missing")

    assert [line for line in lines if "case nucleus01" in line and "mask 2" in line]
    assert [line for line in lines if "case nucleus02" in line and "mask 1" in line]
    assert [line for line in lines if "case nucleus03" in line and "mask" in line]
    assert len(lines) == 3


def ended() -> tuple[RunFolder, State]:
    ((folder, state),) = all_runs()
    assert state.status == "FINISHED"
    return folder, state


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_skip_bad_goes_on_and_records_what_it_left_out_and_why(data: Path, workspace: Path) -> None:
    torn(image(data))
    (data / "segmaps" / "emps05.png").write_bytes(b"")
    result = run(data, "--skip-bad")

    assert result.exit_code == 0, result.output
    assert "without 2 cases" in result.stdout
    folder, state = ended()
    assert not {"emps03", "emps05"} & set((folder.path / "split.json").read_text().split('"'))
    with (folder.path / "left_out.csv").open(encoding="utf-8", newline="") as file:
        left = {row["case"]: row for row in csv.DictReader(file)}
    assert set(left) == {"emps03", "emps05"}
    assert "ends early" in left["emps03"]["fault"]
    assert left["emps05"]["part"] == "mask"
    with open_store(state.tracking_uri) as client:
        assert client.get_run(state.tracked).data.tags["data.left_out"] == "2"
        assert "left_out.csv" in {one.path for one in client.list_artifacts(state.tracked)}


@pytest.mark.slow
def test_a_png_named_jpg_is_fine_and_noted(data: Path, workspace: Path) -> None:
    image(data).rename(image(data).with_suffix(".jpg"))
    result = check(data)

    assert result.exit_code == 0, result.output
    assert "Note: 1 case (emps03): it is PNG inside though named .jpg." in result.stdout
    assert "No faults." in result.stdout


def test_masks_of_0_and_255_numbers_and_arrays_stand_side_by_side(data: Path, workspace: Path) -> None:
    instances = stored(mask(data))
    write_picture(mask(data), np.where(instances > 0, 255, 0).astype(np.uint8))
    other = data / "segmaps" / "emps04.png"
    np.save(other.with_suffix(".npy"), stored(other))
    other.unlink()
    result = check(data)

    assert result.exit_code == 0, result.output
    expected = sum(int((stored(path) > 0).sum()) for path in (data / "segmaps").glob("*.png"))
    expected += int((np.load(other.with_suffix(".npy")) > 0).sum())
    (line,) = [line for line in result.stdout.splitlines() if "foreground" in line]
    assert f"{expected:,}" in line


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_a_mask_without_foreground_is_legal_and_scored_by_the_rule(data: Path, workspace: Path) -> None:
    """A ratio 0/0 is no number and left out; what is defined counts."""
    files = {role: [] for role in ("train", "val", "test")} | {
        "train": ["emps01", "emps02", "emps07", "emps08"]
    }
    files |= {"val": ["emps05", "emps06"], "test": ["emps03", "emps04"]}
    (workspace / "split.json").write_text(json.dumps(files))
    for name in ("emps01", "emps03", "emps05"):
        path = data / "segmaps" / f"{name}.png"
        write_picture(path, np.zeros_like(stored(path)))
    checked = check(data)
    result = run(data, sets=("split={file: split.json}",))

    assert checked.exit_code == result.exit_code == 0, checked.output + result.output
    assert "3 cases (emps01, emps03, emps05) have a label map with a single value" in checked.stdout
    folder, _ = ended()
    with (folder.path / "scores" / "test.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["case"]: row for row in csv.DictReader(file)}
    assert set(rows) == {"emps03", "emps04"}
    empty = rows["emps03"]
    assert empty["truth_pixels"] == empty["truth_objects"] == "0"
    assert empty["recall"] == empty["auroc"] == ""
    predicted = int(empty["predicted_pixels"])
    assert empty["dice"] == ("" if predicted == 0 else "0.0")
    assert float(empty["specificity"]) == pytest.approx(1 - predicted / (36 * 52))


@pytest.mark.slow
def test_a_picture_in_one_colour_is_no_empty_one_and_is_noted(tmp_path: Path, workspace: Path) -> None:
    data = write_nuclei(tmp_path / "data", cases=4, size=(32, 40))
    for number in (1, 2):
        path = data / "stage1_train" / f"nucleus0{number}" / "images" / f"nucleus0{number}.png"
        blue = np.zeros((32, 40, 3), dtype=np.uint8)
        blue[..., 2] = stored(path)[..., 0]
        write_picture(path, blue if number == 1 else np.zeros_like(blue))
    result = check(data, name="nuclei")
    lines = refused(result, "case nucleus02", "empty")

    assert all("case nucleus02" in line for line in lines)
    assert "Note: 1 case (nucleus01): its planes ['red', 'green'] are empty." in result.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_names_with_spaces_and_accents_are_read_and_kept(data: Path, workspace: Path) -> None:
    name = unicodedata.normalize("NFD", "Prøve é (1) & so")
    for folder in ("images", "segmaps"):
        (data / folder / "emps03.png").rename(data / folder / f"{name}.png")
    named = data.rename(data.with_name("Daten für Übung 1"))
    result = run(named)

    assert result.exit_code == 0, result.output
    folder, _ = ended()
    cases = [
        case
        for role in ("train", "val", "test")
        for case in json.loads((folder.path / "split.json").read_text())[role]
    ]
    assert len(cases) == 8
    assert len([case for case in cases if unicodedata.normalize("NFC", case).startswith("Pr")]) == 1
    torn(named / "images" / f"{name}.png")
    refused(check(named), "Pr", "ends early")


def test_a_picture_of_one_row_is_read(data: Path, workspace: Path) -> None:
    for path in (image(data), mask(data)):
        write_picture(path, stored(path)[20:21])
    result = check(data)

    assert result.exit_code == 0, result.output
    assert "1 x 52" in result.stdout


@pytest.mark.slow
def test_all_numbers_of_objects_are_one_row_of_the_labels(data: Path, workspace: Path) -> None:
    result = check(data)

    (line,) = [line for line in result.stdout.splitlines() if "foreground" in line]
    assert "1 and above" in line
    assert "255" not in result.stdout


@pytest.mark.slow
def test_pictures_without_group_and_faults_of_the_data_set_are_said(data: Path, workspace: Path) -> None:
    (data / "metadata.csv").unlink()
    without = check(data)

    assert without.exit_code == 0, without.output
    assert "8 of 8 cases have no doi, since the table 'metadata.csv' is not there" in without.stdout
    (data / "metadata.csv").write_text("a,b\n1,2\n")
    image(data).write_bytes(b"")
    spoilt = check(data)
    assert "2 faults, 1 of them of the data set itself." in spoilt.stdout
    write_picture(image(data), shapes((36, 52), seed=99)[0])
    assert "\n1 fault of the data set itself." in check(data).stdout


@pytest.mark.slow
@pytest.mark.parametrize("ids", ["pseudonyms", "identifying"])
def test_pairs_by_order_are_listed_where_names_may_be_shown(
    ids: str, tmp_path: Path, workspace: Path
) -> None:
    data = tmp_path / "data"
    for number in range(1, 5):
        picture, instances = shapes((36, 52), seed=number)
        write_picture(data / "Images" / f"Jane{number}.png", picture)
        write_picture(
            data / "Segmentation" / f"m_{number:03}.png", np.where(instances > 0, 255, 0).astype(np.uint8)
        )
    shipped = Path(__file__).parents[2] / "data_manifests" / "picture_pairs.yaml"
    text = shipped.read_text(encoding="utf-8").replace("ids: identifying", f"ids: {ids}")
    own = workspace / "data_manifests" / "by_order.yaml"
    own.parent.mkdir()
    own.write_text(text.replace("layout:\n", "layout:\n  pair: order\n"), encoding="utf-8")
    sets = ("manifest=by_order", "channels=[picture]")
    result = check(data, sets=sets)
    lines = [f"Jane{number}.png  m_{number:03}.png" for number in range(1, 5)]

    assert result.exit_code == 0, result.output
    assert "4 images were paired with label maps by order" in result.stdout
    shown = [line.strip() for line in result.stdout.splitlines() if "Jane" in line]
    assert shown == (lines if ids == "pseudonyms" else [])
    if ids == "identifying":
        assert "--show-paths lists the pairs" in result.stdout
    all_shown = check(data, "--show-paths", sets=sets).stdout.splitlines()
    assert [line.strip() for line in all_shown if "Jane" in line] == lines


def listed(folder: Path, **changes: str) -> Path:
    """Eight pictures that `pictures.csv` lists, with roles."""
    rows = []
    roles = ["train"] * 4 + ["val"] * 2 + ["test"] * 2
    for number, role in enumerate(roles, start=1):
        picture, instances = shapes((36, 52), seed=number)
        write_picture(folder / "p" / f"{number}.png", picture)
        write_picture(folder / "m" / f"{number}.png", np.where(instances > 0, 255, 0).astype(np.uint8))
        rows.append(
            {"image": f"p/{number}.png", "mask": f"m/{number}.png", "patient": f"Jane{number}", "role": role}
        )
    rows[2] |= changes
    text = io.StringIO()
    writer = csv.DictWriter(text, ["image", "mask", "patient", "role"])
    writer.writeheader()
    writer.writerows(rows)
    (folder / "pictures.csv").write_text(text.getvalue(), encoding="utf-8")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("column", ["image", "mask"])
def test_a_picture_that_a_table_names_and_that_is_missing_is_told_by_its_row(
    column: str, tmp_path: Path, workspace: Path
) -> None:
    data = listed(tmp_path / "data", **{column: "p/gone_jane.png"})
    for result in (run(data, sets=TABLE), check(data, sets=TABLE)):
        (line,) = refused(result, "row 4", f"'{column}'", "missing", "case case-")
        assert "gone" not in result.output
        assert "Correct the row" in line
    nothing_is_left(workspace)
    assert "gone_jane.png" in check(data, "--show-paths", sets=TABLE).stderr.replace("\n", "")


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_a_table_with_roles_and_a_missing_picture_runs_with_skip_bad(tmp_path: Path, workspace: Path) -> None:
    data = listed(tmp_path / "data", image="p/gone.png")
    result = run(data, "--skip-bad", sets=(*TABLE, "split={column: role}"))

    assert result.exit_code == 0, result.output
    folder, _ = ended()
    split = json.loads((folder.path / "split.json").read_text())
    assert [len(split[role]) for role in ("train", "val", "test")] == [3, 2, 2]


SURNAME = "Mustermann_Erika"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Pairs of pictures whose names, and the name of whose folder, tell who a patient is."""
    folder = write_pairs(
        tmp_path / f"{SURNAME} at home",
        cases=4,
        roles=("Train", "Val", "Test"),
        size=(36, 52),
        masks="SegmentationMap",
    )
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f"{SURNAME} {path.name}"))
    return folder


def leaks(*folders: Path, but: tuple[Path, ...]) -> Iterator[str]:
    for folder in folders:
        for path in folder.rglob("*"):
            if path not in but and SURNAME.lower() in str(path.relative_to(folder)).lower():
                yield f"{path}: name"
            if path not in but and path.is_file() and SURNAME.lower().encode() in path.read_bytes().lower():
                yield f"{path}: content"


@pytest.mark.slow
def test_names_of_identifying_pictures_are_nowhere(
    private: Path, tmp_path: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MEDSEG_CONFIG", str(tmp_path / "config"))
    spoilt = Path(shutil.copytree(private, tmp_path / f"{SURNAME} spoilt"))
    for path in [
        *sorted((spoilt / "Train" / "Images").iterdir())[:1],
        *sorted((spoilt / "Val" / "Images").iterdir())[:1],
    ]:
        torn(path)
    next((spoilt / "Train" / "SegmentationMap").iterdir()).unlink()
    single = next((private / "Test" / "Images").iterdir())
    how = (*PAIRS, "split={column: role}")
    shown = [part for each in PAIRS for part in ("--set", each)]
    said = {
        "a check": (check(private, sets=PAIRS), 0),
        "a check of bad data": (check(spoilt, sets=PAIRS), 2),
        "a picture": (medseg("data", "show", "emps", *shown, "--data", private, "-o", "data.png"), 0),
        "a refused run": (run(spoilt, sets=how), 2),
        "a run without bad ones": (run(spoilt, "--skip-bad", sets=how), 0),
        "a prediction": (medseg("predict", "latest", private, "-o", "out", "--probabilities"), 0),
        "a prediction of bad ones": (medseg("predict", "latest", spoilt, "-o", "out2"), 2),
        "a prediction of one": (medseg("predict", "latest", single, "-o", "out3"), 0),
        "a prediction of a role": (medseg("predict", "latest", private / "Test", "-o", "out5"), 0),
        "a prediction of nothing": (medseg("predict", "latest", private / SURNAME, "-o", "out4"), 2),
    }

    for what, (result, code) in said.items():
        assert result.exit_code == code, f"{what}: {result.output}"
        assert SURNAME.lower() not in result.output.lower(), f"{what}: {result.output}"
    assert len(list(leaks(private, but=()))) >= 24  # what looks for leaks finds these
    for out, count in (("out", 12), ("out3", 1)):
        names = {path.name for path in (workspace / out).glob("*.png")}
        assert len(names) == count
        assert all(name.startswith("case-") for name in names)
    folder, _ = ended()
    split = json.loads((folder.path / "split.json").read_text())
    assert [len(split[role]) for role in ("train", "val", "test")] == [2, 3, 4]
    kept = (folder.path.resolve() / "run.json",)
    asked = medseg("predict", "latest", private / "Test", "-o", "out6", "--show-paths")
    for path in (private / "Test" / "Images").iterdir():  # to the terminal alone
        assert path.name in asked.stdout.replace("\n", "")
    assert not list(leaks(workspace, tmp_path / "cache", tmp_path / "config", but=kept))
