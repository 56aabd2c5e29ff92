"""`medseg runs`: list, show, compare, audit, report, sync, move, delete."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli.display import display, print_whole
from medseg.cli.gone import mark_and_tell
from medseg.cli.guard import MEND, guarded
from medseg.cli.options import Allow, Device, Jobs

app = typer.Typer(
    help="List, compare, audit, reproduce, report, send, move and delete runs.", no_args_is_help=True
)


class Format(StrEnum):
    """How a table is printed."""

    text = "text"
    csv = "csv"
    json = "json"


Run = Annotated[str, typer.Argument(help="A run's folder or name, `latest`, or an MLflow id.")]
As = Annotated[Format, typer.Option("--format", help="Print text, csv or json.")]
Uri = Annotated[
    str | None,
    typer.Option(help="The MLflow address of the run now. Default: where it began."),
]


@app.callback()
def runs() -> None:
    """List, compare, audit, reproduce, report, send, move and delete runs."""


@app.command("list")
def list_runs(form: As = Format.text) -> None:
    """List the runs of this working folder, the latest first."""
    with guarded(Console(stderr=True)):
        from medseg.api import runs as found  # noqa: PLC0415
        from medseg.cli.printing.run_tables import print_runs  # noqa: PLC0415

        print_runs(Console(), found(), form)


@app.command()
def show(run: Run, form: As = Format.text) -> None:
    """Show what is known of a run: how it ended, its seed, where it is tracked, its scores."""
    with guarded(Console(stderr=True)):
        from medseg.api import show_run  # noqa: PLC0415
        from medseg.cli.printing.run_tables import print_run  # noqa: PLC0415

        print_run(Console(), show_run(run), form)


@app.command()
def compare(
    a: Annotated[
        str,
        typer.Argument(help="The run to compare with; runs of other seeds are joined with commas: A1,A2,A3."),
    ],
    others: Annotated[
        list[str], typer.Argument(metavar="B...", help="Runs that are compared with A, likewise.")
    ],
    on_common: Annotated[
        bool,
        typer.Option(
            "--on-common",
            help="Compare on the patients that all runs share, where patients or data differ. Default: refuse.",
        ),
    ] = False,
    scores: Annotated[
        list[str] | None,
        typer.Option(
            "--score",
            help="Compare this score; may be given several times. Default: dice; of classes of images accuracy, "
            "brier and auroc.",
        ),
    ] = None,
    names: Annotated[
        list[str] | None,
        typer.Option(
            "--of",
            metavar="NAME",
            help="Compare this class or region; may be given several times. Default: all.",
        ),
    ] = None,
    form: As = Format.text,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep/--no-keep", help="Write tables and figures into the folder of B, and track them with it."
        ),
    ] = True,
) -> None:
    """Compare finished runs patient by patient, on one test part."""
    errors = Console(stderr=True)
    with guarded(errors):
        from medseg.api import compare as compared  # noqa: PLC0415
        from medseg.api import keep_comparison  # noqa: PLC0415
        from medseg.cli.printing.comparison_tables import print_comparison  # noqa: PLC0415
        from medseg.cli.tables import say  # noqa: PLC0415

        first, *rest = others
        found = compared(a, first, *rest, on_common=on_common, scores=scores or (), names=names or ())
        print_comparison(Console(), found, form)
        if keep:
            for folder in keep_comparison(found, progress=display(errors)):
                say(errors, f"Tables and figures: {folder}")


@app.command()
def audit(
    run: Run,
    data: Annotated[
        Path | None, typer.Option(help="Where its data lie now. Default: where they were.")
    ] = None,
    canary: Annotated[
        bool,
        typer.Option(
            "--canary",
            help="Train again, shortly, on labels that are shuffled by patient: scores must be chance. For classes "
            "of images. Default: look only.",
        ),
    ] = False,
    device: Device = "auto",
    allow: Allow = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print audit.json. Default: the page of text.")
    ] = False,
) -> None:
    """Look for leaks from test patients into training; write a certificate into the run's folder and track it."""
    errors = Console(stderr=True)
    with guarded(errors):
        from medseg.api import audit_run  # noqa: PLC0415
        from medseg.cli.tables import say  # noqa: PLC0415

        mark_and_tell()
        found = audit_run(
            run, data=data, canary=canary, device=device, allow=allow or (), progress=display(errors)
        )
        if as_json:
            print_whole(Console(), found.json().rstrip("\n"))
        else:
            say(Console(), found.text().rstrip("\n"))
    raise typer.Exit(MEND if found.leaks else 0)


@app.command()
def report(
    run: Annotated[
        str,
        typer.Argument(
            help="A run's or cross-validation's folder or name, `latest`, or an MLflow id; runs of other seeds are "
            "joined with commas: A1,A2,A3."
        ),
    ],
    others: Annotated[
        list[str] | None,
        typer.Argument(metavar="RUN...", help="Runs that are compared with the first, likewise."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "-o", "--out", help="Write to this file. Default: report.html in the folder of the first run."
        ),
    ] = None,
    on_common: Annotated[
        bool,
        typer.Option(
            "--on-common",
            help="Compare on the patients that all runs share, where patients or data differ. Default: say why not.",
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Write over a file that is there. Default: refuse.")
    ] = False,
) -> None:
    """Write a page about runs that can be passed on: one HTML file, without paths or names of patients."""
    with guarded(Console(stderr=True)):
        from medseg.api import report as written  # noqa: PLC0415
        from medseg.cli.tables import say  # noqa: PLC0415

        say(Console(), f"Report: {written(run, *others or (), out=out, on_common=on_common, force=force)}")


@app.command()
def reproduce(
    run: Run,
    data: Annotated[
        Path | None, typer.Option(help="Where its data lie now. Default: where they were.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="Compute on this device: auto, cpu or cuda. Default: as before.")
    ] = None,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="The MLflow address that knows the run, and where the new one is tracked. Default: that of the run."
        ),
    ] = None,
    allow: Allow = None,
    jobs: Jobs = None,
) -> None:
    """Make a run again from what it kept, here or on the tracking server, and compare the two."""
    errors = Console(stderr=True)
    with guarded(errors):
        mark_and_tell()
        from medseg.api import reproduce_run  # noqa: PLC0415  # imports torch and MONAI
        from medseg.api.running import ended  # noqa: PLC0415
        from medseg.cli.tables import print_result, say  # noqa: PLC0415
        from medseg.pipeline.folder import RUNS, RunFolder  # noqa: PLC0415

        found = reproduce_run(
            run,
            data=data,
            device=device,
            tracking_uri=tracking_uri,
            allow=allow or (),
            jobs=jobs,
            progress=display(errors),
        )
        print_result(Console(), ended(RunFolder(RUNS / found.again)))
        say(Console(), found.text())


@app.command()
def servable(
    run: Run,
    out: Annotated[Path, typer.Option("-o", "--out", help="The folder to write.")] = Path("servable"),
    force: Annotated[
        bool, typer.Option("--force", help="Write over a folder that is there. Default: refuse.")
    ] = False,
    tracking_uri: Uri = None,
) -> None:
    """Write the model of a run so that `mlflow models serve` takes the bytes of files, and gives masks or classes."""
    with guarded(Console(stderr=True)):
        from medseg.api import save_servable  # noqa: PLC0415
        from medseg.cli.tables import say  # noqa: PLC0415

        made, console = save_servable(run, out, tracking_uri=tracking_uri, force=force), Console()
        say(console, f"Model: {made}")
        serve = f"mlflow models serve -m {shlex.quote(str(made))} --env-manager local --port 5001"
        say(console, f"Serve: MLFLOW_DISABLE_TELEMETRY=true {serve}")


@app.command()
def sync(
    run: Annotated[
        str | None,
        typer.Argument(
            help="A run's folder or name, `latest`, or an MLflow id. Default: all of this working folder."
        ),
    ] = None,
    tracking_uri: Uri = None,
) -> None:
    """Send what the tracking server has not had of runs that have ended."""
    errors = Console(stderr=True)
    with guarded(errors):
        from medseg.api import sync_runs  # noqa: PLC0415
        from medseg.cli.printing.run_tables import print_synced  # noqa: PLC0415

        mark_and_tell()
        console = Console()
        found = sync_runs(run, tracking_uri=tracking_uri, progress=display(errors))
        print_synced(console, errors, found)
    raise typer.Exit(0 if all(each.sent for each in found) else MEND)


@app.command()
def move(
    run: Run,
    folder: Annotated[Path, typer.Argument(help="The other working folder; it must exist.")],
) -> None:
    """Move a run to medseg-runs/ of another working folder; its tracking store stays where it is."""
    with guarded(Console(stderr=True)):
        from medseg.api import move_run  # noqa: PLC0415
        from medseg.pipeline.folder import RunFolder  # noqa: PLC0415
        from medseg.pipeline.made import damaged  # noqa: PLC0415

        mark_and_tell()
        place = move_run(run, folder)
        typer.echo(f"Moved to {place}. Its MLflow run stays in the same tracking store.")
        typer.echo(f"Work with it there: cd {shlex.quote(str(folder))}")
        state = RunFolder(place).read()
        if (place / "model").is_dir():
            typer.echo(f"  medseg predict {place.name} INPUT -o OUT")
        broken = damaged(RunFolder(place)) if state.mine else {}
        if broken:
            typer.echo(
                f"Damaged or missing in it, as it was before, until it is resumed: {', '.join(broken)}."
            )
        if state.mine and state.anew:
            typer.echo(f"It has failed. {RunFolder(place).way_on(state)}")
        elif state.mine and (broken or state.status != "FINISHED"):
            typer.echo(f"  medseg pipeline resume {place.name}")


@app.command()
def delete(
    run: Run,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking. Default: ask.")] = False,
    keep_tracked: Annotated[
        bool,
        typer.Option(
            "--keep-tracked", help="Leave its MLflow run. Default: mark it deleted, which MLflow can undo."
        ),
    ] = False,
    tracking_uri: Uri = None,
) -> None:
    """Delete the folder of a run, with its model, and mark its MLflow run deleted."""
    with guarded(Console(stderr=True)):
        from medseg.api import delete_run, find_run_folder  # noqa: PLC0415
        from medseg.cli.tables import say  # noqa: PLC0415

        place, console = find_run_folder(run).path.absolute(), Console()
        if not yes and not _agreed(f"Delete {place} with all that lies in it?"):
            say(console, "Nothing was deleted.")
            return
        found = delete_run(place, keep_tracked=keep_tracked, tracking_uri=tracking_uri)
        say(console, f"Deleted {found.name}. {found.note}")


def _agreed(question: str) -> bool:
    """What the user says; that of nobody is no."""
    from medseg.errors import RunError  # noqa: PLC0415
    from medseg.text import printable  # noqa: PLC0415

    try:
        return typer.confirm(printable(question))
    except typer.Abort:  # Ctrl-C, or nobody to ask
        raise RunError(
            "nobody has answered, and nothing was deleted. To delete without being asked: --yes"
        ) from None
