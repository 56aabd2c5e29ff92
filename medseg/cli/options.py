"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medseg.errors import RunError

Name = Annotated[str, typer.Argument(help="A pipeline's name, or the path of its YAML file.")]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a value of the definition, such as steps.fit.epochs=5; may be given several times.",
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="PACKAGE",
        help="Allow classes of this package in the definition; may be given several times. Default: MEDSEG_ALLOW.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Read the data from this folder. Default: the generated sample of the pipeline, if it has one.",
    ),
]
From = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="dicomweb:URL",
        help="In place of INPUT, fetch a study from this archive (needs medseg[dicomweb]). Default: files.",
    ),
]
Studies = Annotated[
    list[str] | None,
    typer.Option(
        "--study",
        metavar="UID",
        help="StudyInstanceUID of the study in the archive; may be given several times.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="dicomweb:URL",
        help="Store DICOM segmentations in this archive, and read them back (needs medseg[dicomweb]). Default: none.",
    ),
]
Device = Annotated[str, typer.Option(help="Compute on this device: auto, cpu or cuda.")]
Model = Annotated[
    str,
    typer.Argument(
        help="A model's or run's folder, a run's name or MLflow id, a cross-validation, or `latest`."
    ),
]
AlsoModels = Annotated[
    list[str] | None,
    typer.Option(
        "--with",
        metavar="MODEL",
        help="Average with this model too; may be repeated. Default: MODEL alone, or all folds of a "
        "cross-validation.",
    ),
]
LookupUri = Annotated[
    str | None,
    typer.Option(
        "--tracking-uri",
        help="Look up run ids on this MLflow server. Default: MLFLOW_TRACKING_URI, else ./mlflow.db.",
    ),
]
Uri = Annotated[
    str | None,
    typer.Option(help="Track at this MLflow address. Default: MLFLOW_TRACKING_URI, else ./mlflow.db."),
]
Jobs = Annotated[
    int | None,
    typer.Option(min=1, help="Read this many cases at a time. Default: the number of processor cores."),
]
On = Annotated[
    str,
    typer.Option(
        "--on",
        metavar="WHERE",
        help="Do the work there, case by case or run by run: local:N, dask:ADDRESS, slurm:N, lsf:N or pbs:N (all but "
        "local need medseg[cluster]). Default: in this process and --jobs beside it.",
    ),
]
ShowPaths = Annotated[
    bool,
    typer.Option(
        "--show-paths",
        help="Print the paths of files in messages, although they may identify patients. Default: positions only.",
    ),
]
AllowDuplicates = Annotated[
    bool,
    typer.Option(
        "--allow-duplicates",
        help="Accept duplicate pictures in different roles, and record them. Default: stop and list them.",
    ),
]
KeyMap = Annotated[
    Path | None,
    typer.Option(
        "--write-key-map",
        metavar="FILE",
        help="Write which name became which to this new file, readable by you alone. Default: do not.",
    ),
]
RunName = Annotated[
    str | None,
    typer.Option("--name", help="Call the run so in MLflow. Default: its month, day, hour and minute."),
]
Note = Annotated[str, typer.Option("--note", help="Show this text with the run in MLflow. Default: none.")]
Tags = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="KEY=VALUE", help="Tag the run in MLflow; may be given several times."),
]
Register = Annotated[
    bool,
    typer.Option(
        "--register",
        help="Register the model under the pipeline's name, with the alias if its validation score is the highest so "
        "far. Default: do not.",
    ),
]
Alias = Annotated[
    str | None, typer.Option("--alias", help="Alias of the best registered model. Default: champion.")
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad", help="Leave out cases that have faults, and record which. Default: stop and list them."
    ),
]


def alias_of(register: bool, alias: str | None) -> str:
    """Alias with which a model is registered; empty where it is not.

    Raises:
        RunError: There is an alias, and nothing is registered.
    """
    if alias is not None and not register:
        raise RunError("--alias is of a model that is registered. Add --register, or leave --alias out.")
    return (alias or "champion") if register else ""
