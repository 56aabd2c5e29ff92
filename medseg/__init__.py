"""medseg: two-dimensional medical imaging, from a declared pipeline to a tracked model.

Research use only; not a medical device.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from medseg import networks, readers, transforms
    from medseg.api import (
        RunResult,
        audit_run,
        compare,
        deidentify,
        delete_run,
        evaluate,
        export,
        keep_comparison,
        load_pipeline,
        new_pipeline,
        predict,
        report,
        reproduce_run,
        resume_folds,
        resume_pipeline,
        resume_sweep,
        run_folds,
        run_pipeline,
        run_sweep,
        runs,
        scan,
        show_run,
        sync_runs,
    )
    from medseg.datasets.case import Case
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.errors import DataError, DefinitionError, MedsegError
    from medseg.learning.inference.predictor import Predictor

# Heavy modules (torch, MONAI) are imported when a name is first used, so that `medseg --help` is quick.
_HOMES = {
    "Case": "medseg.datasets.case",
    "DataError": "medseg.errors",
    "DefinitionError": "medseg.errors",
    "Manifest": "medseg.datasets.manifest.manifest",
    "MedsegError": "medseg.errors",
    "Predictor": "medseg.learning.inference.predictor",
    "RunResult": "medseg.api",
    "audit_run": "medseg.api",
    "compare": "medseg.api",
    "deidentify": "medseg.api",
    "delete_run": "medseg.api",
    "evaluate": "medseg.api",
    "export": "medseg.api",
    "keep_comparison": "medseg.api",
    "load_pipeline": "medseg.api",
    "new_pipeline": "medseg.api",
    "predict": "medseg.api",
    "report": "medseg.api",
    "reproduce_run": "medseg.api",
    "resume_folds": "medseg.api",
    "resume_pipeline": "medseg.api",
    "resume_sweep": "medseg.api",
    "run_folds": "medseg.api",
    "run_pipeline": "medseg.api",
    "run_sweep": "medseg.api",
    "runs": "medseg.api",
    "scan": "medseg.api",
    "show_run": "medseg.api",
    "sync_runs": "medseg.api",
    "view": "medseg.api",
}

__all__ = [
    "Case",
    "DataError",
    "DefinitionError",
    "Manifest",
    "MedsegError",
    "Predictor",
    "RunResult",
    "__version__",
    "audit_run",
    "compare",
    "deidentify",
    "delete_run",
    "evaluate",
    "export",
    "keep_comparison",
    "load_pipeline",
    "networks",
    "new_pipeline",
    "predict",
    "readers",
    "report",
    "reproduce_run",
    "resume_folds",
    "resume_pipeline",
    "resume_sweep",
    "run_folds",
    "run_pipeline",
    "run_sweep",
    "runs",
    "scan",
    "show_run",
    "sync_runs",
    "transforms",
    "view",
]

# Public modules, imported on first use as well.
_MODULES = {"networks", "readers", "transforms"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _MODULES:
        return import_module(f"medseg.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'medseg' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - a tenth of `medseg --help`

    try:
        return version("medseg")
    except PackageNotFoundError:  # a checkout that is on the path without being installed
        return "0+unknown"


def __dir__() -> list[str]:
    return sorted(__all__)
