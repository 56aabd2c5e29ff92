"""Writing a model as a bundle of MONAI, and trying it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from monai.bundle import ConfigParser
from numpy.typing import NDArray

from medseg.datasets.case import Case
from medseg.errors import ModelError
from medseg.geometry.axes import AXES
from medseg.images.formats import NiftiFiles
from medseg.learning.inference.export.alone import refuse_several_axes
from medseg.learning.inference.export.bundle.configuration import configuration, metadata
from medseg.learning.inference.export.bundle.expressions import refuse_expressions
from medseg.learning.inference.export.bundle.texts import licence, readme
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.task import MaskTask
from medseg.learning.transfer.weights import plain_weights
from medseg.places import passing_folder, written_whole

_SLICES = 3  # of the case that a bundle is tried on


def write_bundle(predictor: Predictor, path: Path) -> int:
    """Write a model of label maps of NIfTI volumes as a folder that `monai.bundle` runs where medseg is installed.

    It appears when `monai.bundle` has run it on a generated case and has given the label map of the model, voxel for
    voxel.

    Args:
        predictor: The model.
        path: Of the folder.

    Returns:
        How many voxels were compared.

    Raises:
        ModelError: It is a model of something else, or the bundle gives another label map.
        NotWrittenError: The folder cannot be written.
    """
    _refuse_other(predictor)
    texts = {"docs/README.md": readme(predictor, path.name), "LICENSE": licence(predictor)}
    said = {"inference": configuration(predictor), "metadata": metadata(predictor, path.name)}
    with written_whole(path) as target:
        for folder in ("configs", "models", "docs"):
            (target / folder).mkdir(parents=True)
        written = {f"configs/{name}.json": json.dumps(said[name], indent=2) for name in said}
        for name, text in (written | texts).items():
            (target / name).write_text(f"{text}\n", encoding="utf-8")
        torch.save(plain_weights(predictor.network), target / "models" / "model.pt")
        return _tried(predictor, target)


def _refuse_other(predictor: Predictor) -> None:
    refuse_several_axes(predictor)
    files = predictor.preparation.files
    if isinstance(predictor.task, MaskTask) and type(files) is NiftiFiles:
        refuse_expressions(
            {
                "the network": predictor.network_spec,
                "the task": predictor.task.spec(),
                "slices.transforms": predictor.preparation.rule.chain,
                "the list of channels": predictor.channels,
                "the list of maps": predictor.task.maps,
                "the manifest": (predictor.manifest.name, predictor.manifest.licence),
            }
        )
        return
    what = (
        f"label maps of {files.noun}" if isinstance(predictor.task, MaskTask) else "classes of whole images"
    )
    raise ModelError(
        f"a bundle holds a model of label maps of NIfTI volumes, and this one gives {what}. Write its network as "
        "ONNX: --to onnx"
    )


def _tried(predictor: Predictor, bundle: Path) -> int:
    """Run the bundle on a generated case, and compare.

    Raises:
        ModelError: It cannot be run, or gives other voxels.
    """
    with passing_folder("medseg-bundle") as temporary:
        data = temporary / "data"
        case = _generated(predictor, data)
        expected = predictor.predict(case).labels
        try:
            with _unchanged_grad():
                run_bundle(bundle, data, temporary / "out")
            found = np.asanyarray(nibabel.load(temporary / "out" / "case_seg.nii.gz").dataobj)
        except Exception as error:  # whatever the parts of a bundle raise
            reason = _first(error)
            raise ModelError(
                f"monai.bundle cannot run this model: {reason}. Write it as ONNX: --to onnx"
            ) from error
    different = int(np.count_nonzero(found != expected)) if found.shape == expected.shape else expected.size
    if different:
        raise ModelError(
            f"as a bundle the model gives {different} of {expected.size} voxels of a generated case another class. "
            "Write it as ONNX: --to onnx"
        )
    return int(expected.size)


def _first(error: BaseException) -> str:
    """What went wrong at first: MONAI raises one error about another."""
    while before := error.__cause__ or error.__context__:
        error = before
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def run_bundle(bundle: Path, data: Path, out: Path) -> None:
    """Run `configs/inference.json` of a bundle on a folder of cases, as `python -m monai.bundle run` does."""
    parser = ConfigParser()
    parser.read_config(bundle / "configs" / "inference.json")
    parser.config.update(
        bundle_root=str(bundle), dataset_dir=str(data), output_dir=str(out), device="$torch.device('cpu')"
    )
    parser.parse()
    parser.get_parsed_content("run")


@contextmanager
def _unchanged_grad() -> Iterator[None]:
    before = torch.is_grad_enabled()
    try:
        yield
    finally:
        torch.set_grad_enabled(before)


def _generated(predictor: Predictor, folder: Path) -> Case:
    """A case of noise, a little smaller than the slices in one direction and larger in the other, lying obliquely."""
    folder.mkdir()
    random, axis = np.random.default_rng(0), AXES[predictor.preparation.rule.axis]
    height, width = predictor.preparation.rule.size
    shape = np.empty(3, dtype=int)
    shape[[axis.along, axis.rows, axis.columns]] = _SLICES, max(height - 3, 4), width + 5
    affine = np.diag([*(predictor.preparation.rule.spacing or (1.0, 1.0)), 1.0, 1.0])
    affine[:3, :3] = np.array([[0, -1, 0.02], [-1, 0, 0], [0, 0, 1]]) @ affine[:3, :3]
    images = {}
    for name in predictor.channels:
        images[name] = folder / f"case_{name}.nii.gz"
        nibabel.save(nibabel.Nifti1Image(_noise(random, tuple(shape)), affine), images[name])
    return Case("case", "case", images, None)


def _noise(random: np.random.Generator, shape: tuple[Any, ...]) -> NDArray[np.float32]:
    found = random.gamma(2.0, 100.0, shape).astype(np.float32)
    found[:2] = 0  # a margin of background
    return found
