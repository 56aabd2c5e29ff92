"""`medseg runs`: move."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.guard import guarded

app = typer.Typer(help="Look after the folders of runs.", no_args_is_help=True)


@app.callback()
def runs() -> None:
    """Look after the folders of runs."""


@app.command()
def move(
    run: Annotated[str, typer.Argument(help="A run's folder or name, `latest`, or an MLflow id.")],
    folder: Annotated[Path, typer.Argument(help="The other working folder; it must exist.")],
) -> None:
    """Move a run to medseg-runs/ of another working folder; its tracking store stays where it is."""
    with guarded(Console(stderr=True)):
        from medseg.api import move_run  # noqa: PLC0415
        from medseg.pipeline.folder import RunFolder  # noqa: PLC0415

        place = move_run(run, folder)
        typer.echo(f"Moved to {place}. Its MLflow run stays in the same tracking store.")
        typer.echo(f"Work with it there: cd {shlex.quote(str(folder))}")
        typer.echo(f"  medseg predict {place.name} INPUT -o OUT")
        state = RunFolder(place).read()
        if state.mine and state.status != "FINISHED":
            typer.echo(f"  medseg pipeline resume {place.name}")
