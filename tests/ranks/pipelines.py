"""A pipeline that ranks run together: imported by the processes of `medseg.testing.ranks`."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from medseg.api import resume_pipeline, run_pipeline
from medseg.learning.training.engine.epochs import Epochs


def blank(_: FigureCanvasAgg, path: Path, **__: object) -> None:
    Image.new("L", (1, 1)).save(path, format="PNG")


FigureCanvasAgg.print_figure = blank  # drawing them takes long, and nobody looks


def run(folder: Path, data: Path, changes: tuple[str, ...]) -> None:
    os.chdir(folder)
    run_pipeline("brats2d", data, set=changes, device="cpu")


def run_until_rank_1_dies(folder: Path, data: Path, changes: tuple[str, ...]) -> None:
    """Rank 1 is killed as the second epoch begins."""
    before = Epochs._train

    def killed(self: Epochs, epoch: int, *others: Any) -> float:
        if epoch == 2 and self.ranks.place.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(self, epoch, *others)

    Epochs._train = killed
    run(folder, data, changes)


def resume(folder: Path) -> None:
    """Go on, and tell what each rank gets."""
    os.chdir(folder)
    result = resume_pipeline()
    (folder / f"told-{os.environ['RANK']}").write_text(str(result.folder), encoding="utf-8")
