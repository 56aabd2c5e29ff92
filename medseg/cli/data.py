"""`medseg data`: look at data, prepare, generate and export them."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from medseg.cli.display import display
from medseg.cli.guard import MEND, guarded, print_faults
from medseg.cli.options import Allow, Data, Jobs, Name, On, Set, ShowPaths, Studies
from medseg.cli.printing.paths_shown import paths_may_be_shown
from medseg.errors import RunError
from medseg.text import many

app = typer.Typer(help="Look at data, prepare them, generate them.", no_args_is_help=True)


@app.command()
def check(
    name: Name,
    data: Data = None,
    sets: Set = None,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    show_paths: ShowPaths = False,
) -> None:
    """Read every file and tell what it holds, and whether a run would begin; exit code 2 if it would not."""
    errors, shown = Console(stderr=True), show_paths or paths_may_be_shown(name, sets)
    with guarded(errors, show_paths=shown):
        from medseg.api.data import check_data  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.report import print_report  # noqa: PLC0415

        console = Console()
        found = check_data(
            name, data, set=sets or (), allow=allow or (), progress=display(console), jobs=jobs, on=on
        )
        print_report(console, found, show_paths=shown)
        print_faults(errors, (*found.report.faults, *found.report.skipped), show_paths=shown)
    raise typer.Exit(MEND if found.report.faults or found.refused else 0)


@app.command()
def show(
    name: Name,
    data: Data = None,
    case: Annotated[
        str | None, typer.Option(help="Show the case with this public id. Default: the first few cases.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="Write the picture to this PNG file.")
    ] = None,
    sets: Set = None,
    allow: Allow = None,
    jobs: Jobs = None,
    show_paths: ShowPaths = False,
) -> None:
    """Write a picture of cases with their truth: what one looks at before training."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api.data import show_data  # noqa: PLC0415

        path = out or Path(f"{Path(name).stem}-data.png")
        show_data(
            name,
            path,
            data,
            case=case,
            set=sets or (),
            allow=allow or (),
            progress=display(Console()),
            jobs=jobs,
        )
        typer.echo(f"Wrote {path}")


@app.command()
def prepare(
    name: Name,
    data: Data = None,
    sets: Set = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Estimate slices, bytes and time, and prepare nothing. Default: prepare."
        ),
    ] = False,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out cases that have faults. Default: stop and list them."),
    ] = False,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    show_paths: ShowPaths = False,
) -> None:
    """Cut the slices into the store, as a run does first."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api.data import plan_data, prepare_data  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import print_plan, print_store  # noqa: PLC0415

        console = Console()
        how: dict[str, Any] = {"set": sets or (), "skip_bad": skip_bad, "allow": allow or (), "jobs": jobs}
        if dry_run and on:
            raise RunError(
                "--dry-run prepares a few cases on this machine to measure it. Leave --on out, or --dry-run."
            )
        if dry_run:
            print_plan(console, plan_data(name, data, progress=display(console), **how))
        else:
            print_store(console, prepare_data(name, data, progress=display(console), on=on, **how))


@app.command("key-map")
def key_map(
    name: Name,
    out: Annotated[Path, typer.Argument(help="New file to write, a CSV; readable by you alone.")],
    data: Annotated[Path, typer.Option("--data", help="Name the cases in this folder.")],
    sets: Set = None,
    allow: Allow = None,
    show_paths: ShowPaths = False,
) -> None:
    """Write which public name, as in tables of runs, stands for which case, patient and path. Reads no image."""
    errors, shown = Console(stderr=True), show_paths or paths_may_be_shown(name, sets)
    with guarded(errors, show_paths=shown):
        from medseg.api.exporting.key_maps import write_case_map  # noqa: PLC0415

        count, faults = write_case_map(
            name, data, out, set=sets or (), allow=allow or (), progress=display(Console())
        )
        typer.echo(f"Wrote the names of {many(count, 'case')} to {out}, readable by you alone.")
        print_faults(errors, faults, show_paths=shown)
    raise typer.Exit(MEND if faults else 0)


@app.command()
def sample(
    name: Name,
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    cases: Annotated[int, typer.Option(min=1, help="Generate this many cases.")] = 12,
    seed: Annotated[
        int, typer.Option(min=0, help="Set the seed of the generator; the same seed gives the same bytes.")
    ] = 1,
    jobs: Jobs = None,
) -> None:
    """Generate a data set in the layout of the pipeline's manifest. Its patients are made up."""
    with guarded(Console(stderr=True)):
        from medseg.api.data import write_sample  # noqa: PLC0415

        shown = display(Console())
        write_sample(name, out, cases=cases, seed=seed, progress=shown, jobs=jobs)
        made = f"cases 1 to {cases} are" if cases > 1 else "case 1 is"
        shown.say(f"The GENERATED {made} in {out}: they say nothing about real patients.", loud=True)


def _how(sets: Sequence[str] | None, allow: Sequence[str] | None, jobs: int | None) -> dict[str, Any]:
    return {"set": sets or (), "allow": allow or (), "jobs": jobs}


@app.command("export-npz")
def export_npz(
    name: Name,
    out: Annotated[Path, typer.Argument(help="Folder to write to.")],
    data: Data = None,
    sets: Set = None,
    skip_bad: Annotated[
        bool,
        typer.Option("--skip-bad", help="Leave out cases that have faults. Default: stop and list them."),
    ] = False,
    allow: Allow = None,
    jobs: Jobs = None,
    show_paths: ShowPaths = False,
) -> None:
    """Write each case as one NumPy archive of all channels and the label map, as the original notebook read them."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api.data import export_npz  # noqa: PLC0415
        from medseg.api.exporting.archives import ORIGINAL  # noqa: PLC0415
        from medseg.datasets.manifest.manifest import Manifest  # noqa: PLC0415

        shown, how = display(Console()), _how(sets, allow, jobs)
        made = export_npz(name, out, data, skip_bad=skip_bad, progress=shown, **how)
        typer.echo(
            f"Wrote {many(len(made.paths), 'archive')} to {out}, with the channels {', '.join(made.channels)}."
        )
        typer.echo(made.reading(Manifest.named(ORIGINAL)))


@app.command()
def subdivide(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="Folder of parameters.csv and index.csv.")],
    data: Data = None,
    sets: Set = None,
    reuse: Annotated[
        bool,
        typer.Option("--reuse", help="Take the settings, and the index, that are there. Default: refuse."),
    ] = False,
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make the index that is there anew. Default: refuse.")
    ] = False,
    allow: Allow = None,
    jobs: Jobs = None,
    show_paths: ShowPaths = False,
) -> None:
    """Draw slices for training and validation one by one, as the original notebook on BraTS did. This leaks."""
    with guarded(Console(stderr=True), show_paths=show_paths or paths_may_be_shown(name, sets)):
        from medseg.api.exporting.subdivision import subdivide  # noqa: PLC0415  # imports torch and MONAI

        shown, how = display(Console()), _how(sets, allow, jobs)
        found = subdivide(name, folder, data, reuse=reuse, rebuild=rebuild, progress=shown, **how)
        typer.echo(f"{'Wrote' if found.made else 'Kept'} {found.index}.")
        if found.shrunk:
            shown.say(found.shrunk, loud=True)
        shown.say(
            "This split LEAKS: slices of one patient are in training and in validation, so that scores are too good.",
            loud=True,
        )
        typer.echo("A run on these slices:")
        words = ["medseg", "pipeline", "run", str(name), *(["--data", str(data)] if data else [])]
        words += [word for each in found.settings for word in ("--set", each)]
        typer.echo(shlex.join(words))


@app.command()
def scan(
    folder: Annotated[
        str,
        typer.Argument(
            help="The folder to look at; no manifest needs to describe it. Or an archive, dicomweb:URL (needs "
            "medseg[dicomweb])."
        ),
    ],
    jobs: Jobs = None,
    on: On = "",
    study: Studies = None,
) -> None:
    """Look at an unknown folder: its files, layout, cases, labels, and what belongs to nothing. Names are shown."""
    with guarded(Console(stderr=True), show_paths=True):
        from medseg.api.dicomweb.scanning import Announced, scan  # noqa: PLC0415
        from medseg.api.dicomweb.source import is_archive  # noqa: PLC0415
        from medseg.cli.printing.look_report import next_line, print_announced, print_look  # noqa: PLC0415

        console = Console()
        found = scan(folder, studies=study or (), progress=display(console), jobs=jobs, on=on)
        if isinstance(found, Announced):
            print_announced(console, found, folder)
            return
        print_look(console, found)
        if found.listing is not None and not is_archive(folder):
            typer.echo(next_line(Path(folder)))
