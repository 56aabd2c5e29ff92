"""A model that takes the bytes of files, through MLflow's own server code, answers what `medseg predict` writes."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from medseg.api import RunResult, predict, save_servable
from medseg.datasets.finding.scan import scan
from medseg.errors import RunError

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, at import and load


def served(folder: Path) -> Any:
    import mlflow.pyfunc

    return mlflow.pyfunc.load_model(str(folder))


def asked(model: Any, *cases: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """What the server answers to JSON, as over HTTP."""
    from mlflow.pyfunc.scoring_server import invocations

    rows = [{part: base64.b64encode(content).decode() for part, content in case.items()} for case in cases]
    text = json.dumps({"dataframe_records": rows})
    given = invocations(text, "application/json", model, model.metadata.get_input_schema())
    assert given.status == 200, given.response
    found: list[dict[str, Any]] = json.loads(given.response)["predictions"]
    return found


@pytest.fixture(scope="module")
def classes_model(classified: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return served(save_servable(classified.folder, tmp_path_factory.mktemp("servable") / "model"))


@pytest.mark.slow
def test_a_volume_of_several_files_gives_the_mask_that_predict_writes(
    finished: RunResult, patients: Path, tmp_path: Path
) -> None:
    folder = save_servable(finished.folder, tmp_path / "model")
    case = scan(finished.predictor.manifest, patients).cases[0]
    predict(finished.folder, [patients / case.id], tmp_path / "out")
    model = served(folder)
    (found,) = asked(
        model, {channel: case.images[channel].read_bytes() for channel in finished.predictor.channels}
    )

    assert base64.b64decode(found["mask"]) == (tmp_path / "out" / f"{case.id}.nii.gz").read_bytes()
    assert found["measures"].keys() >= {"healthy_ml", "oedema_ml"}
    assert [each.name for each in model.metadata.get_input_schema()] == ["flair", "t1", "t1ce", "t2"]
    assert not [path for path in folder.rglob("*") if path.suffix in {".pkl", ".pickle"}]
    assert str(tmp_path) not in (folder / "MLmodel").read_text(encoding="utf-8")
    with pytest.raises(RunError, match="--force"):
        save_servable(finished.folder, folder)


@pytest.mark.slow
def test_pictures_and_dicom_files_give_classes_each_case_by_itself(
    classes_model: Any, classified: RunResult, sorted_pictures: Path, tmp_path: Path
) -> None:
    cases = scan(classified.predictor.manifest, sorted_pictures).cases
    paths = [next(iter(case.images.values())) for case in cases]
    one = [next(path for path in paths if path.suffix == suffix) for suffix in (".png", ".dcm")]
    expected = predict(classified.folder, one, tmp_path / "out").cases
    found = asked(
        classes_model,
        {"picture": one[0].read_bytes()},
        {"picture": b"no picture"},
        {"picture": one[1].read_bytes()},
    )

    assert [found[0]["measures"], found[2]["measures"]] == [dict(each.measures) for each in expected]
    assert list(found[1]) == ["error"]
    assert "picture" in found[1]["error"]
    assert not any(str(path.parent) in json.dumps(found) for path in one)


@pytest.mark.slow
def test_a_picture_gives_the_mask_that_predict_writes(
    pictured: RunResult, particles: Path, tmp_path: Path
) -> None:
    model = served(save_servable(pictured.folder, tmp_path / "model"))
    case = scan(pictured.predictor.manifest, particles).cases[0]
    (path,) = set(case.images.values())
    predict(pictured.folder, [path], tmp_path / "out")
    (part,) = [each.name for each in model.metadata.get_input_schema()]
    (found,) = asked(model, {part: path.read_bytes()})
    (mask,) = (tmp_path / "out").glob("*.png")

    assert base64.b64decode(found["mask"]) == mask.read_bytes()


def test_what_is_missing_or_too_large_is_refused_before_it_is_read(
    classified: RunResult, sorted_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.learning.inference import from_bytes

    picture = next(sorted_pictures.rglob("*.png")).read_bytes()
    monkeypatch.setattr(from_bytes, "MOST_VOXELS", 10)
    monkeypatch.setattr(
        type(classified.predictor.preparation.files), "read", lambda *_: pytest.fail("read before its size")
    )
    found = [
        from_bytes.answer(classified.predictor, {"picture": given})["error"] for given in (picture, None, b"")
    ]
    monkeypatch.setattr(from_bytes, "MOST_BYTES", 10)
    large = from_bytes.answer(classified.predictor, {"picture": picture})["error"]

    assert "voxels, expected at most 10" in found[0]
    assert found[1] == found[2] == "picture is missing: expected the bytes of a file, in JSON as base64"
    assert "bytes, expected at most 10" in large
