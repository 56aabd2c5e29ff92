"""`medseg pipeline folds` and `medseg pipeline sweep`: several runs that belong together."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.gone import mark_and_tell
from medseg.cli.guard import guarded
from medseg.cli.next_commands import going_on
from medseg.cli.options import (
    Allow,
    AllowDuplicates,
    Data,
    Device,
    Jobs,
    Name,
    Note,
    On,
    RunName,
    Set,
    ShowPaths,
    SkipBad,
    Tags,
    Uri,
)
from medseg.cli.printing.paths_shown import paths_may_be_shown


def folds(
    name: Name,
    data: Data = None,
    count: Annotated[
        int, typer.Option("--folds", min=2, help="Divide the patients into this many folds.")
    ] = 5,
    sets: Set = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    allow_duplicates: AllowDuplicates = False,
    tracking_uri: Uri = None,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    run_name: RunName = None,
    note: Note = "",
    tags: Tags = None,
    show_paths: ShowPaths = False,
) -> None:
    """Cross-validate a pipeline: a run for each fold, and the scores of all test parts together."""
    with guarded(
        Console(stderr=True),
        show_paths=show_paths or paths_may_be_shown(name, sets),
        hint=partial(going_on, allow or ()),
    ):
        mark_and_tell()
        from medseg.api import run_folds  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import print_folds  # noqa: PLC0415

        console = Console()
        result = run_folds(
            name,
            data,
            folds=count,
            set=sets or (),
            device=device,
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            tracking_uri=tracking_uri,
            allow=allow or (),
            jobs=jobs,
            on=on,
            run_name=run_name,
            note=note,
            tags=tags or (),
            progress=display(console),
        )
        print_folds(console, result)


def sweep(
    name: Name,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="PATH=VALUES",
            help="Try these values of a setting: PATH=1,2,3 or PATH=LOW..HIGH, or PATH=log:LOW..HIGH in steps by "
            "factors; may be given several times. Default: as declared.",
        ),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(
            "--trials",
            min=1,
            help="Try at most this many combinations. Default: all, or 20 where a setting has a range.",
        ),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            "--seeds", min=1, help="Run each combination with this many seeds, and rank by the mean."
        ),
    ] = 1,
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0,
            help="Begin no further combination after this many minutes. Default: no limit.",
        ),
    ] = None,
    data: Data = None,
    sets: Set = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    allow_duplicates: AllowDuplicates = False,
    tracking_uri: Uri = None,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    run_name: RunName = None,
    note: Note = "",
    tags: Tags = None,
    show_paths: ShowPaths = False,
) -> None:
    """Try settings or seeds, rank them on validation, and score the winner alone on the test part."""
    with guarded(
        Console(stderr=True),
        show_paths=show_paths or paths_may_be_shown(name, sets),
        hint=partial(going_on, allow or ()),
    ):
        mark_and_tell()
        from medseg.api import run_sweep  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.printing.sweep_table import print_sweep  # noqa: PLC0415

        console = Console()
        result = run_sweep(
            name,
            data,
            vary=vary or (),
            trials=trials,
            seeds=seeds,
            minutes=minutes,
            set=sets or (),
            device=device,
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            tracking_uri=tracking_uri,
            allow=allow or (),
            jobs=jobs,
            on=on,
            run_name=run_name,
            note=note,
            tags=tags or (),
            progress=display(console),
        )
        print_sweep(console, result)
