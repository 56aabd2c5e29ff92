"""What is written of images whose classes are told: probabilities, and on wish where the network looked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from medseg.api import predict
from medseg.api.outputs import ClassOutput, PictureOutput, VolumeOutput, Wishes, output_of
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import DataError, DefinitionError, ModelError
from medseg.learning.inference.predictor import Predictor
from medseg.learning.tasks.image_classes import ImageClasses, ImageTags
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.testing.disc_reader import DiscReader
from medseg.testing.labelled import disc
from medseg.testing.pictures import write_picture

MANIFESTS = Path(__file__).parents[2] / "data_manifests"
CLASSES = ("low", "é (a)")
LABELS = {"one": [0], "other": [1], "both": [0, 1], "neither": []}


def predictor_of(*, many: bool = False) -> Predictor:
    given = Manifest.from_yaml(MANIFESTS / "image_folders.yaml").model_dump(by_alias=True)
    given |= {"classes": CLASSES, "ids": "pseudonyms"}
    if many:
        layout = {"csv": "labels.csv", "image": "image", "labels": list(CLASSES)}
        given |= {"image_labels": "many", "layout": layout, "group": None}
    manifest = Manifest.model_validate(given)
    rule = SliceRule(size=(24, 32), fit="pad")
    preparation = Preparation(("picture",), rule, files=manifest.files())
    task = ImageTags(CLASSES) if many else ImageClasses(CLASSES)
    return Predictor(DiscReader(1, 2).eval(), {}, task, preparation, manifest)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures in one folder, with nothing that tells their class."""
    for number, (name, which) in enumerate(LABELS.items()):
        write_picture(tmp_path / "in" / f"{name}.png", disc(which, 2, seed=(number,)))
    return tmp_path / "in"


def by_hand(network: torch.nn.Module, path: Path) -> torch.Tensor:
    picture = torch.tensor(np.asarray(Image.open(path)), dtype=torch.float32)
    with torch.no_grad():
        return network(picture[None, None])[0]


def rows(out: Path) -> dict[str, dict[str, object]]:
    frame = pd.read_csv(out / "classes.csv", keep_default_na=False)
    return {str(row["case"]).rpartition("/")[2]: row for row in frame.to_dict("records")}


@pytest.mark.parametrize("many", [False, True])
def test_the_table_tells_the_class_and_the_probability_of_each(
    pictures: Path, tmp_path: Path, *, many: bool
) -> None:
    model = predictor_of(many=many)
    found = predict(model, [pictures], tmp_path / "out")
    written = rows(tmp_path / "out")
    assert set(written) == set(LABELS)
    for name, row in written.items():
        logits = by_hand(model.network, pictures / f"{name}.png")
        chances = torch.sigmoid(logits) if many else torch.softmax(logits, dim=0)
        assert [row["probability_low"], row["probability_é (a)"]] == pytest.approx(chances.tolist(), abs=1e-6)
        said = [each for each, p in zip(CLASSES, chances, strict=True) if p >= 0.5]
        assert row["class"] == ("; ".join(said) if many else CLASSES[int(chances.argmax())])
    assert (written["one"]["class"], written["other"]["class"]) == CLASSES
    if many:
        assert (written["both"]["class"], written["neither"]["class"]) == ("low; é (a)", "")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["README.txt", "classes.csv"]
    assert [each.path for each in found.cases] == [None] * 4
    assert (found.noun, found.table, found.first) == ("", "classes.csv", ("class",))


def test_heat_maps_are_written_on_wish_and_call_nothing_a_hit(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from medseg.figures.saving import save_figure

    figures = []

    def keep(figure, path):
        figures.append(figure)
        return save_figure(figure, path)

    monkeypatch.setattr("medseg.figures.saving.save_figure", keep)
    found = predict(predictor_of(), [pictures / "one.png"], tmp_path / "out", heat_maps=True)
    (case,) = found.cases
    assert case.path == tmp_path / "out" / case.case / "heat_map.png"
    with Image.open(case.path) as image:
        assert image.format == "PNG"
    (figure,) = figures
    heading, said = (text.get_text() for text in figure.texts)
    assert heading == "research use only, not a medical device"
    assert said == f"predicted: low, {case.measures['probability_low']:.3f}"


def test_a_network_that_looks_nowhere_is_told_to_do_without_heat_maps(pictures: Path, tmp_path: Path) -> None:
    flat = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(24 * 32, 2)).eval()
    model = replace(predictor_of(), network=flat)
    with pytest.raises(ModelError, match=r"no feature map.*Leave out --heat-maps\.$"):
        predict(model, [pictures], tmp_path / "out", heat_maps=True)
    assert len(predict(model, [pictures], tmp_path / "out").cases) == 4


def test_an_image_that_cannot_be_read_keeps_no_other_from_being_told(pictures: Path, tmp_path: Path) -> None:
    (pictures / "one.png").write_bytes(b"no picture")
    found = predict(predictor_of(), [pictures], tmp_path / "out")
    assert len(found.cases) == 3
    assert len(found.faults) == 1
    (pictures / "alone").mkdir()
    write_picture(pictures / "alone" / "bad.png", disc([0], 2)).write_bytes(b"")
    with pytest.raises(DataError, match="no case could be predicted"):
        predict(predictor_of(), [pictures / "alone"], tmp_path / "none")


def test_what_each_kind_of_model_cannot_give_is_refused() -> None:
    with pytest.raises(DefinitionError, match=r"probabilities are in classes\.csv"):
        ClassOutput().refuse(Wishes(probabilities=True))
    ClassOutput().refuse(Wishes(heat_maps=True))
    for output in (VolumeOutput(), PictureOutput()):
        with pytest.raises(DefinitionError, match="gives label maps"):
            output.refuse(Wishes(heat_maps=True))
        output.refuse(Wishes(probabilities=True))


def test_what_is_refused_is_refused_before_anything_is_written(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="Leave out --probabilities"):
        predict(predictor_of(), [pictures], tmp_path / "out", probabilities=True)
    assert not (tmp_path / "out").exists()


def test_formats_of_label_maps_of_volumes_are_refused_of_pictures(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match=r"--format and --to, .*Leave them out\.$"):
        predict(predictor_of(), [pictures], tmp_path / "out", format="nifti")
    assert not (tmp_path / "out").exists()


def test_the_truth_that_was_learned_from_chooses_what_is_written() -> None:
    for many in (False, True):
        assert isinstance(output_of(predictor_of(many=many)), ClassOutput)
