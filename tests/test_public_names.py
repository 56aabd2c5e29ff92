"""What scripts may rely on: a name taken away or renamed is a change to be told, not an accident."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import medseg


def test_the_public_names_are_these() -> None:
    assert sorted(medseg.__all__) == [
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
    assert dir(medseg) == sorted(medseg.__all__)


def test_every_public_name_is_there_and_explains_itself(monai_imported: None) -> None:
    for name in set(medseg.__all__) - {"__version__"}:
        assert inspect.getdoc(getattr(medseg, name)), name


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(medseg, "run_everything")


def test_arguments_of_the_public_functions_keep_their_names(monai_imported: None) -> None:
    arguments = {
        name: list(inspect.signature(getattr(medseg, name)).parameters)
        for name in (
            "load_pipeline",
            "predict",
            "resume_folds",
            "resume_pipeline",
            "run_folds",
            "run_pipeline",
        )
    }

    assert arguments == {
        "load_pipeline": ["name", "set", "sample"],
        "predict": [
            *(
                "model",
                "inputs",
                "out",
                "source",
                "study",
                "to",
                "probabilities",
                "heat_maps",
                "format",
                "device",
                "engine",
                "on",
                "tracking_uri",
                "allow",
                "save_model",
                "key_map",
                "progress",
            ),
        ],
        "resume_folds": [
            "name",
            "data",
            "device",
            "tracking_uri",
            "allow",
            "jobs",
            "on",
            "take_over",
            "progress",
        ],
        "resume_pipeline": [
            "run",
            "data",
            "device",
            "tracking_uri",
            "allow",
            "jobs",
            "on",
            "take_over",
            "set",
            "progress",
        ],
        "run_folds": [
            *("name", "data", "folds", "set", "device", "skip_bad", "allow_duplicates"),
            *("tracking_uri", "allow", "jobs", "on", "run_name", "note", "tags", "progress"),
        ],
        "run_pipeline": [
            *("name", "data", "set", "device", "skip_bad", "allow_duplicates"),
            *("tracking_uri", "allow", "jobs", "on", "run_name", "note", "tags", "register", "progress"),
        ],
    }


@pytest.mark.slow
def test_networks_are_one_name_away_and_imported_on_first_use() -> None:
    program = (
        "import medseg, sys; medseg.networks; print([n for n in ('torch', 'monai', 'timm') if n in sys.modules]);"
        "print(medseg.networks.build_cnn((8, 8)).classifier, 'monai' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split("\n")[:2] == ["[]", "Linear(in_features=64, out_features=2, bias=True) False"]


def test_the_public_networks_are_those_of_the_learning_floor(monai_imported: None) -> None:
    from medseg.learning import networks

    assert medseg.networks.__all__ == networks.__all__ == dir(networks) == dir(medseg.networks)
    for name in networks.__all__:
        assert getattr(medseg.networks, name) is getattr(networks, name)
        assert inspect.getdoc(getattr(networks, name)), name
    assert not hasattr(networks, "VNet")
    assert not hasattr(medseg.networks, "VNet")


def test_importing_medseg_imports_nothing_heavy() -> None:
    program = (
        "import medseg, sys; print([n for n in ('torch', 'monai', 'mlflow', 'pandas') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
