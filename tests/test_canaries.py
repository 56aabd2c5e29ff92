"""Hundreds of identifiers in a study of DICOM: no byte that medseg writes, or prints, holds any of them.

`tests/test_privacy.py` does the same with volumes of NIfTI, `tests/datasets/deidentification/test_canaries.py` with what
is passed on.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from medseg.cli.main import app
from medseg.pipeline.folder import all_runs
from medseg.testing.canaries import (
    Planter,
    write_planted_studies,
)
from medseg.testing.leaks import leaks, leaks_in
from medseg.yaml import to_yaml

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's own

TEXTS = dict.fromkeys(("about", "source", "licence", "citation", "obtain"), "Made up.")
SERIES = {
    "channels": ["flair"],
    "classes": ["background", "tumour"],
    "label_values": {0: "background", 1: "tumour"},
    "layout": {"series": {"flair": {"SeriesDescription": "flair"}}, "mask": {"structures": {"tumour": "*"}}},
}
VOLUMES = SERIES | {"layout": {"images": "**/{case}/{case}_{channel}.*", "mask": "**/{case}/{case}_seg.*"}}
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
    "network": {"_target_": "medseg.learning.networks.ResNet", "layers": 18},
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
    """Runs commands, and remembers what they printed that is none of what they were given."""

    def __init__(self) -> None:
        self.leaks: list[tuple[str, list[bytes]]] = []

    def __call__(self, code: int, *words: object) -> str:
        with warnings.catch_warnings(action="ignore"):  # values that are planted are odd
            done = CliRunner().invoke(app, [str(word) for word in words])
        assert done.exit_code == code, f"{words}: {done.output}"
        said = done.output.replace("\n", "")
        for word in sorted(map(str, words), key=len, reverse=True):
            said = said.replace(word, "")
        if found := leaks_in(said.encode()):
            self.leaks.append((" ".join(map(str, words[:3])), found))
        return done.output


@pytest.mark.slow
def test_no_identifier_of_a_study_is_left_anywhere(
    places: tuple[Path, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant, medseg = Planter(), Said()
    with warnings.catch_warnings(action="ignore"):
        data = write_planted_studies(tmp_path / "data" / plant.text(), plant, 4, slices=3)
    assert len(plant.planted) > 1500
    assert len(leaks(tmp_path / "data")) > 20, "what looks for leaks finds them"
    declare(SERIES, MASKS)
    run = ("pipeline", "run", "hospital", "--device", "cpu", "--data", data)
    one, names = sorted(data.iterdir())[0], tmp_path / "names.csv"

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
    by_design += (places[0] / "out").glob("*.seg.dcm")
    assert leaks(*places, but=tuple(by_design)) == {}
    assert len(leaks(places[0])) > len(by_design) / 2


def raising(error: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail
