"""Bad images with classes through the command line: what, where, what to do; exit code 2; nobody is named."""

from __future__ import annotations

import csv
import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import RunFolder, State, all_runs
from medseg.testing.dicoms import write_dicom
from medseg.testing.labelled import write_class_folders, write_labelled_table
from medseg.testing.pictures import write_nuclei, write_picture
from medseg.tracking.mlflow.address import default_uri
from medseg.tracking.mlflow.store import open_store

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

Change = Callable[[Path], object]

SURNAME = "Mustermann"

CNN = "{_target_: medseg.learning.networks.TutorialCNN, conv_blocks: 1, feature_maps: 2, dense: 4}"
FIT = (
    "fit: {_target_: medseg.steps.Fit, epochs: 1, pictures_every: 0, optimiser: {_target_: torch.optim.Adam}}"
)
SCORE = "evaluate: {_target_: medseg.steps.EvaluateClasses, role: test}"
TINY = (
    "slices.size=[24,32]",
    f"network={CNN}",
    f"steps={{{FIT}}}",
    "loading.batch_size=8",
    "split.val=0.25",
    "split.test=0.25",
    "split.stratify=class",
)
FOLDERS = ("manifest=image_folders",)
TABLE = ("manifest=image_table",)


def medseg(*words: object) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "200"})


def run(data: Path, *words: object, sets: tuple[str, ...] = (), manifest: tuple[str, ...] = FOLDERS) -> Any:
    settings = [part for each in (*TINY, *manifest, *sets) for part in ("--set", each)]
    return medseg(
        "pipeline", "run", "radiology_cnn", "--device", "cpu", "--jobs", 1, "--data", data, *words, *settings
    )


def check(data: Path, *words: object, manifest: tuple[str, ...] = FOLDERS) -> Any:
    settings = [part for each in manifest for part in ("--set", each)]
    return medseg("data", "check", "radiology_cnn", "--jobs", 1, "--data", data, *words, *settings)


def refused(result: Any, *words: str) -> list[str]:
    """The lines of the faults; each is said once, and nothing names a file or a patient."""
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert "defect of medseg" not in result.output
    assert SURNAME.lower() not in result.output.lower(), result.output
    for word in words:
        assert word in result.stderr, result.stderr
    lines = [line.removeprefix("  - ") for line in result.stderr.splitlines() if line.startswith("  - ")]
    for line in lines:
        assert result.stderr.count(line) == 1, result.stderr
        assert ". " in line
        assert line.endswith(".")
    return lines


def nothing_is_left(workspace: Path) -> None:
    assert not (workspace / "medseg-runs").exists()


def ended() -> tuple[RunFolder, State]:
    ((folder, state),) = all_runs()
    assert state.status == "FINISHED"
    return folder, state


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures of each of two classes, named after a patient; never change them."""
    folder = write_class_folders(tmp_path_factory.mktemp("written") / SURNAME)
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f"{SURNAME} {path.name}"))
    return folder


@pytest.fixture
def data(tmp_path: Path, written: Path) -> Path:
    """A copy of the pictures that a test may spoil."""
    return Path(shutil.copytree(written, tmp_path / SURNAME))


def first(data: Path, label: str = "left") -> Path:
    return min((data / label).iterdir())


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def patient(path: Path, picture: np.ndarray) -> None:
    """A DICOM file of the one patient whose name its own is."""
    write_dicom(path, picture, PatientID=f"{SURNAME} {path.parent.name} {path.stem}")


def dicoms(folder: Path, roles: tuple[str, ...] = (), suffix: str = ".dcm", cases: int = 4) -> Path:
    return write_class_folders(folder / SURNAME, cases=cases, roles=roles, suffix=suffix, write=patient)


def with_roles(folder: Path, classes: tuple[str, ...] = ("left", "right"), cases: int = 4) -> Path:
    return write_class_folders(folder / SURNAME, classes, cases, ("Train", "Test"))


# --- classes that cannot be learned ---------------------------------------------------------------------------------


CLASSES: dict[str, tuple[Change, tuple[str, ...]]] = {
    "one class": (
        lambda data: shutil.rmtree(data / "right"),
        ("one class only, 'left'", "at least two", "--data"),
    ),
    "an empty class folder": (
        lambda data: (data / "Nothing").mkdir(),
        (
            "the class folder 'Nothing' holds no picture",
            "take the folder out",
            "go on all the same: --skip-bad",
        ),
    ),
    "no class at all": (
        lambda data: [path.rename(data / f"{path.parent.name}{path.name}") for path in data.rglob("*.png")],
        ("8 pictures lie directly in the data set's folder", "no folder tells a class"),
    ),
    "no picture": (
        lambda data: [shutil.rmtree(path) for path in list(data.iterdir())],
        ("no picture was found: 0 files were seen", "CLASS/NAME.png"),
    ),
    "a folder that is not there": (shutil.rmtree, ("the folder is not there", "--data")),
    "roles below classes": (
        lambda data: [shutil.copytree(data / "left", data / "right" / role) for role in ("Train", "Test")],
        ("folders of roles lie within 'right'", "Train/<class>"),
    ),
    "a class that is called as a role": (
        lambda data: (data / "right").rename(data / "train"),
        ("'left' with pictures lies beside 'train'", "Train/train"),
    ),
    "names that scores cannot tell apart": (
        lambda data: [(data / old).rename(data / new) for old, new in (("left", "a(1)"), ("right", "a[1]"))],
        ("['a(1)', 'a[1]'] cannot be distinguished", "Rename the folders"),
    ),
    "spaces around a name": (
        lambda data: (data / "left").rename(data / " left"),
        ("the class folder ' left' has spaces around its name", "Rename to 'left'"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CLASSES)
def test_folders_that_tell_no_classes_are_refused(kind: str, data: Path, workspace: Path) -> None:
    spoil, words = CLASSES[kind]
    spoil(data)
    assert refused(run(data), *words)
    nothing_is_left(workspace)
    assert refused(check(data), *(word for word in words if "--skip-bad" not in word))


@pytest.mark.slow
def test_an_empty_class_folder_of_a_role_is_named_with_it(tmp_path: Path, workspace: Path) -> None:
    data = with_roles(tmp_path)
    (data / "Train" / "Nothing").mkdir()
    assert len(refused(run(data), "the class folder 'Nothing' in 'Train' holds no picture")) == 1


def test_a_class_of_test_that_training_does_not_know_is_refused(tmp_path: Path, workspace: Path) -> None:
    data = with_roles(tmp_path)
    shutil.copytree(data / "Test" / "left", data / "Test" / "sideways")
    for result in (run(data), check(data)):
        (line,) = refused(
            result, "4 pictures in 'Test' says 'sideways'", "none of the classes ['left', 'right']"
        )
        assert "add the class to training" in line
    nothing_is_left(workspace)
    shutil.rmtree(data / "Train" / "left")
    refused(run(data), "one class only, 'right'", "says 'left', a class that training does not know")


def test_a_role_alone_or_too_few_patients_cannot_be_shared_out(tmp_path: Path, workspace: Path) -> None:
    alone = write_class_folders(tmp_path / "alone", roles=("Test",))
    refused(run(alone), "puts all cases into validation or test: nobody is left to train on")
    few = write_class_folders(tmp_path / "few", cases=1)
    refused(run(few), "too few patients to share out: 2 for ['test', 'train', 'val'], expected at least 3")
    of_one = write_class_folders(
        tmp_path / "one", suffix=".dcm", write=lambda path, array: write_dicom(path, array, PatientID=SURNAME)
    )
    refused(run(of_one, sets=("split.stratify=null",)), "too few patients to share out: 1 for")


def test_a_class_of_which_the_split_leaves_training_nothing_is_refused(data: Path, workspace: Path) -> None:
    ids = [str(path.relative_to(data).with_suffix("")) for path in sorted(data.rglob("*.png"))]
    roles = {
        "train": ids[:3],
        "val": ids[3:6],
        "test": ids[6:],
    }  # three and one of the left, then of the right
    (workspace / "split.json").write_text(json.dumps(roles), encoding="utf-8")
    result = run(data, sets=("split={file: split.json}",))
    refused(result, "gives training no picture of the class 'right'", "name some for train in the file")
    assert not (workspace / "medseg-runs").exists()
    with open_store(default_uri(None)) as client:
        assert [each.name for each in client.search_experiments()] == ["Default"]


# --- files that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM", "DICOM without ending"])
def test_a_torn_and_an_empty_file_are_named_by_place_alone(
    kind: str, tmp_path: Path, workspace: Path
) -> None:
    if kind.startswith("DICOM"):
        data = dicoms(tmp_path, suffix=".dcm" if kind == "DICOM" else "")
    else:
        data = write_class_folders(tmp_path / SURNAME, suffix=f".{kind.lower()}")
    half, nothing, *_ = sorted((data / "left").iterdir())
    torn(half)
    nothing.write_bytes(b"")
    for result in (run(data), check(data)):
        lines = refused(
            result, f"the {kind[:5].strip()} file ends early", "the file is empty (0 bytes)", "--show-paths"
        )
        assert len(lines) == 2
        assert all("case case-" in line and "in the listing, picture: " in line for line in lines)
    nothing_is_left(workspace)


def without_pixels(path: Path, of: str) -> None:
    write_dicom(path, None, SOPClassUID=of, PatientID=SURNAME)


def in_syntax(path: Path, uid: str) -> None:
    """The pixels of a file, said to be compressed in another way."""
    held = dcmread(path)
    held.file_meta.TransferSyntaxUID = uid
    held.PixelData = encapsulate([held.PixelData])
    held["PixelData"].VR = "OB"
    explicit = (
        {"implicit_vr": False, "little_endian": True} if held.file_meta.TransferSyntaxUID.is_private else {}
    )
    held.save_as(path, enforce_file_format=True, **explicit)


DICOMS: dict[str, tuple[Change, tuple[str, ...]]] = {
    "a report": (
        lambda path: without_pixels(path, "1.2.840.10008.5.1.4.1.1.88.11"),
        ("Basic Text SR Storage", "no pixels, expected an image", "leave the case out"),
    ),
    "contours": (
        lambda path: without_pixels(path, "1.2.840.10008.5.1.4.1.1.481.3"),
        ("RT Structure Set Storage", "no pixels, expected an image", "leave the case out"),
    ),
    "a film": (
        lambda path: in_syntax(path, "1.2.840.10008.1.2.4.102"),
        ("MPEG-4 AVC/H.264", "medseg does not decode", "Export it uncompressed"),
    ),
    "another compression than its header says": (
        lambda path: in_syntax(path, "1.2.840.10008.1.2.4.201"),
        ("are not High-Throughput JPEG 2000", "though its header says so"),
    ),
    "an unknown compression": (
        lambda path: in_syntax(path, "1.2.3.4.5"),
        ("in a transfer syntax that is not known", "medseg does not decode", "Export it uncompressed"),
    ),
    "no DICOM inside": (lambda path: path.write_text(SURNAME * 40), ("does not begin as DICOM does",)),
}


@pytest.mark.parametrize("kind", DICOMS)
def test_a_dicom_file_that_is_no_image_is_refused_for_one_reason(
    kind: str, tmp_path: Path, workspace: Path
) -> None:
    spoil, words = DICOMS[kind]
    data = dicoms(tmp_path)
    spoil(first(data))
    for result in (run(data), check(data)):
        (line,) = refused(result, *words)
        assert "case case-" in line
    nothing_is_left(workspace)


def test_real_contours_are_refused_as_such(
    tmp_path: Path, workspace: Path, real_data: Callable[[str], Path]
) -> None:
    data = dicoms(tmp_path)
    shutil.copyfile(real_data("dicom") / "awkward" / "single" / "rtstruct.dcm", first(data))
    assert len(refused(check(data), "RT Structure Set Storage", "no pixels")) == 1


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_skip_bad_goes_on_and_records_what_it_left_out(data: Path, workspace: Path) -> None:
    torn(first(data))
    (data / "Nothing").mkdir()
    result = run(data, "--skip-bad")

    assert result.exit_code == 0, result.output
    assert SURNAME not in result.output
    assert "without 1 case that has faults. 1 fault is of the data set itself" in result.stdout
    folder, state = ended()
    with (folder.path / "left_out.csv").open(encoding="utf-8", newline="") as file:
        rows = {row["case"]: row["fault"] for row in csv.DictReader(file)}
    (case,) = (name for name in rows if name)
    assert "ends early" in rows[case]
    assert rows[""] == "the class folder 'Nothing' holds no picture"
    assert case not in (folder.path / "split.json").read_text()
    assert json.loads((folder.path / "model" / "model.json").read_text())["task"]["classes"] == [
        "left",
        "right",
    ]
    with open_store(state.tracking_uri) as client:
        assert "left_out.csv" in {one.path for one in client.list_artifacts(state.tracked)}


# --- tables ---------------------------------------------------------------------------------------------------------


def listed(
    folder: Path, change: Callable[[list[dict[str, str]]], object], *, many: bool = False, cases: int = 12
) -> Path:
    """Pictures that `images.csv` lists, some rows of which were changed."""
    write_labelled_table(folder / SURNAME, cases=cases, many=many)
    with (folder / SURNAME / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = [dict(row, patient=f"{SURNAME} {row['patient']}", role="") for row in csv.DictReader(file)]
    change(rows)
    with (folder / SURNAME / "images.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / SURNAME


def spoilt(rows: list[dict[str, str]]) -> None:
    rows[2]["image"] = f"pictures/{SURNAME}.png"
    rows[5]["label"] = "  "


@pytest.mark.parametrize("kind", ["CSV", "Excel"])
def test_rows_without_file_or_class_are_told_by_number(kind: str, tmp_path: Path, workspace: Path) -> None:
    data = listed(tmp_path, spoilt)
    if kind == "Excel":
        openpyxl = pytest.importorskip("openpyxl")
        book = openpyxl.Workbook()
        with (data / "images.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                book.active.append(row)
        book.save(data / "images.xlsx")
        data = data / "images.xlsx"
    for result in (run(data, manifest=TABLE), check(data, manifest=TABLE)):
        lines = refused(result, "--show-paths")
        assert len(lines) == 2
        (missing,) = (line for line in lines if "row 4 " in line)
        (blank,) = (line for line in lines if "row 7 " in line)
        assert "names in column 'image' a file that is missing. Correct the row" in missing
        assert "has no class in column 'label'. Name the class there, or remove the row." in blank
    nothing_is_left(workspace)


def test_a_table_that_tells_no_classes_is_refused(tmp_path: Path, workspace: Path) -> None:
    def blank(rows: list[dict[str, str]]) -> None:
        for row in rows:
            row["label"] = ""

    def names(rows: list[dict[str, str]]) -> None:
        for number, row in enumerate(rows):
            row["label"] = f"{SURNAME} {number}"

    assert refused(run(listed(tmp_path / "1", blank), manifest=TABLE), "no row tells a class", "'layout'")
    refused(
        run(listed(tmp_path / "2", names, cases=24), manifest=TABLE),
        "24 classes of 24 pictures: these look like patient names",
        "'layout'",
    )
    data = listed(tmp_path / "3", list)
    (data / "broken.xlsx").write_bytes(b"no sheet")
    refused(run(data / "broken.xlsx", manifest=TABLE), "the file is no .xlsx", "save it as .xlsx")
    (data / "images.csv").unlink()
    refused(run(data, manifest=TABLE), "'images.csv', is not in the folder")
    nothing_is_left(workspace)


MANY = """
name: own
about: Pictures with any number of classes.
source: The user's.
licence: The user's.
citation: The user's.
obtain: Ask.
ids: identifying
channels: [picture]
pictures: {channels: grey}
image_labels: many
classes: [left, right]
layout: {csv: images.csv, image: image, group: patient, labels: LABELS}
"""


def test_a_table_of_several_classes_with_an_unknown_one_or_a_blank_is_refused(
    tmp_path: Path, workspace: Path
) -> None:
    (workspace / "data_manifests").mkdir()
    own = workspace / "data_manifests" / "own.yaml"
    how = ("manifest=own", "task={_target_: medseg.learning.ImageTags}", "split.column=null")

    def change(rows: list[dict[str, str]]) -> None:
        rows[1]["label"], rows[2]["label"], rows[3]["right"] = "left|up", "", "2"

    data = listed(tmp_path, change, many=True)
    own.write_text(MANY.replace("LABELS", "{column: label, separator: '|'}"), encoding="utf-8")
    lines = refused(run(data, manifest=how), "none of ['left', 'right']", "row 4 of the list has no class")
    assert [line for line in lines if "row 3 " in line]
    own.write_text(MANY.replace("LABELS", "[left, right]"), encoding="utf-8")
    (line,) = refused(run(data, manifest=how))
    assert "row 5 of the list holds neither 0 nor 1 in column 'right'" in line
    nothing_is_left(workspace)


# --- leaks ----------------------------------------------------------------------------------------------------------


def test_a_patient_in_two_folders_of_roles_is_refused_with_the_number(
    tmp_path: Path, workspace: Path
) -> None:
    data = dicoms(tmp_path, roles=("Train", "Test"), cases=3)
    for result in (run(data), run(data, "--skip-bad")):
        lines = refused(result, "puts 6 patients into more than one role", "leaks into the scores")
        assert len(lines) == 12
        assert "move the files into one of them" in lines[0]


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_copies_across_roles_are_refused_unless_they_are_allowed(tmp_path: Path, workspace: Path) -> None:
    data = with_roles(tmp_path)
    with Image.open(data / "Train" / "left" / "0001.png") as picture:
        noise = np.random.default_rng(0).integers(-2, 3, picture.size[::-1])
        write_picture(
            data / "Test" / "left" / "0001.png", np.clip(np.array(picture) + noise, 0, 255).astype("u1")
        )
    shutil.copyfile(data / "Train" / "right" / "0001.png", data / "Test" / "right" / "0002.png")
    checked = check(data)
    lines = refused(run(data), "2 pairs of pictures", "--allow-duplicates")

    assert checked.exit_code == 2, "what a run refuses, a check tells"
    assert checked.output.count("Put both into one role, or leave one out.") == 2
    assert "1 repeats an earlier one pixel by pixel, 1 pair looks alike" in checked.stdout
    assert len(lines) == 2
    assert all("Put both into one role, or leave one out." in line for line in lines)
    allowed = run(data, "--allow-duplicates")
    assert allowed.exit_code == 0, allowed.output
    assert "DUPLICATES ACROSS ROLES" in allowed.stdout
    assert SURNAME not in allowed.output


def test_one_picture_with_two_classes_is_refused_with_both(data: Path, workspace: Path) -> None:
    shutil.copyfile(first(data), data / "right" / "copy.png")
    lines = refused(run(data), "'left', where the other's is 'right'", "Find out which is right")
    assert len(lines) == 2
    nothing_is_left(workspace)


# --- names of classes -----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("figureless")
def test_classes_keep_their_order_and_names_everywhere(tmp_path: Path, workspace: Path) -> None:
    names = ("10_x", "2_y", "A", "b", unicodedata.normalize("NFD", "é"), "low", "high", "train")
    expected = ["10_x", "2_y", "A", "b", "high", "low", "train", "é"]
    data = write_class_folders(tmp_path / "data", names, 1, ("Train", "Val", "Test"), size=(48, 64))
    checked, result = check(data), run(data, "--allow-duplicates", sets=(f"steps={{{FIT}, {SCORE}}}",))

    def shown(text: str) -> list[str]:
        firsts = [line.strip(" │┃").split() for line in text.splitlines()]
        return [words[0] for words in firsts if words and words[0] in expected]

    assert checked.exit_code == result.exit_code == 0, checked.output + result.output
    assert shown(checked.stdout) == shown(result.stdout) == expected
    folder, state = ended()
    described = json.loads((folder.path / "model" / "model.json").read_text(encoding="utf-8"))
    assert described["task"]["classes"] == described["manifest"]["classes"] == expected
    with (folder.path / "scores" / "test_confusion.csv").open(encoding="utf-8", newline="") as file:
        head, *rows = csv.reader(file)
    assert head[1:] == [row[0] for row in rows] == expected
    with open_store(state.tracking_uri) as client:
        keys = set(client.get_run(state.tracked).data.metrics)
    keyed = [f"class {name}" if name in {"low", "high"} else name for name in expected]
    assert {f"test/recall/{name}" for name in keyed} <= keys
    asked = medseg("predict", "latest", data / "Test" / "A", "-o", "out")
    assert asked.exit_code == 0, asked.output
    with Path("out", "classes.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    assert [each.removeprefix("probability_") for each in columns if "probability_" in each] == expected


# --- weights and models ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, written: Path, monai_imported: None) -> Path:
    """An untrained model of the classes left and right; never change it."""
    from medseg.api import check_pipeline

    resolved = check_pipeline("radiology_cnn", set=[*TINY, *FOLDERS], data=written, jobs=1)
    return resolved.predictor.save(tmp_path_factory.mktemp("model") / "saved")


def starting(data: Path, weights: object, part: str = "all") -> Any:
    start = f"start: {{_target_: medseg.steps.StartFrom, weights: {json.dumps(str(weights))}, part: {part}}}"
    return run(data, sets=(f"steps={{{start}, {FIT}}}",))


def changed(weights: Path, to: Path, **tensors: torch.Tensor) -> Path:
    save_file({**load_file(weights), **tensors}, to)
    return to


WEIGHTS: dict[str, tuple[Callable[[Path, Path], object], tuple[str, ...]]] = {
    "another shape": (
        lambda model, here: changed(
            model / "weights.safetensors",
            here / f"{SURNAME}.safetensors",
            **{"dense.1.weight": torch.zeros(3, 3)},
        ),
        (
            "do not fit",
            "1 have another shape",
            "dense.1.weight (got (3, 3), expected (4, 384))",
            "part: features",
        ),
    ),
    "other layers": (
        lambda _, here: torch.save({"conv9.weight": torch.zeros(2)}, here / f"{SURNAME}.pt"),
        ("6 are missing in the file: features.0.0.weight", "of no layer of the network: conv9.weight"),
    ),
    "no file": (lambda *_: None, ("got no file", "A relative path counts from the working folder")),
    "a damaged file": (
        lambda model, here: (here / f"{SURNAME}.safetensors").write_bytes(
            (model / "weights.safetensors").read_bytes()[:300]
        ),
        ("the file is damaged", "Copy or download it anew"),
    ),
    "a file of objects": (
        lambda _, here: torch.save({"model": torch.nn.Linear(2, 2)}, here / f"{SURNAME}.pt"),
        ("holds Python objects, which are never run", "state_dict()"),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_that_do_not_fit_are_refused_with_the_layers(
    kind: str, data: Path, model: Path, tmp_path: Path, workspace: Path
) -> None:
    write, words = WEIGHTS[kind]
    write(model, tmp_path)
    given = next(iter(tmp_path.glob(f"{SURNAME}.*")), tmp_path / f"{SURNAME}.pt")
    refused(starting(data, given), "at steps.start: weights: the given weights", *words)
    nothing_is_left(workspace)


def test_weights_of_its_own_are_wanted_of_a_network_that_has_them(data: Path, workspace: Path) -> None:
    refused(
        starting(data, "own"), "at steps.start", "TutorialCNN brings no weights of its own", "weights: PATH"
    )
    nothing_is_left(workspace)


def edited(model: Path, to: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    folder = Path(shutil.copytree(model, to))
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    change(described)
    (folder / "model.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


def test_a_model_of_other_classes_than_the_data_is_refused(
    data: Path, model: Path, tmp_path: Path, workspace: Path
) -> None:
    others = write_class_folders(tmp_path / "others", ("left", "up"))
    met = "the model that the weights are of has the classes ['left', 'right'], the data have ['left', 'up']"
    refused(starting(others, model), "at steps.start: weights", met, "part: features")
    swapped = edited(model, tmp_path / "swapped", lambda held: held["task"].update(classes=["right", "left"]))
    refused(starting(data, swapped), "has the classes ['right', 'left'], the data have ['left', 'right']")
    (swapped / "model.json").write_text("{")
    refused(starting(data, swapped), "model.json beside the given weights is damaged")
    nothing_is_left(workspace)


EDITS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "classes of the task": (
        lambda held: held["task"].update(classes=["right", "left"]),
        "its task has the classes ('right', 'left'), its manifest ('left', 'right')",
    ),
    "both lists of classes": (
        lambda held: [held[part].update(classes=["a", "b", "c"]) for part in ("task", "manifest")],
        "its network gives (1, 2) where its task expects (1, 3)",
    ),
    "one class": (lambda held: held["task"].update(classes=["left"]), "two or more distinct classes"),
    "no classes": (lambda held: held["task"].pop("classes"), "ImageClasses needs 'classes'"),
    "label maps": (
        lambda held: held["manifest"].pop("image_labels"),
        "'layout' tells the class of each image",
    ),
    "several classes": (
        lambda held: held["task"].update(_target_="medseg.learning.ImageTags"),
        "its task learns classes of images, which its manifest does not tell",
    ),
}


@pytest.mark.parametrize("kind", EDITS)
def test_a_model_whose_description_was_changed_is_refused(
    kind: str, data: Path, model: Path, tmp_path: Path, workspace: Path
) -> None:
    change, met = EDITS[kind]
    asked = medseg("predict", edited(model, tmp_path / "edited", change), data, "-o", "out")
    refused(asked, "the saved model cannot be built", met, "take the folder anew from its run")
    assert "pydantic" not in asked.output
    assert not (workspace / "out").exists()


def test_a_model_with_weights_of_another_network_is_refused(
    data: Path, model: Path, tmp_path: Path, workspace: Path
) -> None:
    folder = edited(model, tmp_path / "edited", dict)
    weights = folder / "weights.safetensors"
    changed(model / weights.name, weights, **{"classifier.weight": torch.zeros(3, 3)})
    refused(medseg("predict", folder, data, "-o", "out"), "do not fit the network", "classifier.weight")


# --- asking a model -------------------------------------------------------------------------------------------------


def test_a_model_is_asked_for_what_it_can_give(
    data: Path, model: Path, tmp_path: Path, workspace: Path
) -> None:
    from medseg.api import check_pipeline

    asked = medseg("predict", model, data, "-o", "out", "--probabilities")
    refused(asked, "the probabilities are in classes.csv", "Leave out --probabilities")
    small = (
        "slices.size=[32,32]",
        "network.channels=[4,8]",
        "network.strides=[2]",
        "network.num_res_units=1",
    )
    masks = check_pipeline("nuclei", set=small).predictor.save(tmp_path / "masks")
    asked = medseg("predict", masks, data, "-o", "out", "--heat-maps")
    refused(asked, "the model gives label maps", "Leave out --heat-maps")
    assert not (workspace / "out").exists()


def test_pictures_that_cannot_be_read_do_not_keep_others_from_their_class(
    data: Path, model: Path, workspace: Path
) -> None:
    torn(first(data))
    first(data, "right").write_bytes(b"")
    lines = refused(medseg("predict", model, data, "-o", "out"), "2 faults; these files were not predicted")
    assert len(lines) == 2
    with Path("out", "classes.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


# --- definitions ----------------------------------------------------------------------------------------------------


UNET = (
    "{_target_: monai.networks.nets.UNet, spatial_dims: 2, in_channels: 1, out_channels: 2, channels: [4, 8], "
    "strides: [2]}"
)
DEFINITIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "too many outputs": (
        "network.out_channels=3",
        ("gives (2, 3)", "wants (2, 2)", "network.out_channels to 2"),
    ),
    "a network for masks": (
        f"network={UNET}",
        ("gives (2, 2, 24, 32)", "Take a network for classes of images"),
    ),
    "a task for masks": (
        "task={_target_: medseg.learning.ClassMasks, classes: [left, right]}",
        ("task is ClassMasks", "one class of each image: take medseg.learning.ImageClasses"),
    ),
    "a task for several classes": (
        "task={_target_: medseg.learning.ImageTags}",
        ("task is ImageTags", "take medseg.learning.ImageClasses"),
    ),
    "other classes": (
        "task.classes=[right, left]",
        ("['right', 'left']", "the same names in the same order"),
    ),
    "a setting of scores of volumes": (
        "steps.evaluate={_target_: medseg.steps.Evaluate, role: test, distances: false}",
        (
            "at steps.evaluate: medseg.steps.Evaluate takes no distances of ImageClasses on pictures",
            "top_k, beta",
        ),
    ),
    "augmentation of a label": (
        "loading.augment=[{_target_: monai.transforms.RandFlipd, keys: [image, label], prob: 0.5}]",
        ("loading.augment.0 (RandFlipd)", "Classes are no map: set `keys: [image]`."),
    ),
    "more blocks than there are": (
        "steps.fit.freeze={all_but_last_blocks: 40}",
        ("at steps.fit: freeze.all_but_last_blocks is 40", "TutorialCNN has 2 blocks before its head"),
    ),
    "weights from the web": (
        "network={_target_: monai.networks.nets.EfficientNetBN, model_name: efficientnet-b0, pretrained: true}",
        ("at network.pretrained", "medseg does not open", "`pretrained: false`"),
    ),
    "truth that is not there": ("slices.keep=foreground", ("slices.keep.contains", "['all', 'image']")),
}


@pytest.mark.parametrize("kind", DEFINITIONS)
def test_a_definition_that_does_not_suit_classes_is_refused(kind: str, data: Path, workspace: Path) -> None:
    change, words = DEFINITIONS[kind]
    refused(run(data, sets=(f"steps={{{FIT}, {SCORE}}}", change)), *words)
    nothing_is_left(workspace)


@pytest.mark.slow
def test_a_timm_model_that_is_not_known_is_refused_with_the_nearest(data: Path, workspace: Path) -> None:
    network = "network={_target_: medseg.learning.networks.TimmNetwork, name: ResNet49}"
    refused(run(data, sets=(network,)), "at network", "has no model 'ResNet49'", "Did you mean", "ResNet50")
    nothing_is_left(workspace)


@pytest.mark.slow
def test_classes_are_not_learned_from_label_maps(tmp_path: Path, workspace: Path) -> None:
    data = write_nuclei(tmp_path / "data", cases=3, size=(24, 32))
    task = "task={_target_: medseg.learning.ImageClasses, classes: [background, nucleus]}"
    result = medseg("pipeline", "run", "nuclei", "--device", "cpu", "--data", data, "--set", task)
    refused(
        result,
        "task is ImageClasses",
        "label maps: take medseg.learning.ClassMasks, BinaryMask or RegionMasks",
    )
    score = "steps.evaluate={_target_: medseg.steps.EvaluateClasses, role: test, beta: 2}"
    result = medseg("pipeline", "run", "nuclei", "--device", "cpu", "--data", data, "--set", score)
    refused(result, "at steps.evaluate", "takes no beta of BinaryMask on pictures", "Leave it out.")
    nothing_is_left(workspace)


# --- what is easily passed over -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_folders_of_patients_taken_for_classes_are_refused_and_nobody_is_named(
    tmp_path: Path, workspace: Path
) -> None:
    for roles in ((), ("Train", "Test")):
        people = tuple(f"{SURNAME}{number:02}_Hans" for number in range(10))
        data = write_class_folders(tmp_path / f"{len(roles)}", people, 2, roles)
        for result in (run(data), check(data), run(data, "--skip-bad"), check(data, "--show-paths")):
            lines = [
                line
                for line in refused(result, "10 classes of", "these look like patient names")
                if "10 classes" in line
            ]
            assert len(lines) == 1
            assert "<class>/<patient>/" in lines[0]
            assert "name them all under 'classes' of the manifest" in lines[0]
    nothing_is_left(workspace)


def test_images_of_kinds_that_are_not_read_are_not_passed_over(
    data: Path, model: Path, workspace: Path
) -> None:
    for path in (first(data), first(data, "right")):
        with Image.open(path) as picture:
            picture.save(path.with_suffix(".webp"))
        path.unlink()
    plain = min((data / "left").glob("*.png"))
    plain.rename(plain.with_suffix(".jfif"))
    (data / "left" / "notes.txt").write_text(SURNAME)
    for result in (run(data), check(data)):
        assert (
            len(refused(result, "2 images are of kinds that are not read: 2 .webp", "Save each as PNG")) == 1
        )
    nothing_is_left(workspace)
    refused(medseg("predict", model, data, "-o", "out"), "2 images are of kinds that are not read: 2 .webp")
    with Path("out", "classes.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 6


def test_a_folder_whose_name_reads_as_two_classes_is_refused(data: Path, workspace: Path) -> None:
    (data / "left").rename(data / "left; up")
    for result in (run(data), check(data)):
        refused(
            result, "['left; up'] cannot be the name of a class: '; ' stands between", "Rename the folders"
        )
    nothing_is_left(workspace)
