"""`medseg view`: look at one case."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.guard import guarded
from medseg.cli.options import Allow, AlsoModels, Device, LookupUri, Model, ShowPaths

USE = "Research use only. Not a medical device."


def view(
    model: Model,
    case: Annotated[
        str,
        typer.Argument(
            help="A case's id as the run shows it; best, median or worst of those scored; or its number."
        ),
    ] = "worst",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Read the case from this folder. Default: where the run found its data."),
    ] = None,
    prediction: Annotated[
        Path | None,
        typer.Option(
            "--prediction",
            help="Show the label map in this folder, which medseg predict wrote. Default: predict the case.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--out",
            help="Write the scene to OUT/<case>/. Default: beside the prediction, else views/ in the run's folder.",
        ),
    ] = None,
    window: Annotated[
        bool,
        typer.Option(
            "--window/--no-window",
            help="Open napari (needs medseg[view]), or only write the scene for 3D Slicer.",
        ),
    ] = True,
    also: AlsoModels = None,
    device: Device = "auto",
    tracking_uri: LookupUri = None,
    allow: Allow = None,
    show_paths: ShowPaths = False,
) -> None:
    """Look at image, truth and prediction of a case in napari, and write a scene of them for 3D Slicer."""
    errors = Console(stderr=True)
    with guarded(errors, show_paths=show_paths):
        from medseg.api.viewing.view import view as look  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import say  # noqa: PLC0415

        console = Console()
        found = look(
            [model, *also] if also else model,
            case,
            data=data,
            prediction=prediction,
            out=out,
            window=window,
            device=device,
            tracking_uri=tracking_uri,
            allow=allow or (),
            progress=display(console),
        )
        for warning in found.warnings:
            say(errors, f"{found.case}: {warning}")
        if found.scene is not None:
            say(console, f"Scene of {found.case} for 3D Slicer: {found.scene}")
            say(console, "Its folder holds the images themselves: pass it on as you would pass them on.")
        say(console, USE)
