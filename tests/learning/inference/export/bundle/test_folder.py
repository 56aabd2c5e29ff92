"""A bundle gives what `predict` gives: `write_bundle` runs it on a generated case before it counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import torch

from medseg.component import build
from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, ModelError
from medseg.learning.inference.cleaning import Cleaning
from medseg.learning.inference.export.bundle.folder import run_bundle, write_bundle
from medseg.learning.inference.export.bundle.running import cases_in
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule

ROOT = Path(__file__).parents[5]
UNET = {
    "_target_": "monai.networks.nets.UNet",
    "spatial_dims": 2,
    "channels": [4, 8],
    "strides": [2],
    "norm": "instance",
}
NORMALISE = {"_target_": "monai.transforms.NormalizeIntensityd", "keys": ["image"], "nonzero": True}
TURN = {
    "_target_": "monai.transforms.Rotated",
    "keys": ["image", "label"],
    "angle": [0.0, 0.0, 0.2],
    "mode": ["bilinear", "nearest"],
}
CHANNELS = {"brats2019": ("flair", "t1", "t1ce", "t2"), "hippocampus": ("t1",)}


def predictor(
    manifest: str = "hippocampus",
    network: dict[str, Any] | None = None,
    *,
    spec: dict[str, Any] | None = None,
    **rule: Any,
) -> Predictor:
    described = Manifest.from_yaml(ROOT / "data_manifests" / f"{manifest}.yaml")
    torch.manual_seed(3)
    classes = described.classes
    spec = spec or UNET | {"in_channels": len(described.channels), "out_channels": len(classes)} | (
        network or {}
    )
    made = build(spec, at="network", kind=torch.nn.Module).eval()
    slices = SliceRule.model_validate({"size": [16, 24], "transforms": [NORMALISE], **rule})
    about = {"pipeline": "tiny", "run": "20260101-000000"}
    return Predictor(
        made, spec, ClassMasks(classes), Preparation(described.channels, slices), described, about=about
    )


RULES: dict[str, dict[str, Any]] = {
    "padded and cropped": {},
    "four channels": {"manifest": "brats2019"},
    "stretched, coronal": {"fit": "resize", "axis": "coronal"},
    "tiled, sagittal": {"fit": "tile", "axis": "sagittal"},
    "other pixels": {"spacing": [1.5, 1.25]},
    "turned by a transform": {"transforms": [NORMALISE, TURN]},
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_all_voxels_are_those_of_the_model(rule: dict[str, Any], tmp_path: Path) -> None:
    assert write_bundle(predictor(**rule), tmp_path / "bundle") > 500


def test_of_several_outputs_that_which_counts_is_decided_by(tmp_path: Path) -> None:
    nested = {
        "_target_": "monai.networks.nets.BasicUNetPlusPlus",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 3,
        "features": [2] * 6,
        "deep_supervision": True,
    }
    model = predictor(spec=nested, size=[32, 32])

    assert write_bundle(model, tmp_path / "bundle") > 500
    saved = Predictor.load(model.save(tmp_path / "model"))
    slices = np.random.default_rng(0).random((2, 1, 32, 32), dtype=np.float32)
    assert np.array_equal(saved.logits(slices), model.logits(slices))


def test_flips_and_post_processing_are_in_it(tmp_path: Path) -> None:
    model = replace(predictor(), flips=((0,), (1,), (0, 1)), cleaning=(Cleaning(1, largest=True, fill=True),))
    assert write_bundle(model, tmp_path / "bundle") > 500


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, monai_imported: None) -> Path:
    path = tmp_path_factory.mktemp("written") / "bundle"
    write_bundle(predictor("brats2019"), path)
    return path


def write_case(folder: Path, case: str, channels: tuple[str, ...], seed: int) -> dict[str, Path]:
    random, affine = np.random.default_rng(seed), np.diag([-1.0, 1.0, 2.0, 1.0])
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / f"{case}_{name}.nii.gz" for name in channels}
    for path in files.values():
        voxels = random.gamma(2.0, 50.0, (26, 19, 5)).astype(np.float32)
        voxels[:, :, 3] = 0  # a slice that shows nothing
        nibabel.save(nibabel.Nifti1Image(voxels, affine), path)
    return files


def test_monai_runs_it_on_the_cases_of_a_folder(bundle: Path, tmp_path: Path) -> None:
    model = predictor("brats2019")
    cases = {
        case: write_case(tmp_path / "data" / place, case, model.channels, seed)
        for seed, (case, place) in enumerate({"one": "one", "two": "deeper/down"}.items())
    }
    run_bundle(bundle, tmp_path / "data", tmp_path / "out")

    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one_seg.nii.gz", "two_seg.nii.gz"]
    for case, files in cases.items():
        written = nibabel.load(tmp_path / "out" / f"{case}_seg.nii.gz")
        expected = model.predict(Case(case, case, files, None)).labels
        assert np.array_equal(np.asanyarray(written.dataobj), expected)
        assert len(np.unique(expected)) > 2
        assert np.allclose(written.affine, np.diag([-1.0, 1.0, 2.0, 1.0]))
        assert written.get_data_dtype() == np.uint8


def test_transforms_that_are_built_a_second_time_lead_back_as_well(bundle: Path, tmp_path: Path) -> None:
    """As MONAI Label has them: it builds each part by itself, and tells the inferer nothing of empty slices."""
    from monai.bundle import ConfigParser

    model = predictor("brats2019")
    files = write_case(tmp_path, "one", model.channels, seed=5)

    def part(name: str) -> Any:
        parser = ConfigParser()
        parser.read_config(bundle / "configs" / "inference.json")
        return parser.get_parsed_content(name)

    network = part("network_def").eval()
    network.load_state_dict(torch.load(bundle / "models" / "model.pt", weights_only=True))
    data = part("preprocessing")({"case": "one", "image": [str(files[name]) for name in model.channels]})
    data["pred"] = part("inferer")(data["image"][None], network)[0]
    labels = part("postprocessing").transforms[0](data)["pred"]

    assert np.array_equal(labels.numpy()[0], model.predict(Case("one", "one", files, None)).labels)


def test_the_metadata_say_what_monai_asks_of_them(bundle: Path) -> None:
    """The fields that `meta_schema_20240725.json` requires; `verify_net_in_out` reads the last."""
    from monai.bundle import verify_net_in_out

    said = json.loads((bundle / "configs" / "metadata.json").read_text())
    required = "schema version monai_version pytorch_version numpy_version task description authors copyright"
    assert all(isinstance(said[name], str) for name in required.split())
    assert set(said["required_packages_version"]) == {"medseg"}
    tensor = {"type", "format", "num_channels", "spatial_shape", "dtype", "value_range"}
    image, pred = (
        said["network_data_format"]["inputs"]["image"],
        said["network_data_format"]["outputs"]["pred"],
    )
    assert tensor <= image.keys() & pred.keys()
    assert list(image["channel_def"].values()) == ["flair", "t1", "t1ce", "t2"]
    verify_net_in_out(
        "network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
    )


def test_no_run_is_named_in_it(bundle: Path) -> None:
    texts = [
        path.read_text()
        for path in bundle.rglob("*")
        if path.suffix in (".json", ".md", "") and path.is_file()
    ]
    assert len(texts) == 4
    assert not any("20260101" in text or str(bundle.parent) in text for text in texts)
    assert "Research use only" in (bundle / "docs" / "README.md").read_text()


HOSTILE: dict[str, dict[str, Any]] = {
    "an expression": {"act": "$open('ran', 'w').close()"},
    "a reference": {"act": ["relu", {"inplace": "@device"}]},
    "another file": {"act": "%/etc/passwd"},
    "a way to evaluate": {"act": ["relu", {"_requires_": "x"}]},
}


@pytest.mark.parametrize("arguments", HOSTILE.values(), ids=HOSTILE)
def test_words_that_monai_would_run_are_refused(
    arguments: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    model = predictor()
    hostile = replace(model, network_spec={**model.network_spec, **arguments})
    with pytest.raises(ModelError, match=r"the network of the model holds .* run as a program"):
        write_bundle(hostile, tmp_path / "bundle")

    assert list(tmp_path.iterdir()) == []


def test_names_that_monai_would_run_are_refused(tmp_path: Path) -> None:
    model = predictor()
    hostile = replace(model, manifest=model.manifest.model_copy(update={"licence": "$exit()"}))
    with pytest.raises(ModelError, match="the manifest of the model holds"):
        write_bundle(hostile, tmp_path / "bundle")


def test_a_model_that_monai_cannot_run_leaves_nothing(tmp_path: Path) -> None:
    model = predictor()
    broken = replace(model, network_spec={**model.network_spec, "channels": [4, 9]})
    with pytest.raises(ModelError, match=r"monai.bundle cannot run this model: .*--to onnx"):
        write_bundle(broken, tmp_path / "bundle")

    assert list(tmp_path.iterdir()) == []


def test_cases_are_found_by_their_channels(tmp_path: Path) -> None:
    for name in (
        "a_t1.nii",
        "a_t2.nii.gz",
        "sub/b_t1.nii.gz",
        "sub/b_t2.nii.gz",
        "sub/b_seg.nii.gz",
        "note.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    rows = cases_in(tmp_path, ["t2", "t1"])
    assert [(row["case"], [Path(path).name for path in row["image"]]) for row in rows] == [
        ("a", ["a_t2.nii.gz", "a_t1.nii"]),
        ("b", ["b_t2.nii.gz", "b_t1.nii.gz"]),
    ]

    (tmp_path / "sub" / "b_t2.nii.gz").unlink()
    with pytest.raises(DataError, match="case b has no file b_t2"):
        cases_in(tmp_path, ["t2", "t1"])
    with pytest.raises(DataError, match="holds no case"):
        cases_in(tmp_path, ["ct", "pet"])


def test_a_case_of_one_channel_needs_no_channel_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").touch()
    assert cases_in(tmp_path, ["t1"]) == [{"case": "a", "image": [str(tmp_path / "a.nii.gz")]}]


def test_a_folder_that_this_user_may_not_enter_is_not_passed_over(
    tmp_path: Path, close_folder: Callable[[Path], None]
) -> None:
    for name in ("a", "closed/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.nii.gz").touch()
    close_folder(tmp_path / "closed")
    with pytest.raises(DataError, match="cannot be looked into: Permission denied"):
        cases_in(tmp_path, ["t1"])
