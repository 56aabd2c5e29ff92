"""`medseg export`: a model for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.guard import guarded
from medseg.cli.options import Allow, AlsoModels, LookupUri, Model

USE = "Research use only. Not a medical device."


def export(
    model: Model,
    out: Annotated[Path, typer.Option("-o", "--out", help="File to write, of a bundle the folder.")],
    to: Annotated[str, typer.Option("--to", help="Form of it: onnx or bundle (of MONAI).")] = "onnx",
    also: AlsoModels = None,
    force: Annotated[
        bool, typer.Option("--force", help="Write over what is there. Default: refuse.")
    ] = False,
    tracking_uri: LookupUri = None,
    allow: Allow = None,
) -> None:
    """Write a model as ONNX, for programs that run it without medseg, or as a bundle of MONAI."""
    with guarded(Console(stderr=True)):
        from medseg.api.exporting.models import export as write  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import say  # noqa: PLC0415

        console = Console()
        found = write(
            [model, *(also or ())],
            out,
            to=to,
            force=force,
            tracking_uri=tracking_uri,
            allow=allow or (),
            progress=display(console),
        )
        for sentence in (f"Model: {found.path}", *found.said, USE):
            say(console, sentence)
