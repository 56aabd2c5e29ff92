"""An ONNX file says what it takes and gives, and is there only once it was found right."""

from __future__ import annotations

import configparser
import json
import re
import sys
from pathlib import Path

import pytest

from medseg.errors import ModelError


@pytest.fixture(scope="module")
def written(tumour, tmp_path_factory):
    from medseg.learning.inference.export.file import write_onnx

    path = tmp_path_factory.mktemp("secret place") / "model.onnx"
    write_onnx(tumour, path)
    return path


@pytest.fixture(scope="module")
def said(written):
    import onnx

    return {each.key: each.value for each in onnx.load(str(written)).metadata_props}


def test_its_metadata_say_what_goes_in_and_what_comes_out(said, tumour) -> None:
    assert said["medseg.format"] == "1"
    assert json.loads(said["medseg.channels"]) == list(tumour.channels)
    assert json.loads(said["medseg.classes"]) == ["background", "foreground"]
    assert json.loads(said["medseg.size"]) == [16, 24]
    assert said["medseg.divisor"] == "2"
    assert float(said["medseg.threshold"]) == 0.375
    assert json.loads(said["medseg.flips"]) == [[0], [1], [0, 1]]
    assert "rows, columns, both" in said["medseg.flips_in_words"]
    assert "the sigmoid of each" in said["medseg.output"]
    assert json.loads(said["medseg.label_values"]) == {"0": "background", "255": "foreground"}
    assert "NormalizeIntensityd" in said["medseg.preparation"]
    assert "padded and cropped around the centre to 16 x 24 pixels" in said["medseg.preparation"]
    assert json.loads(said["medseg.postprocessing"])[0].startswith("foreground: ")
    assert said["medseg.use"].startswith("Research use only")
    assert "NonCommercial" in said["medseg.data_licence"]
    assert re.fullmatch("[0-9a-f]{16}", said["medseg.weights_sha256"])


def test_it_names_no_run_and_no_path(written, said) -> None:
    content = written.read_bytes()
    assert "20260101-000000" not in str(said)
    for part in (b"secret place", b"site-packages", b".py"):
        assert part not in content


def test_onnxruntime_reads_the_same_metadata(written, said) -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
    assert session.get_modelmeta().custom_metadata_map == said
    assert session.get_inputs()[0].shape == ["batch", 3, "height", "width"]


def test_classes_that_exclude_one_another_have_a_softmax_and_their_temperature() -> None:
    from medseg.learning.inference.export.meaning import _output
    from medseg.learning.tasks.image_classes import ImageClasses, ImageTags

    assert _output(ImageClasses(("a", "b"))).endswith(
        "(batch, classes); the probabilities are the softmax over axis 1"
    )
    assert _output(ImageClasses(("a", "b"), temperature=2.0)).endswith("divided by `temperature`")
    assert "the sigmoid of each" in _output(ImageTags(("a", "b")))


def test_a_file_that_is_not_right_is_not_left_there(tumour, tmp_path, monkeypatch) -> None:
    from medseg.learning.inference.export import file

    def differs(*_):
        raise ModelError("its logits differ")

    monkeypatch.setattr(file, "largest_difference", differs)
    with pytest.raises(ModelError):
        file.write_onnx(tumour, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(name, tumour, tmp_path, monkeypatch) -> None:
    from medseg.learning.inference.export.file import write_onnx

    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[4] / "setup.cfg", encoding="utf-8")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ModelError, match=rf"^{name} cannot be imported.*medseg\[onnx\]: pip install"
    ) as refused:
        write_onnx(tumour, tmp_path / "model.onnx")
    required = setup["options.extras_require"]["onnx"].split()
    assert str(refused.value).endswith(" ".join(f'"{each}"' for each in required) + ".")
