"""A tiny study of DICOM series, a model that segments it, and archives that hold it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from medseg.testing.archive import Archive, serving
from medseg.testing.series import Stack, uid_of, write_series

STUDY = uid_of("p0")
PATIENT = "Canary-4711"


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Neither the machine's own credentials nor its proxies and temporary files."""
    for name in ("USER", "PASSWORD", "TOKEN"):
        monkeypatch.delenv(f"MEDSEG_DICOMWEB_{name}", raising=False)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no.netrc"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, to be looked at."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    return place


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two series of channels, one that no channel asks for, and a report; never change them."""
    folder, rng = tmp_path_factory.mktemp("study"), np.random.default_rng(7)
    stack = Stack(orientation=(0.0, 0.8, 0.6, 1.0, 0.0, 0.0), spacing=(1.2, 0.9), step=2.5)
    backwards = replace(stack, corner=(*stack.at(4),), step=-2.5)
    given = {"PatientID": PATIENT, "PatientName": "Canary^Bird", "StudyInstanceUID": STUDY}
    for number, (channel, where) in enumerate((("flair", stack), ("t1", backwards), ("localizer", stack)), 3):
        volume = rng.integers(0, 900, (5, 20, 26)).astype(np.uint16)
        write_series(folder, volume, where, SeriesDescription=channel, SeriesNumber=number, **given)
    return folder


@pytest.fixture(scope="session")
def model() -> Callable[..., Any]:
    """Make a model of two channels of DICOM series, whose ids are identifying."""
    import torch

    from medseg.component import build
    from medseg.datasets.manifest.manifest import Manifest
    from medseg.learning.inference.predictor import Predictor
    from medseg.learning.tasks.class_masks import ClassMasks
    from medseg.slices.preparation import Preparation
    from medseg.slices.rule import SliceRule

    network = {
        "_target_": "monai.networks.nets.UNet",
        "spatial_dims": 2,
        "in_channels": 2,
        "out_channels": 2,
        "channels": [2, 4],
        "strides": [2],
    }
    shared = {
        **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "ward"),
        "ids": "identifying",
        "channels": ["flair", "t1"],
        "classes": ["background", "tumour"],
        "label_values": {0: "background", 1: "tumour"},
        "layout": {"series": {name: {"SeriesDescription": name} for name in ("flair", "t1")}},
    }
    normalise = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "channel_wise": True}

    def make(**changes: Any) -> Predictor:
        torch.manual_seed(1)
        manifest = Manifest.model_validate({**shared, **changes})
        rule = SliceRule.model_validate({"size": (32, 32), "axis": "axial", "transforms": [normalise]})
        preparation = Preparation(("flair", "t1"), rule, files=manifest.files())
        built = build(network, at="network", kind=torch.nn.Module).eval()
        task = ClassMasks(tuple(shared["classes"]))
        return Predictor(built, network, task, preparation, manifest, about={"pipeline": "ward"})

    return make


@pytest.fixture
def archive(study: Path) -> Iterator[Archive]:
    """Serve an archive with the study."""
    with serving() as served:
        served.hold_folder(study)
        yield served
