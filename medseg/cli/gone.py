"""Runs whose process is gone: marked by the commands that run, go on or compare, and by no other."""

from __future__ import annotations

from contextlib import suppress

import typer

from medseg.errors import MedsegError
from medseg.machine.ranks.place import place_here


def mark_and_tell() -> None:
    """Mark this user's runs whose process is gone, and say how they go on.

    A favour, of which no command may fail: runs that cannot be read or marked now are left alone.
    """
    with suppress(OSError, MedsegError):
        if not place_here().first:  # of those that torchrun started, one does
            return
        from medseg.pipeline.folder import gone  # noqa: PLC0415  # nothing heavy

        mine = {state.name: folder for folder, state in gone() if state.mine}
        if not mine:
            return
        from medseg.api.finding import mark_gone, resuming  # noqa: PLC0415  # may ask the tracking store

        for name in mark_gone(lambda text: typer.echo(text, err=True)):
            command = resuming(mine[name], mine[name].read())
            typer.echo(f"The process of {name} is gone: marked KILLED. {command}", err=True)
