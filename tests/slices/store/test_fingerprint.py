from __future__ import annotations

import sys
from pathlib import Path

import pytest

from medseg.slices.rule import SliceRule
from medseg.slices.store.fingerprint import make_recipe


def fingerprint(target: str) -> str:
    rule = SliceRule(size=(8, 8), transforms=[{"_target_": target, "keys": ["image"]}])
    return make_recipe(("t1",), rule, None, regions={}, seed=0).fingerprint


def test_the_source_of_a_users_own_transform_is_part_of_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else slices that an older version of it made would be taken for those of the newer one."""
    monkeypatch.syspath_prepend(str(tmp_path))
    module = tmp_path / "ward_transforms.py"
    module.write_text("FACTOR = 1\n")
    before = fingerprint("ward_transforms.Scaled")
    module.write_text("FACTOR = 5\n")

    assert before != fingerprint("ward_transforms.Scaled")
    assert "ward_transforms" not in sys.modules


def test_a_shipped_transform_counts_by_its_version_alone() -> None:
    assert fingerprint("monai.transforms.Flipd") == fingerprint("monai.transforms.Flipd")


def test_resampling_onto_another_grid_is_part_of_the_fingerprint_and_naming_the_first_changes_nothing() -> (
    None
):
    def of(align: object) -> str:
        rule = SliceRule.model_validate({"size": (8, 8), "align": align})
        return make_recipe(("t1", "t2"), rule, None, regions={}, seed=0).fingerprint

    assert len({of(None), of("reference"), of({"reference": "t2"})}) == 3
    assert of("reference") == of({"reference": "t1"}) == of({})
