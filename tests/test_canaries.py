"""Hundreds of identifiers in a study of DICOM: no byte that medseg writes, or prints, holds any of them.

`tests/test_privacy.py` does the same with volumes of NIfTI, and
`tests/datasets/deidentification/test_canaries.py` with what is passed on.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import all_runs
from medseg.testing.canaries import (
    Planter,
    write_planted_itk,
    write_planted_nifti,
    write_planted_picture,
    write_planted_sidecar,
    write_planted_studies,
    write_planted_table,
)
from medseg.testing.leaks import leaks, leaks_in
from medseg.yaml import to_yaml

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

#: Environment variable: whether further commands are tried, which take a minute.
WIDE = "MEDSEG_WIDE_CANARIES"

TEXTS = dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "Made up.")
SERIES = {
    "channels": ["flair"],
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
    "layout": {"series": {"flair": {"SeriesDescription": "flair"}}, "mask": {"structures": {"tumour": "*"}}},
}
VOLUMES = {**SERIES, "layout": {"images": "**/{case}/{case}_{channel}.*", "mask": "**/{case}/{case}_seg.*"}}
TABLE = {
    "channels": ["picture"],
    "pictures": {"channels": "grey"},
    "image_labels": "one",
    "classes": ["no", "yes"],
    "layout": {"csv": "list.csv", "image": "path", "label": "label", "group": "patient", "case": "id"},
}
MASKS = {
    "channels": ["flair"],
    "slices": {"axis": "axial", "size": [16, 16], "keep": {"contains": "foreground"}},
    "task": {"_target_": "medseg.learning.ClassMasks", "classes": ["background", "tumour"]},
    "network": {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    },
}
WHOLE = {
    "channels": ["picture"],
    "slices": {"size": [16, 16], "fit": "resize", "keep": "all"},
    "task": {"_target_": "medseg.learning.ImageClasses"},
    "network": {"_target_": "medseg.learning.networks.TutorialCNN", "feature_maps": 4, "dense": 8},
}
FIT = {
    "_target_": "medseg.steps.Fit",
    "epochs": 1,
    "optimiser": {"_target_": "torch.optim.AdamW", "lr": 0.01},
}


def declare(manifest: dict[str, Any], pipeline: dict[str, Any]) -> None:
    """A manifest whose ids are identifying, since it says nothing of them, and a pipeline, in this folder."""
    steps = {
        "fit": FIT,
        "evaluate": {"_target_": "medseg.steps.Evaluate", "role": "test"}
        | ({} if pipeline is WHOLE else {"distances": False}),
    }
    whole = {
        "about": "x",
        "seed": 1,
        "manifest": "hospital",
        "split": {"by": "group", "val": 0.25, "test": 0.25},
    }
    whole |= pipeline | {"loading": {"batch_size": 4}, "steps": steps}
    for folder, held in (("data_manifests", TEXTS | manifest), ("pipelines", whole)):
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "hospital.yaml").write_text(to_yaml({"name": "hospital"} | held))


@pytest.fixture
def places(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, ...]:
    """The folders in which anything may be written: none of them holds the data."""
    found = (workspace, *(tmp_path / name for name in ("cache", "config", "passing")))
    for name, place in zip(("CACHE", "CONFIG"), found[1:3], strict=True):
        monkeypatch.setenv(f"MEDSEG_{name}", str(place))
    found[3].mkdir()
    monkeypatch.setenv("TMPDIR", str(found[3]))
    monkeypatch.setattr("tempfile.tempdir", None)
    return found


class Said:
    """Runs commands, and remembers what they printed, warned of or logged that is none of what they were given."""

    def __init__(self, log: pytest.LogCaptureFixture) -> None:
        self.leaks: list[tuple[str, list[bytes]]] = []
        self._log = log

    def __call__(self, code: int, *words: object) -> str:
        self._log.clear()
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, f"{words}: {done.output}"
        logged = [record.getMessage() for record in self._log.records if record.levelno >= logging.WARNING]
        said = "".join([done.output, *(str(each.message) for each in warned), *logged]).replace("\n", "")
        for word in sorted(map(str, words), key=len, reverse=True):
            said = said.replace(word, "")
        if found := leaks_in(said.encode()):
            self.leaks.append((" ".join(map(str, words[:3])), found))
        return done.output


@pytest.mark.slow
def test_no_identifier_of_a_study_is_left_anywhere(
    places: tuple[Path, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    plant, medseg = Planter(), Said(caplog)
    with warnings.catch_warnings(action="ignore"):
        data = write_planted_studies(tmp_path / "data" / plant.text(), plant, 4, slices=3)
    assert len(plant.planted) > 1500
    assert len(leaks(tmp_path / "data")) > 20, "what looks for leaks finds them"
    declare(SERIES, MASKS)
    run = ("pipeline", "run", "hospital", "--device", "cpu", "--data", data)
    one = sorted(data.iterdir())[0]

    medseg(0, "data", "scan", data)
    medseg(0, "pipeline", "new", "drafted", "--data", data, "--minutes", "0")
    medseg(0, "data", "check", "hospital", "--data", data)
    medseg(0, "data", "prepare", "hospital", "--data", data)
    medseg(0, *run)
    medseg(
        0,
        "predict",
        "latest",
        one,
        "-o",
        "out",
        "--format",
        "nifti,seg",
        "--write-key-map",
        tmp_path / "names.csv",
    )
    medseg(0, "evaluate", "latest", "--data", data, "--allow-learned")
    medseg(0, "runs", "report", "latest", "-o", "report.html")
    medseg(0, "runs", "audit", "latest")
    medseg(0, "export", "latest", "-o", "model.onnx")
    if WIDE in os.environ:
        medseg(0, "data", "show", "hospital", "--data", data, "-o", "show.png")
        medseg(0, "data", "key-map", "hospital", tmp_path / "every.csv", "--data", data)
        medseg(0, "predict", "latest", data, "-o", "out1", "--format", "seg,seg-labelmap", "--probabilities")
        medseg(0, "pipeline", "folds", "hospital", "--folds", "2", "--data", data, "--device", "cpu")
        medseg(0, "runs", "reproduce", "latest")
        medseg(0, "runs", "servable", "latest", "-o", "servable")

    from medseg.steps.evaluate import Evaluate

    for error, code in ((KeyError(f"{data}/{plant.planted[7]}"), 1), (OSError(5, "worn out", str(one)), 2)):
        with monkeypatch.context() as patch:
            patch.setattr(Evaluate, "__call__", raising(error))
            medseg(code, *run)
    medseg(0, "pipeline", "resume")
    finished = [folder.path.name for folder, state in all_runs() if state.status == "FINISHED"]
    medseg(0, "runs", "compare", *finished[-2:], "--on-common")
    (tmp_path / "data" / "split.csv").write_text(f"{plant.planted[9]},train\n{plant.text()},val\n")
    medseg(2, *run, "--set", f"split={{file: {tmp_path / 'data' / 'split.csv'}}}")
    broken = next(path for path in sorted(one.rglob("*")) if path.is_file() and path.parent != one)
    broken.write_bytes(broken.read_bytes()[:5000])
    medseg(2, *run)
    medseg(2, "predict", "latest", data, "-o", "out2")
    medseg(2, "predict", "latest", data / "nobody", "-o", "out3")
    medseg(2, "deidentify", data, "passed_on")

    assert medseg.leaks == []
    # A DICOM segmentation says whose it is, as the standard has it; run.json holds the path of the data.
    by_design = [folder.path.resolve() / "run.json" for folder, _ in all_runs()]
    by_design += places[0].glob("out*/*.seg*.dcm")
    by_design += places[0].glob("medseg-folds/*/folds.json")
    assert leaks(*places, but=tuple(by_design)) == {}
    assert len(leaks(places[0])) > len(by_design) / 2


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


#: What may become of a table on its way, by the text of one that is right.
SPOILT: dict[str, Callable[[str], bytes]] = {
    "right": lambda text: text.encode(),
    "in UTF-16": lambda text: text.encode("utf-16"),
    "in Latin-1": lambda text: ("\u00e9" + text).encode("latin-1"),
    "with semicolons": lambda text: text.replace(",", ";").encode(),
    "without a first line": lambda text: text.partition("\n")[2].encode(),
    "with columns swapped": lambda text: text.replace("path,label", "label,path", 1).encode(),
    "with patients for classes": lambda text: text.replace("label,patient", "patient,label", 1).encode(),
    "with a case twice": lambda text: f"{text}{text.splitlines()[1]}\n".encode(),
    "with a patient for one class": lambda text: text.replace(
        ",no,", f",{text.split(',')[-1].strip()},", 1
    ).encode(),
    "with a quotation mark": lambda text: text.replace("\nK", '\n"K', 1).encode(),
    "with a short row": lambda text: f"{text}{text.split(',')[-1].strip()}\n".encode(),
    "with a long row": lambda text: f"{text.strip()},{text.split(',')[-1].strip()}\n".encode(),
}


@pytest.mark.slow
def test_no_cell_of_a_table_is_printed_or_kept(
    places: tuple[Path, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant, medseg = Planter(), Said(caplog)
    data = tmp_path / "data" / plant.text()
    names = [
        f"{plant.text()}/{plant.text()}{ending}" for ending in (".png", ".jpg", ".tif") for _ in range(4)
    ]
    for number, name in enumerate(names):
        array = np.random.default_rng(number).integers(0, 255, (16, 16)).astype(np.uint8)
        write_planted_picture(data / name, array, plant)
    rows = [[name, ("no", "yes")[n % 2], plant.text(), plant.text()] for n, name in enumerate(names)]
    right = write_planted_table(
        data / "list.csv", ("path", "label", "patient", "id"), rows, plant
    ).read_text()
    declare(TABLE, WHOLE)

    for spoilt in SPOILT.values():
        (data / "list.csv").write_bytes(spoilt(right))
        expected = 0 if spoilt(right) in {right.encode(), right.replace(",", ";").encode()} else 2
        for command in (("data", "check"), ("pipeline", "check")):
            medseg(expected, *command, "hospital", "--data", data)
        CliRunner().invoke(
            app, ["pipeline", "new", "drafted", "--data", str(data), "--minutes", "0", "--force"]
        )

    assert medseg.leaks == []
    assert leaks(*places) == {}


@pytest.mark.slow
def test_no_split_file_is_quoted(
    places: tuple[Path, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant, medseg = Planter(), Said(caplog)
    ids = [plant.text() for _ in range(4)]
    affine, volume = np.diag([1.0, 1, 3, 1]), np.zeros((16, 16, 3), np.int16)
    volume[4:9, 4:9] = 1
    for each in ids:
        volume[0, 0, 0] += 1  # an image of its own
        folder = tmp_path / "data" / each
        write_planted_nifti(folder / f"{each}_flair.nii.gz", volume, plant, affine)
        write_planted_nifti(folder / f"{each}_seg.nii.gz", volume.clip(0, 1), plant, affine)
        write_planted_sidecar(folder / f"{plant.text()}.json", plant)
    declare(VOLUMES, MASKS)
    whole = f"case,role\n{ids[0]},train\n{ids[1]},train\n{ids[2]},val\n{ids[3]},test\n"
    files = {
        "no_names.csv": whole.partition("\n")[2],
        "swapped.csv": whole.replace("case,role", "role,case"),
        "other_names.csv": whole.replace("case", plant.text()),
        "twice.csv": f"{whole}{ids[0]},val\n",
        "strange.csv": f"{whole}{plant.text()},val\n",
        "role.csv": whole.replace("val", plant.text()),
        "index.csv": f"train_or_test,file_name,slice\n{plant.text()},{ids[0]},{ids[1]}\n",
        "broken.json": f'{{"train": ["{ids[0]}',
        "keys.json": f'{{"{ids[0]}": "train"}}',
        "names.json": f'{{"train": ["{plant.text()}"]}}',
    }

    for name, text in files.items():
        (tmp_path / name).write_text(text)
        asked = ("hospital", "--data", tmp_path / "data", "--set", f"split={{file: {tmp_path / name}}}")
        medseg(2, "pipeline", "check", *asked)
    assert "Swap the names" in medseg(
        2, "pipeline", "check", *asked[:-1], f"split={{file: {tmp_path / 'swapped.csv'}}}"
    )

    assert medseg.leaks == []
    assert leaks(*places) == {}


@pytest.mark.slow
def test_no_header_of_an_itk_volume_is_printed_or_kept(
    places: tuple[Path, ...], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plant, medseg = Planter(), Said(caplog)
    volume = np.random.default_rng(1).normal(size=(16, 16, 3))
    for ending in (".mha", ".nrrd", ".mha", ".nrrd"):
        each, volume = plant.text(), volume + 1
        for name, array in (("flair", volume), ("seg", volume > volume.mean())):
            path = write_planted_itk(tmp_path / "data" / each / f"{each}_{name}{ending}", array, plant)
    declare(VOLUMES | {"format": "itk"}, MASKS)

    medseg(0, "data", "check", "hospital", "--data", tmp_path / "data")
    medseg(0, "data", "prepare", "hospital", "--data", tmp_path / "data")
    path.write_bytes(path.read_bytes().replace(b"encoding: raw", f"encoding: {plant.text()}".encode()))
    medseg(2, "data", "check", "hospital", "--data", tmp_path / "data")

    assert medseg.leaks == []
    assert leaks(*places) == {}
