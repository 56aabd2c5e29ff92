"""Writing a trained model in a form that other programs run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from medseg.api.models import load_model
from medseg.errors import DefinitionError, RunError
from medseg.progress import Progress, Silent

if TYPE_CHECKING:
    from medseg.learning.inference.predictor import Predictor


@dataclass(frozen=True)
class ExportedModel:
    """What `export` wrote.

    Attributes:
        path: The file, or the folder.
        said: Sentences on what it takes, and how it was compared with torch.
    """

    path: Path
    said: tuple[str, ...]


def export(
    model: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    to: str = "onnx",
    force: bool = False,
    tracking_uri: str | None = None,
    allow: Sequence[str] = (),
    progress: Progress | None = None,
) -> ExportedModel:
    """Write a model for programs that run it without medseg.

    `onnx`: one file with the network and its weights. Its metadata say channels, classes, sizes, threshold,
    temperature, flips, how slices are prepared, and more (`docs/export.md`); they name no run, no path and no case.
    It appears when onnxruntime has given torch's logits of batches of three shapes, to 1e-4 of the largest, or of 1.
    It takes any number of slices, and other heights and widths where the network does. Preparation, flips and
    post-processing stay outside.

    `bundle`: a folder that `monai.bundle` runs on NIfTI files where medseg is installed, with
    all that `predict` does. It appears when it has given the label map of the model for a generated case.

    Args:
        model: As of `predict`.
        out: The file to write, of a bundle the folder.
        to: The form: `onnx` or `bundle`.
        force: Write over what is there.
        tracking_uri: Where to look ids up.
        allow: Packages that the model's parts may come from, beside the usual ones.
        progress: Where it is shown.

    Raises:
        DefinitionError: There is no such form.
        RunError: There is no such run, it has no model yet, or there is something at `out`.
        ModelError: The model cannot be loaded, its network cannot be written so, or the extra `medseg[onnx]` is
            missing; or it is not of label maps of NIfTI volumes, which a bundle is.
        NotWrittenError: The file cannot be written.
    """
    target, shown = Path(out), progress or Silent()
    if to not in _FORMS:
        raise DefinitionError(f"the form is {to!r}, expected {' or '.join(_FORMS)}.")
    _FORMS[to].refuse(target)
    if target.exists() and not force:
        raise RunError(f"{target.name} is there already. Name another, or write over it: --force")
    with shown.bar("loading torch, MONAI and the model", 1) as bar:
        predictor = load_model(model, tracking_uri=tracking_uri, device="cpu", allow=allow)
        bar.advance()
    with shown.bar(f"writing {to} and comparing it", 1) as bar:
        said = _FORMS[to].write(predictor, target)
        bar.advance()
    return ExportedModel(target, said)


def _onnx(predictor: Predictor, target: Path) -> tuple[str, ...]:
    from medseg.learning.inference.export.file import write_onnx  # noqa: PLC0415  # imports torch

    graph = write_onnx(predictor, target)
    height, width = predictor.preparation.rule.size
    steps = f" in steps of {graph.divisor}" if graph.divisor > 1 else ""
    more = f", or larger{steps}" if graph.divisor else " alone"
    takes = f"It takes slices of {height} x {width} pixels{more}, any number at a time, prepared as its metadata say."
    compared = f"Of batches of {len(graph.shapes)} shapes onnxruntime gives torch's logits"
    return takes, f"{compared}; they differ by {graph.difference:.1g} at most."


def _bundle(predictor: Predictor, target: Path) -> tuple[str, ...]:
    from medseg.learning.inference.export.bundle.folder import write_bundle  # noqa: PLC0415  # imports torch

    voxels = write_bundle(predictor, target)
    return (
        f"It was run on a generated case: {voxels:,} voxels, all as medseg predicts them.",
        f"{target / 'docs' / 'README.md'} says how it is run.",
    )


@dataclass(frozen=True)
class _Form:
    """A form of models for other programs: how it is written, and whether it is a folder."""

    write: Callable[[Predictor, Path], tuple[str, ...]]
    folder: bool

    def refuse(self, target: Path) -> None:
        """Refuse a place where something of another kind lies, which `--force` does not remove."""
        if target.is_dir() and not self.folder:
            raise RunError(f"{target.name} is a folder. Name the file to write, such as model.onnx.")
        if target.is_file() and self.folder:
            raise RunError(f"{target.name} is a file. Name the folder to write.")
        if target.is_dir() and any(target.iterdir()) and not (target / "configs" / "metadata.json").exists():
            raise RunError(f"{target.name} is a folder of something else. Name another.")


_FORMS: Mapping[str, _Form] = {"onnx": _Form(_onnx, folder=False), "bundle": _Form(_bundle, folder=True)}
