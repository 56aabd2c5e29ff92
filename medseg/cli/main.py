"""The `medseg` command."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from medseg.cli import data, pipeline, runs
from medseg.cli.deidentify import deidentify
from medseg.cli.display import display, print_line
from medseg.cli.gone import mark_and_tell
from medseg.cli.guard import guarded
from medseg.cli.models.export import export
from medseg.cli.models.view import view
from medseg.cli.options import (
    Allow,
    AlsoModels,
    Device,
    From,
    Jobs,
    KeyMap,
    LookupUri,
    Model,
    Note,
    On,
    RunName,
    Set,
    ShowPaths,
    SkipBad,
    Studies,
    Tags,
    To,
    Uri,
)
from medseg.cli.studies import folds, sweep

NOTICE = "Research use only; not a medical device."

app = typer.Typer(
    name="medseg",
    help=f"Two-dimensional medical imaging: declared pipelines, tracked runs. {NOTICE}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(pipeline.app, name="pipeline")
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")
cache = typer.Typer(help="Prepared slices, generated samples and remembered checks.", no_args_is_help=True)
app.add_typer(cache, name="cache")
app.command()(deidentify)
app.command()(export)
app.command()(view)
pipeline.app.command()(folds)
pipeline.app.command()(sweep)


def _version(expected: bool) -> None:
    if expected:
        from medseg import __version__  # noqa: PLC0415

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def medseg(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Make names that a terminal cannot show harmless, before any command."""
    del version  # its callback has done all
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names that a terminal cannot show end no command


@app.command()
def predict(
    model: Model,
    inputs: Annotated[
        list[Path] | None, typer.Argument(metavar="INPUT", help="Cases, or folders of them.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", help="Folder to write to; needed unless there is --to. Default: none."),
    ] = None,
    source: From = None,
    study: Studies = None,
    to: To = None,
    probabilities: Annotated[
        bool,
        typer.Option(
            "--probabilities",
            help="Also write the probability of each class at each voxel or pixel. Default: label maps only.",
        ),
    ] = False,
    heat_maps: Annotated[
        bool,
        typer.Option(
            "--heat-maps", help="For classes of images: draw Grad-CAM heat maps. Default: no heat maps."
        ),
    ] = False,
    format: Annotated[  # noqa: A002 - as the option is called
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT[,FORMAT...]",
            help="Write label maps of volumes as nifti, and of DICOM series also as seg (a DICOM segmentation, "
            "BINARY) or seg-labelmap (LABELMAP, for new viewers). Default: nifti, or mha or nrrd as "
            "the input is.",
        ),
    ] = None,
    also: AlsoModels = None,
    save_model: Annotated[
        Path | None,
        typer.Option(
            "--save-model", help="Also write the models together, as one, to this new folder. Default: none."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Compute on this device: auto, cpu or cuda.")] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            help="Compute the network by this library: torch, or onnx (needs medseg[onnx]), mostly quicker on a CPU."
        ),
    ] = "torch",
    on: On = "",
    tracking_uri: LookupUri = None,
    allow: Allow = None,
    key_map: KeyMap = None,
    show_paths: ShowPaths = False,
) -> None:
    """Segment or classify new cases: label maps on the grid of the input, or a table of classes."""
    errors = Console(stderr=True)
    with guarded(errors, show_paths=show_paths):
        from medseg.api import predict as ask  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.printing.predicted import print_predicted  # noqa: PLC0415

        console = Console()
        found = ask(
            [model, *(also or ())],
            inputs or (),
            out,
            source=source or "",
            study=study or (),
            to=to or "",
            save_model=save_model,
            probabilities=probabilities,
            heat_maps=heat_maps,
            format=format or (),
            device=device,
            engine=engine,
            on=on,
            tracking_uri=tracking_uri,
            allow=allow or (),
            key_map=key_map,
            progress=display(console),
        )
        code = print_predicted(console, errors, found, out, show_paths=show_paths, key_map=key_map)
    raise typer.Exit(code)


@app.command()
def evaluate(
    model: Annotated[
        str, typer.Argument(help="A model's or run's folder, a run's name or MLflow id, or `latest`.")
    ],
    data_folder: Annotated[Path, typer.Option("--data", help="Score it on the data in this folder.")],
    manifest: Annotated[
        str | None,
        typer.Option(
            "--manifest",
            help="Read the data by this manifest, a name or path. Default: the one the model learned from.",
        ),
    ] = None,
    sets: Set = None,
    device: Device = "auto",
    skip_bad: SkipBad = False,
    allow_learned: Annotated[
        bool,
        typer.Option(
            "--allow-learned", help="Score cases, too, that the model has learned from. Default: refuse them."
        ),
    ] = False,
    tracking_uri: Uri = None,
    allow: Allow = None,
    jobs: Jobs = None,
    on: On = "",
    run_name: RunName = None,
    note: Note = "",
    tags: Tags = None,
    show_paths: ShowPaths = False,
) -> None:
    """Score a saved model on other labelled data: external validation, as a tracked run of its own."""
    with guarded(Console(stderr=True), show_paths=show_paths):
        mark_and_tell()
        from medseg.api import evaluate as score  # noqa: PLC0415  # imports torch and MONAI
        from medseg.cli.tables import print_result  # noqa: PLC0415

        console = Console()
        result = score(
            model,
            data_folder,
            manifest=manifest,
            set=sets or (),
            device=device,
            skip_bad=skip_bad,
            allow_learned=allow_learned,
            tracking_uri=tracking_uri,
            allow=allow or (),
            jobs=jobs,
            on=on,
            run_name=run_name,
            note=note,
            tags=tags or (),
            progress=display(console),
        )
        print_result(console, result)


@app.command()
def ui(
    port: Annotated[int, typer.Option(help="Listen on this port of 127.0.0.1.")] = 5000,
    tracking_uri: Annotated[
        str | None,
        typer.Option(
            help="Show the runs of this MLflow store. Default: MLFLOW_TRACKING_URI, else ./mlflow.db."
        ),
    ] = None,
    browser: Annotated[
        bool | None,
        typer.Option(
            help="Open the page in the browser. Default: where this is a terminal on a desktop.",
        ),
    ] = None,
) -> None:
    """Open the MLflow UI on 127.0.0.1, for comparing runs."""
    with guarded(Console(stderr=True)):
        from medseg.tracking.mlflow.address import default_uri, masked  # noqa: PLC0415
        from medseg.tracking.mlflow.page.server import has_desktop, serve_ui  # noqa: PLC0415

        mark_and_tell()
        uri, console = default_uri(tracking_uri), Console()
        opens = (console.is_terminal and has_desktop()) if browser is None else browser
        title = f"MLflow UI of {masked(uri)}"

        def ready(address: str) -> None:
            opened = " It is opened in the browser." if opens else ""
            print_line(console, f"{title}: {address}{opened} Ctrl-C ends it.")

        print_line(console, f"Starting the {title}.")
        serve_ui(uri, port=port, open_browser=opens, ready=ready)


@cache.command("list")
def cache_list() -> None:
    """Show what is kept, and how large it is."""
    with guarded(Console(stderr=True)):
        from medseg.cli.tables import print_cache  # noqa: PLC0415
        from medseg.places import cache_contents, cache_folder  # noqa: PLC0415

        print_cache(Console(), cache_folder(), cache_contents())


@cache.command("clear")
def cache_clear(
    kind: Annotated[
        str | None,
        typer.Argument(help="Clear only this kind: stores, samples, checked or models. Default: all kinds."),
    ] = None,
) -> None:
    """Delete what is kept; it is made again when it is needed."""
    with guarded(Console(stderr=True)):
        from medseg.places import clear_cache  # noqa: PLC0415

        freed = clear_cache(kind)
        typer.echo(f"Freed {freed / 2**20:,.1f} MiB.")
