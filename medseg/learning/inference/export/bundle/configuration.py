"""The two files that say what a bundle of MONAI is: its configuration and its metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import monai
import numpy as np
import torch

import medseg
from medseg.datasets.manifest.manifest import Manifest
from medseg.learning.inference.cleaning import as_given
from medseg.learning.inference.model_card import RESEARCH_ONLY
from medseg.learning.inference.predictor import Predictor
from medseg.slices.stages import case_stages

SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)
"""What `monai.bundle verify_metadata` compares the metadata with."""

VERSION = "0.1.0"
"""Of a bundle as it is first written."""

_HOME = "medseg.learning.bundle"


def configuration(predictor: Predictor) -> dict[str, Any]:
    """`configs/inference.json`: from the files of a folder to label maps in another.

    Args:
        predictor: Of label maps of NIfTI volumes.
    """
    rule, channels = predictor.preparation.rule, list(predictor.channels)
    stages = [_of_image(stage) for stage in case_stages(channels, rule, "nifti", truth=False)]
    return {
        "imports": ["$import numpy as np", "$import os"],
        "bundle_root": ".",
        "dataset_dir": "$os.path.join(@bundle_root, 'data')",
        "output_dir": "$os.path.join(@bundle_root, 'predictions')",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "channels": channels,
        "datalist": {"_target_": f"{_HOME}.cases_in", "folder": "@dataset_dir", "channels": "@channels"},
        "network_def": dict(predictor.network_spec),
        "network": "$@network_def.to(@device)",
        "task": predictor.task.spec(),
        "preprocessing": {"_target_": "Compose", "transforms": stages},
        "dataset": {"_target_": "Dataset", "data": "@datalist", "transform": "@preprocessing"},
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            "_target_": f"{_HOME}.SlicesInferer",
            "batch_size": predictor.batch_size,
            "flips": [list(flip) for flip in predictor.flips],
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {
                    "_target_": f"{_HOME}.LabelsFromLogitsd",
                    "keys": ["pred"],
                    "preprocessing": "@preprocessing",
                    "task": "@task",
                    "axis": rule.axis,
                    "moves": predictor.preparation.moves,
                    "cleaning": as_given(predictor.cleaning),
                },
                {
                    "_target_": "SaveImaged",
                    "keys": ["pred"],
                    "output_dir": "@output_dir",
                    "output_postfix": "seg",
                    "output_dtype": "$np.uint8",
                    "resample": False,
                    "separate_folder": False,
                    "print_log": False,
                },
            ],
        },
        "handlers": [
            {
                "_target_": "CheckpointLoader",
                "load_path": "$os.path.join(@bundle_root, 'models', 'model.pt')",
                "load_dict": {"model": "@network"},
                "map_location": "@device",
            }
        ],
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "prepare_batch": {"_target_": "PrepareBatchExtraInput", "extra_keys": {"content": "content"}},
            "postprocessing": "@postprocessing",
            "val_handlers": "@handlers",
            "amp": False,
        },
        "run": ["$@evaluator.run()"],
    }


def _of_image(stage: dict[str, Any]) -> dict[str, Any]:
    """A transform without what it does to the truth, which a case that is to be predicted does not have."""
    if not str(stage["_target_"]).startswith("medseg.transforms."):
        return stage | ({"allow_missing_keys": True} if "label" in stage.get("keys", ()) else {})
    kept = [place for place, key in enumerate(stage["keys"]) if key != "label"]
    lists = {name: [stage[name][place] for place in kept] for name in ("keys", "mode") if name in stage}
    return stage | lists


def metadata(predictor: Predictor, name: str) -> dict[str, Any]:
    """`configs/metadata.json`, as the schema of MONAI wants it.

    Args:
        predictor: The model.
        name: Of the bundle.
    """
    manifest, task = predictor.manifest, predictor.task
    shape = list(predictor.preparation.rule.size)
    values = {name: task.spec()[name] for name in ("threshold", "thresholds") if name in task.spec()}
    return {
        "schema": SCHEMA,
        "version": VERSION,
        "changelog": {VERSION: f"exported by medseg {medseg.__version__}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {"medseg": medseg.__version__},
        "name": name,
        "task": f"Segmentation of {', '.join(task.classes[1:])} slice by slice",
        "description": f"A two-dimensional model of the pipeline {predictor.about.get('pipeline', name)} of medseg.",
        "authors": "Those who trained it with medseg.",
        "copyright": "Of those who trained it; the data have a licence of their own.",
        "data_source": _source(manifest, predictor.about),
        "data_type": "nibabel",
        "intended_use": RESEARCH_ONLY,
        "network_data_format": {
            "inputs": {"image": _tensor("magnitude", shape, predictor.inputs)},
            "outputs": {"pred": _tensor("segmentation", shape, task.maps) | values},
        },
    }


def _tensor(form: str, shape: list[int], channels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "type": "image",
        "format": form,
        "num_channels": len(channels),
        "spatial_shape": shape,
        "dtype": "float32",
        "value_range": [],
        "is_patch_data": False,
        "channel_def": {str(number): name for number, name in enumerate(channels)},
    }


def _source(manifest: Manifest, about: Mapping[str, str]) -> str:
    """What was learned from: a generated sample is none of the data whose layout it has."""
    if about.get("data.kind") == "generated":
        return f"a generated sample in the layout of {manifest.name}"
    licence = f" ({manifest.licence})" if manifest.licence else ""
    mixture = about.get("data.generated_cases")
    made_up = f"{mixture} cases from a generated sample, the others of " if mixture else ""
    return f"{made_up}{manifest.name}{licence}"
