"""What classes are in codes and colours, as DICOM segmentations say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom.sr.codedict import codes

from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.manifest.rules import SegmentRule
from medseg.errors import ManifestError
from medseg.images.dicom.writing.segments import TISSUE, Code

SHIPPED = sorted((Path(__file__).parents[3] / "data_manifests").glob("*.yaml"))
BASE: dict[str, Any] = {
    **dict.fromkeys(("name", "about", "source", "licence", "citation", "obtain"), "x"),
    "channels": ["t1"],
    "classes": ["background", "oedema"],
    "label_values": {0: "background", 1: "oedema"},
    "layout": {"images": "{case}.nii.gz"},
}
EDEMA = {"value": "79654002", "scheme": "SCT", "meaning": "Edema"}


def manifest(rule: object, **changes: Any) -> Manifest:
    return Manifest.from_json({**BASE, "segments": {"oedema": rule}, **changes})


def test_a_class_has_a_code_a_category_and_a_colour() -> None:
    found = manifest({"code": EDEMA, "colour": [0, 128, 255]}).segments["oedema"]
    assert found == SegmentRule(code=Code("79654002", "SCT", "Edema"), category=TISSUE, colour=(0, 128, 255))
    assert manifest({}).segments["oedema"] == SegmentRule(code=TISSUE, category=TISSUE, colour=None)


def test_they_are_kept_and_change_nothing_that_is_learned() -> None:
    coded = manifest({"code": EDEMA, "colour": [0, 128, 255]})
    assert Manifest.from_json(coded.model_dump(mode="json", by_alias=True, exclude_none=True)) == coded
    assert coded.fingerprint() == Manifest.from_json(BASE).fingerprint()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (
            {"code": {**EDEMA, "value": 79654002}},
            r"segments\.oedema\.code\.value': expected a text.*in quotes",
        ),
        ({"code": {**EDEMA, "value": "T-D0050"}}, r"segments\.oedema\.code'.*digits alone"),
        ({"code": {**EDEMA, "value": "1" * 17}}, "expected 1 to 16 letters"),
        ({"code": {**EDEMA, "meaning": "x" * 65}}, "expected 1 to 64 letters"),
        ({"code": {**EDEMA, "meaning": "a\\b"}}, "without a backslash"),
        ({"code": {**EDEMA, "meaning": ""}}, "expected 1 to 64 letters"),
        (
            {"category": {**EDEMA, "scheme": "SRT"}},
            r"segments\.oedema\.category': 'scheme' is 'SRT', expected one of",
        ),
        ({"code": {"value": "1", "scheme": "SCT"}}, r"code\.meaning': is missing"),
        ({"code": {**EDEMA, "version": "1"}}, r"code\.version': there is no such key"),
        ({"code": "Edema"}, r"segments\.oedema\.code': expected a mapping"),
        ({"color": [1, 2, 3]}, "did you mean 'colour'"),
        ({"colour": [1, 2, 256]}, r"segments\.oedema\.colour\.2': expected 255 or less"),
    ],
)
def test_what_is_no_code_or_colour_is_refused(rule: object, said: str) -> None:
    with pytest.raises(ManifestError, match=said):
        manifest(rule)


def test_codes_of_ones_own_and_classes_that_are_there() -> None:
    assert manifest({"code": {"value": "A.1", "scheme": "99WARD", "meaning": "Ödem"}}).segments
    with pytest.raises(ManifestError, match=r"'segments' names \['tumour'\], which are not among 'classes'"):
        manifest({}, segments={"tumour": {}})
    whole = {"image_labels": "one", "label_values": {}, "pictures": {"channels": "grey"}}
    whole["layout"] = {"class_folders": True}
    with pytest.raises(ManifestError, match="'segments' is of label maps"):
        manifest({}, **whole)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_codes_that_came_with_medseg_are_those_of_the_standard(path: Path) -> None:
    for rule in Manifest.from_yaml(path).segments.values():
        for code in (rule.code, rule.category):
            known = getattr(codes, code.scheme)
            named = "".join(word.capitalize() for word in code.meaning.split())
            assert getattr(known, named).value == code.value
