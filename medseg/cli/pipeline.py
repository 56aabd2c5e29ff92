"""`medseg pipeline`: list, new, show, check, describe, run, resume."""

from __future__ import annotations

import shlex
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.gone import mark_and_tell
from medseg.cli.guard import guarded
from medseg.cli.next_commands import going_on
from medseg.cli.options import (
    Alias,
    Allow,
    AllowDuplicates,
    Data,
    Device,
    Jobs,
    Name,
    Note,
    On,
    Register,
    RunName,
    Set,
    ShowPaths,
    SkipBad,
    Tags,
    Uri,
    alias_of,
)
from medseg.cli.printing.paths_shown import paths_may_be_shown, paths_of_run_may_be_shown
from medseg.errors import RunError
from medseg.machine.ranks.place import place_here
from medseg.packages import allowing

app = typer.Typer(help="Declare, check and run pipelines.", no_args_is_help=True)


@app.command("list")
def list_pipelines() -> None:
    """List every pipeline that can be named, and where it was found."""
    with guarded(Console(stderr=True)):
        from medseg.cli.tables import print_pipelines  # noqa: PLC0415
        from medseg.named import all_pipelines  # noqa: PLC0415

        print_pipelines(Console(), all_pipelines())


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="What to call it: letters, digits and _, with a letter first.")],
    data: Annotated[Path, typer.Option("--data", help="Draft it for the data in this folder.")],
    minutes: Annotated[
        float | None,
        typer.Option(
            "--minutes",
            min=0,
            help="What the training may take on this machine, of which a few steps are measured; 0 measures nothing. "
            "Default: 10, on a GPU 30.",
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Overwrite drafts of this name. Default: refuse.")
    ] = False,
    jobs: Jobs = None,
) -> None:
    """Look at a folder, and draft a manifest and a definition for it. Names of files are shown, and kept nowhere."""
    with guarded(Console(stderr=True), show_paths=True):
        from medseg.api.drafting.unknown_folder import new_pipeline  # noqa: PLC0415  # imports torch
        from medseg.cli.printing.look_report import print_new  # noqa: PLC0415

        console = Console()
        made = new_pipeline(name, data, minutes=minutes, force=force, progress=display(console), jobs=jobs)
        print_new(console, made, data)


@app.command()
def show(name: Name, sets: Set = None) -> None:
    """Print a definition with its comments, as it is after --set, and the transforms that its data go through."""
    with guarded(Console(stderr=True)):
        from medseg.api.opening import open_pipeline  # noqa: PLC0415
        from medseg.cli.stages import stage_comments, without_stages  # noqa: PLC0415
        from medseg.pipeline.declaration.comments import with_comments  # noqa: PLC0415
        from medseg.pipeline.declaration.overrides import override  # noqa: PLC0415
        from medseg.yaml import read_yaml  # noqa: PLC0415

        opened = open_pipeline(name, assignments=sets or ())
        typer.echo(f"# {opened.found.path} ({opened.found.origin})", err=True)
        text = without_stages(opened.found.path.read_text(encoding="utf-8"))
        typer.echo(with_comments(text, override(read_yaml(opened.found.path), sets or ())), nl=False)
        typer.echo(stage_comments(opened.definition, opened.manifest), nl=False)


@app.command()
def check(
    name: Name,
    data: Data = None,
    sets: Set = None,
    skip_bad: SkipBad = False,
    allow_duplicates: AllowDuplicates = False,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    show_paths: ShowPaths = False,
) -> None:
    """Resolve every part, and send one blank batch through the network; with --data, see if a run would begin."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api import check_pipeline  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.printing.checked import print_checked  # noqa: PLC0415

        console = Console()
        found = check_pipeline(
            name,
            set=sets or (),
            allow=allow or (),
            data=data,
            skip_bad=skip_bad,
            allow_duplicates=allow_duplicates,
            jobs=jobs,
            on=on,
            progress=display(console),
        )
        print_checked(console, found, with_data=data is not None)


@app.command()
def describe(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Draw the network to this file. Default: NAME_network.png in this folder."
        ),
    ] = None,
    data: Data = None,
    sets: Set = None,
    allow: Allow = None,
    show_paths: ShowPaths = False,
) -> None:
    """Print the network layer by layer, with shapes, parameters and memory, and draw it to a picture."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api import describe_pipeline  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import print_described  # noqa: PLC0415

        console = Console()
        found = describe_pipeline(
            name, out, set=sets or (), allow=allow or (), data=data, progress=display(console)
        )
        print_described(console, found)


@app.command()
def run(
    name: Name,
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
    register: Register = False,
    alias: Alias = None,
    show_paths: ShowPaths = False,
) -> None:
    """Run a pipeline, from its data to a tracked model."""
    with guarded(
        Console(stderr=True),
        show_paths=show_paths or paths_may_be_shown(name, sets),
        hint=partial(going_on, allow or ()),
        by_ranks=True,
    ):
        mark_and_tell()
        from medseg.api import run_pipeline  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import print_result  # noqa: PLC0415

        console = Console(quiet=not place_here().first)
        result = run_pipeline(
            name,
            data,
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
            register=alias_of(register, alias),
            progress=display(console),
        )
        print_result(console, result)


@app.command()
def resume(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run's folder or name, `latest`, or an MLflow id; by default the latest unfinished. Of folds "
            "or a sweep their name or folder."
        ),
    ] = None,
    data: Data = None,
    sets: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change what can still change, such as steps.fit.epochs=100; continues finished runs too.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(help="Compute on this device: auto, cpu or cuda. Default: the device of the run."),
    ] = None,
    tracking_uri: Uri = None,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    take_over: Annotated[
        bool,
        typer.Option(
            "--take-over",
            help="Continue a run that another machine claims, if its process is gone. Default: refuse.",
        ),
    ] = False,
    show_paths: ShowPaths = False,
) -> None:
    """Go on with a run that was interrupted, with folds or a sweep; it ends as if it had not been."""
    again = (
        f"Go on with: medseg pipeline resume{f' {shlex.quote(run)}' if run else ''}{allowing(allow or ())}"
    )
    with guarded(Console(stderr=True), hint=lambda: again, by_ranks=True):
        mark_and_tell()
        shown = show_paths or paths_of_run_may_be_shown(run, take_over=take_over)
    with guarded(Console(stderr=True), show_paths=shown, hint=lambda: again, by_ranks=True):
        from medseg import api  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.printing.sweep_table import print_sweep  # noqa: PLC0415
        from medseg.cli.tables import print_folds, print_result  # noqa: PLC0415

        console = Console(quiet=not place_here().first)
        options: dict[str, Any] = {
            "data": data,
            "device": device,
            "tracking_uri": tracking_uri,
            "allow": allow or (),
            "jobs": jobs,
            "on": on,
            "take_over": take_over,
            "progress": display(console),
        }
        if place_here().world > 1:
            print_result(console, api.resume_pipeline(run, set=sets or (), **options))
        elif (sweep := api.sweep_to_go_on(run)) is not None:
            if sets or data or device or jobs or take_over:
                raise RunError(
                    "a sweep goes on as it began. Leave out all but its name, --allow, --on and --tracking-uri."
                )
            print_sweep(
                console,
                api.resume_sweep(
                    sweep,
                    tracking_uri=tracking_uri,
                    allow=allow or (),
                    on=on,
                    progress=options["progress"],
                ),
            )
        elif api.are_folds(run, take_over=take_over):
            if sets:
                raise RunError("--set cannot change folds, which are all alike. Start them again with it.")
            print_folds(console, api.resume_folds(run, **options))
        else:
            print_result(console, api.resume_pipeline(run, set=sets or (), **options))
