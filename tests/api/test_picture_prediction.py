"""Segmenting pictures: masks, probabilities, overlays and areas on the grid of each input file."""

from __future__ import annotations

import csv
import shutil
import unicodedata
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner

from medseg.api import RunResult, predict
from medseg.cli.main import app
from medseg.datasets.finding.scan import scan
from medseg.errors import DataError
from medseg.learning.inference.predictor import Predictor
from medseg.testing.pictures import shapes, write_picture

CORNERS = np.ones((3, 3), dtype=int)  # pixels that touch at a corner belong together
SIZES = {"wide": (60, 100), "tall": (72, 31), "odd": (33, 41), "small": (20, 17)}


class Brightness(torch.nn.Module):
    """Calls bright what is brighter than a picture's mean, after its normalisation."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 4 * image


class Red(torch.nn.Module):
    """Calls bright what is redder than a picture's mean."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return 4 * image[:, :1]


@pytest.fixture
def bright(pictured: RunResult) -> Predictor:
    """A model whose right answers are known: foreground is what is brighter than the mean of the picture."""
    rule = pictured.predictor.preparation.rule.model_copy(update={"fit": "tile"})
    known = pictured.predictor
    return replace(
        known,
        network=Brightness(),
        task=known.task.at(0.5),
        preparation=replace(known.preparation, rule=rule),
    )


@pytest.fixture
def stretched(bright: Predictor) -> Predictor:
    """The same, for pictures stretched to the size of the network."""
    rule = bright.preparation.rule.model_copy(update={"fit": "resize"})
    return replace(bright, preparation=replace(bright.preparation, rule=rule))


@pytest.fixture
def model(pictured: RunResult) -> Path:
    return pictured.folder / "model"


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.array(image)


def table(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["case"]: row for row in csv.DictReader(file)}


def letter(size: tuple[int, int]) -> np.ndarray:
    """A bright L on dark ground: alike under no rotation, flip or swap of rows and columns."""
    height, width = size
    picture = np.full(size, 40, dtype=np.uint8)
    picture[height // 8 : height - height // 8, width // 8 : width // 3] = 200
    picture[height - height // 3 : height - height // 8, width // 8 : width - width // 5] = 200
    return picture


def letters(folder: Path) -> dict[str, np.ndarray]:
    drawn = {name: letter(size) for name, size in SIZES.items()}
    for name, picture in drawn.items():
        write_picture(folder / "images" / f"{name}.png", picture)
    return drawn


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.slow
def test_masks_have_the_size_of_the_input_and_rows_and_columns_in_place(
    bright: Predictor, tmp_path: Path
) -> None:
    drawn = letters(tmp_path / "in")
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert {each.case for each in found.cases} == set(SIZES)
    for name, picture in drawn.items():
        mask = read(tmp_path / "out" / f"{name}.png")
        assert mask.dtype == np.uint8
        assert mask.shape == SIZES[name]
        assert set(np.unique(mask)) == {0, 255}
        assert np.array_equal(mask == 255, picture > picture.mean())


@pytest.mark.slow
def test_masks_of_stretched_pictures_come_back_to_their_place(stretched: Predictor, tmp_path: Path) -> None:
    drawn = letters(tmp_path / "in")
    predict(stretched, [tmp_path / "in"], tmp_path / "out")

    for name, picture in drawn.items():
        mask = read(tmp_path / "out" / f"{name}.png") == 255
        truth = picture > picture.mean()
        assert mask.shape == SIZES[name]
        assert overlap(mask, truth) > 0.93
        for other in (mask[::-1], mask[:, ::-1], mask[::-1, ::-1]):
            assert overlap(other, truth) < 0.8


@pytest.mark.slow
def test_beside_a_mask_lie_its_overlay_and_on_wish_its_probabilities(
    pictured: RunResult, particles: Path, tmp_path: Path
) -> None:
    predict(pictured.predictor, [particles], tmp_path / "without")
    predict(pictured.predictor, [particles], tmp_path / "with", probabilities=True)
    names = {f"emps{number:02d}" for number in range(1, 9)}

    for out in ("without", "with"):
        within = {path.name for path in (tmp_path / out).iterdir()}
        assert within == {*names, *(f"{name}.png" for name in names), "areas.csv", "README.txt"}
        assert "Research use only" in (tmp_path / out / "README.txt").read_text()
    for name in names:
        size = read(particles / "images" / f"{name}.png").shape[:2]
        assert [path.name for path in (tmp_path / "without" / name).iterdir()] == ["overlay.png"]
        assert {path.name for path in (tmp_path / "with" / name).iterdir()} == {
            *("overlay.png", "probability_foreground.png")
        }
        overlay = read(tmp_path / "with" / name / "overlay.png")
        assert overlay.shape == (*size, 3)
        assert read(tmp_path / "with" / f"{name}.png").shape == size
        without = tmp_path / "without" / f"{name}.png"
        assert without.read_bytes() == (tmp_path / "with" / f"{name}.png").read_bytes()


@pytest.mark.slow
def test_probabilities_are_those_of_the_predictor_within_half_a_step_of_16_bits(
    pictured: RunResult, particles: Path, tmp_path: Path
) -> None:
    predictor = pictured.predictor
    predict(predictor, [particles], tmp_path, probabilities=True)

    for case in scan(predictor.manifest, particles).cases:
        told = predictor.predict(case, probabilities=True)
        assert told.probabilities is not None
        written = read(tmp_path / case.id / "probability_foreground.png")
        chance = told.probabilities[0, :, :, 0].T
        assert written.dtype == np.uint16
        assert np.ptp(chance) > 0.05  # a constant would prove little
        assert np.abs(written / 65535 - chance).max() <= 1 / 131070 + 1e-9
        mask = read(tmp_path / f"{case.id}.png")
        assert np.array_equal(mask == 255, chance >= np.float32(predictor.task.threshold))


def test_an_overlay_is_coloured_where_the_mask_is_and_grey_elsewhere(
    bright: Predictor, tmp_path: Path
) -> None:
    letters(tmp_path / "in")
    predict(bright, [tmp_path / "in"], tmp_path / "out")

    for name in SIZES:
        overlay = read(tmp_path / "out" / name / "overlay.png").astype(int)
        mask = read(tmp_path / "out" / f"{name}.png") == 255
        assert np.array_equal(np.ptp(overlay, axis=2) > 0, mask)


def test_areas_shares_and_objects_are_those_of_the_written_mask(bright: Predictor, tmp_path: Path) -> None:
    for number, size in enumerate(SIZES.values()):
        picture, _ = shapes(size, seed=number)
        write_picture(tmp_path / "in" / "images" / f"{number}.png", picture)
    touching = np.full((24, 40), 10, dtype=np.uint8)
    touching[2:8, 3:9] = touching[8:14, 9:15] = touching[18:20, 30:38] = 250
    write_picture(tmp_path / "in" / "images" / "touching.png", touching)
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    rows = table(tmp_path / "out" / "areas.csv")
    assert set(rows) == {*"0123", "touching"}
    for each in found.cases:
        mask = read(tmp_path / "out" / f"{each.case}.png") == 255
        row = rows[each.case]
        assert int(row["foreground_px"]) == each.measures["foreground_px"] == mask.sum()
        assert float(row["foreground_share"]) == pytest.approx(mask.mean(), abs=1e-6)
        assert int(row["foreground_objects"]) == ndimage.label(mask, CORNERS)[1]
    assert rows["touching"]["foreground_px"] == str(36 + 36 + 16)
    assert rows["touching"]["foreground_objects"] == "2"


def test_a_picture_without_foreground_has_an_empty_mask_and_no_objects(
    bright: Predictor, tmp_path: Path
) -> None:
    letters(tmp_path / "in")
    predict(replace(bright, task=bright.task.at(1.0)), [tmp_path / "in"], tmp_path / "out")

    for name, row in table(tmp_path / "out" / "areas.csv").items():
        assert not read(tmp_path / "out" / f"{name}.png").any()
        assert float(row["foreground_px"]) == float(row["foreground_objects"]) == 0


def test_one_picture_stored_in_many_ways_has_one_mask(bright: Predictor, tmp_path: Path) -> None:
    picture, _ = shapes((38, 57), seed=3)
    folder = tmp_path / "in" / "images"
    opaque = np.dstack([picture] * 3 + [np.full_like(picture, 255)])
    for name, mode in (("grey", "L"), ("rgb", "RGB"), ("rgba", "RGBA"), ("palette", "P")):
        write_picture(folder / f"{name}.png", picture, mode)
    write_picture(folder / "alpha.png", opaque)
    write_picture(folder / "tiff.tif", picture)
    write_picture(folder / "bmp.BMP", picture)
    np.save(folder / "array.npy", picture)
    write_picture(folder / "sixteen.png", picture.astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6  # shown after a quarter turn clockwise
    write_picture(folder / "turned.png", np.ascontiguousarray(np.rot90(picture)), exif=turned)
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert len(found.cases) == 10
    for each in found.cases:
        assert np.array_equal(read(each.path), np.where(picture > picture.mean(), 255, 0)), each.case


def test_one_bad_picture_does_not_keep_good_ones_from_being_segmented(
    model: Path, particles: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    shutil.copytree(particles / "images", folder / "images")
    torn, empty = folder / "images" / "emps03.png", folder / "images" / "emps06.png"
    torn.write_bytes(torn.read_bytes()[:200])
    empty.write_bytes(b"")
    said = CliRunner().invoke(app, ["predict", str(model), str(folder), "-o", str(tmp_path / "out")])

    assert said.exit_code == 2
    assert "Traceback" not in said.output
    assert "case emps03" in said.stderr
    assert "ends early" in said.stderr
    assert "case emps06" in said.stderr
    assert "0 bytes" in said.stderr
    written = {f"emps{number:02d}" for number in (1, 2, 4, 5, 7, 8)}
    assert {path.stem for path in (tmp_path / "out").glob("*.png")} == written
    assert set(table(tmp_path / "out" / "areas.csv")) == written


def test_only_bad_pictures_are_an_error_and_leave_nothing(model: Path, tmp_path: Path) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "images" / "a.png").write_text("no picture")
    with pytest.raises(DataError, match="no case could be predicted") as caught:
        predict(model, [tmp_path / "in"], tmp_path / "out")

    assert "text" in caught.value.faults[0].found
    assert not (tmp_path / "out").exists()


def test_good_pictures_end_with_exit_code_0_and_a_table(model: Path, particles: Path, tmp_path: Path) -> None:
    words = ["predict", str(model), str(particles), "-o", str(tmp_path), "--probabilities"]
    said = CliRunner().invoke(app, words, env={"COLUMNS": "100"})

    assert said.exit_code == 0, said.output
    assert "Areas (pixels) and objects" in said.stdout
    assert "Wrote 8 masks and areas.csv" in said.stdout
    assert "Research use only" in said.stdout
    for row in table(tmp_path / "areas.csv").values():
        (line,) = [line for line in said.stdout.splitlines() if line.strip().startswith(row["case"])]
        assert row["foreground_px"] in line.split()


@pytest.mark.parametrize("where", ["images", "photographs", "."])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_single_file_is_segmented_wherever_it_lies(
    where: str, suffix: str, bright: Predictor, tmp_path: Path
) -> None:
    path = write_picture(tmp_path / "in" / where / f"one{suffix}", letter((30, 50)))
    write_picture(path.with_name(f"other{suffix}"), letter((50, 30)))
    found = predict(bright, [path], tmp_path / "out")

    assert [each.case for each in found.cases] == ["one"]
    assert np.array_equal(read(tmp_path / "out" / "one.png") > 0, letter((30, 50)) > 100)


def test_folders_of_one_folder_an_image_are_segmented_whole_in_part_or_by_file(
    bright: Predictor, tmp_path: Path
) -> None:
    from medseg.api.opening import open_pipeline
    from medseg.testing.pictures import write_nuclei

    manifest = open_pipeline("nuclei").manifest
    first = replace(bright, manifest=manifest, profile=None)
    nuclei = replace(
        first,
        preparation=replace(first.preparation, channels=manifest.channels, files=manifest.files()),
        network=Red(),
    )
    root = write_nuclei(tmp_path / "in", cases=2, size=(30, 44))
    one = root / "stage1_train" / "nucleus02"
    for place, count in (
        (root, 2),
        (root / "stage1_train", 2),
        (one, 1),
        (one / "images" / "nucleus02.png", 1),
    ):
        found = predict(nuclei, [place], tmp_path / "out")

        assert [each.case for each in found.cases] == ["nucleus01", "nucleus02"][-count:]
        assert not found.faults
    red = read(one / "images" / "nucleus02.png")[..., 0]
    assert np.array_equal(read(tmp_path / "out" / "nucleus02.png") > 0, red > red.mean())


def test_a_mask_is_segmented_only_if_it_is_given_by_itself(
    bright: Predictor, particles: Path, tmp_path: Path
) -> None:
    found = predict(bright, [particles / "segmaps" / "emps01.png"], tmp_path / "out")
    assert [each.case for each in found.cases] == ["emps01"]
    whole = predict(bright, [particles], tmp_path / "all")
    assert len(whole.cases) == len(list((particles / "images").iterdir()))


def test_masks_beside_the_pictures_are_not_read(bright: Predictor, tmp_path: Path) -> None:
    write_picture(tmp_path / "in" / "images" / "a.png", letter((30, 50)))
    (tmp_path / "in" / "segmaps").mkdir()
    (tmp_path / "in" / "segmaps" / "a.png").write_bytes(b"torn")
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert [each.case for each in found.cases] == ["a"]
    assert not found.faults


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_with_spaces_and_accents_are_kept(form: str, bright: Predictor, tmp_path: Path) -> None:
    name = unicodedata.normalize(form, "Prøve é 1")
    write_picture(tmp_path / "in" / "images" / f"{name}.png", letter((30, 50)))
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert [each.path.exists() for each in found.cases] == [True]
    assert found.cases[0].path.stem == found.cases[0].case
    assert table(tmp_path / "out" / "areas.csv")[found.cases[0].case]["foreground_objects"] == "1"


def test_two_files_of_one_name_are_not_written_over_each_other(bright: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "in" / "images"
    write_picture(folder / "a.png", letter((30, 50)))
    write_picture(folder / "a.tif", letter((50, 30)))
    write_picture(folder / "b.png", letter((30, 50)))
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert [each.case for each in found.cases] == ["b"]
    assert {fault.case for fault in found.faults} == {"a"}


def test_a_bomb_of_a_picture_is_refused_without_being_unpacked(
    bright: Predictor, tmp_path: Path, huge_png: bytes
) -> None:
    write_picture(tmp_path / "in" / "images" / "good.png", letter((30, 50)))
    (tmp_path / "in" / "images" / "bomb.png").write_bytes(huge_png)
    found = predict(bright, [tmp_path / "in"], tmp_path / "out")

    assert [each.case for each in found.cases] == ["good"]
    assert [fault.case for fault in found.faults] == ["bomb"]
    assert "50000 x 50000" in found.faults[0].found


@pytest.fixture
def huge_png() -> bytes:
    """A few bytes whose header says 50000 x 50000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        sealed = kind + content
        return struct.pack(">I", len(content)) + sealed + struct.pack(">I", zlib.crc32(sealed))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(200_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def served(pictured: RunResult) -> Mapping[str, Any]:
    """The model as MLflow keeps it, loaded by MLflow."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        from medseg.tracking.mlflow.store import open_store

        with open_store(pictured.tracking_uri) as client:
            experiment = client.get_run(pictured.run_id).info.experiment_id
            (logged,) = client.search_logged_models([experiment])
        import mlflow.pyfunc

        return {"model": mlflow.pyfunc.load_model(logged.artifact_location.removeprefix("file://"))}


def test_the_logged_model_has_one_map_and_gives_the_numbers_of_the_predictor(
    served: Mapping[str, Any], pictured: RunResult, particles: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model, predictor = served["model"], pictured.predictor
    case = scan(predictor.manifest, particles).cases[4]
    prepared = predictor.preparation.apply(predictor.read(case))
    slices = np.ascontiguousarray(prepared.image, dtype=np.float32)

    (channel,), (mask,) = predictor.channels, predictor.task.maps
    assert [(spec.name, spec.shape) for spec in model.metadata.signature.inputs] == [(channel, (-1, -1, -1))]
    assert [(spec.name, spec.shape) for spec in model.metadata.signature.outputs] == [(mask, (-1, -1, -1))]
    given = model.predict({channel: slices[:, 0]})[mask][:, None]
    assert given.shape == (1, 1, 32, 32)
    assert given.dtype == np.float32
    assert np.array_equal(given, predictor.probabilities(slices))
    written = predictor.predict(case, probabilities=True).probabilities
    whole = prepared.restore(given.swapaxes(0, 1), nearest=False, outside=predictor.task.outside)
    assert np.abs(whole - written).max() < 1e-6
