"""`medseg deidentify`: a folder without what names a patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.guard import MEND, guarded
from medseg.cli.options import KeyMap, ShowPaths


def deidentify(
    inputs: Annotated[Path, typer.Argument(metavar="IN", help="A folder, or a file.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder; it appears when it is whole.")],
    keep_uids: Annotated[
        bool,
        typer.Option("--keep-uids", help="Leave UIDs of DICOM as they are. Default: consistent new ones."),
    ] = False,
    shift_dates: Annotated[
        bool,
        typer.Option(
            "--shift-dates",
            help="Move the dates of a patient by the same number of days. Default: take them out.",
        ),
    ] = False,
    keep_device: Annotated[
        bool,
        typer.Option("--keep-device", help="Leave what names the device. Default: take it out."),
    ] = False,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            "--keep",
            metavar="WORD",
            help="Leave this word in names of files and descriptions of DICOM, such as t1c or seg; may be given "
            "several times. Default: none.",
        ),
    ] = None,
    key_map: KeyMap = None,
    show_paths: ShowPaths = False,
) -> None:
    """Write a folder anew without what names a patient: DICOM, NIfTI, pictures, side-cars; pixels stay."""
    errors = Console(stderr=True)
    with guarded(errors, show_paths=show_paths):
        from medseg.api.exporting.deidentification import deidentify as clean  # noqa: PLC0415
        from medseg.cli.printing.deidentified import print_deidentified  # noqa: PLC0415

        console = Console()
        found = clean(
            inputs,
            out,
            keep_uids=keep_uids,
            shift_dates=shift_dates,
            keep_device=keep_device,
            keep=keep or (),
            key_map=key_map,
            progress=display(console),
        )
        print_deidentified(console, errors, found, out, show_paths=show_paths)
    raise typer.Exit(MEND if found.left_out else 0)
