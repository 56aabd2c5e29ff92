"""Values of label maps that mean that nobody annotated a voxel."""

from __future__ import annotations

import numpy as np
import pytest

from medseg.datasets.manifest.label_map import Derive, LabelRule
from medseg.datasets.manifest.manifest import Manifest
from medseg.datasets.unannotated import UNANNOTATED
from medseg.errors import DataError, ManifestError

STORED = np.array([[[0, 1, 9], [4, 9, 0]]])
SAID = Manifest.named("brats2019").model_dump(by_alias=True)

NAMES = [f"c{n}" for n in range(256)]
MANY = {"classes": NAMES, "label_values": dict(enumerate(NAMES)), "derive": None, "segments": {}}


def said(**changes):
    return Manifest.from_json({**SAID, **changes})


def test_an_ignored_value_has_no_class() -> None:
    rule = said(
        ignore=9,
        label_values={0: "outside", 1: "necrotic_core", 2: "oedema", 4: "enhancing", 3: "healthy"},
        derive=None,
    ).label_rule()

    assert rule.encode(STORED, STORED[None]).tolist() == [[[0, 2, 255], [4, 255, 0]]]


def test_a_derived_class_leaves_it_alone() -> None:
    rule = LabelRule(("out", "in", "core"), {1: "core"}, Derive(0, "out", "in"), ignored=(9, 4))

    assert rule.encode(STORED, np.ones((1, *STORED.shape))).tolist()[0][1][0] == UNANNOTATED


def test_it_numbers_no_object() -> None:
    rule = LabelRule(("background", "cell"), {0: "background"}, instances="cell", ignored=(9, 255))

    assert rule.encode(STORED, STORED[None]).tolist() == [[[0, 1, 255], [1, 255, 0]]]
    assert rule.marked(STORED).tolist() == [[[0, 1, 0], [4, 0, 0]]]
    assert rule.collapsed({0: 2, 1: 1, 4: 1, 9: 2}) == {0: 2, 1: 2, 9: 2}
    assert rule.instance_value == 1


def test_what_is_not_ignored_is_still_refused() -> None:
    with pytest.raises(DataError, match=r"holds 4 in 1 places.*\(and \[9\] to be ignored\)"):
        LabelRule(("a", "b"), {0: "a", 1: "b"}, ignored=(9,)).encode(STORED, STORED[None])


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ignore": 2}, r"'ignore' holds \[2\], which 'label_values' or 'derive.from' names as well"),
        ({"ignore": [0]}, r"'ignore' holds \[0\]"),
        ({"ignore": [9, 9]}, "name each value once"),
        ({"ignore": 2**31}, "expected 32-bit whole numbers"),
        ({"ignore": "255"}, "'ignore'"),
        (MANY, "expected 255 at most"),
    ],
)
def test_what_cannot_be_ignored_is_refused(changes, complaint) -> None:
    with pytest.raises(ManifestError, match=complaint):
        said(**changes)


def test_whole_images_have_no_pixels_to_ignore() -> None:
    described = Manifest.named("radiology").model_dump(by_alias=True)
    with pytest.raises(ManifestError, match="'ignore' are of label maps"):
        Manifest.from_json({**described, "ignore": [255]})


@pytest.mark.parametrize(
    ("name", "changes", "why"),
    [
        ("emps", {"pictures": {"channels": "grey", "mask_above": 9}}, "a mask holds 0 and 1 alone"),
        ("nuclei", {}, "a file for each object"),
    ],
)
def test_masks_without_such_values_ignore_none(name, changes, why) -> None:
    described = Manifest.named(name).model_dump(by_alias=True)
    with pytest.raises(ManifestError, match=f"'ignore' is .*{why}.*take it out"):
        Manifest.from_json({**described, **changes, "ignore": [77]})


def test_the_fingerprint_knows_of_it_and_is_that_of_before_without() -> None:
    assert said(ignore=9).fingerprint() == said(ignore=[9]).fingerprint()
    assert said(ignore=9).fingerprint() != said().fingerprint() == Manifest.named("brats2019").fingerprint()
