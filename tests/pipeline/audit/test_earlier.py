"""What a certificate takes over from an earlier one, and from which."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from medseg.pipeline.audit.certificate import Certificate, Fitted
from medseg.pipeline.audit.earlier import Earlier, with_earlier

COUNTS = {"train": {"patients": 1, "cases": 1, "slices": 2}, "test": {"patients": 1, "cases": 1, "slices": 2}}
SUNG = {"role": "test", "patients": 8, "accuracy": 1.0, "chance": 0.5, "p": 0.001}
PAIR = {
    "first": "a",
    "first_role": "train",
    "second": "b",
    "second_role": "test",
    "kind": "near",
    "distance": 2,
}


def certificate(**other: Any) -> Certificate:
    known: dict[str, Any] = {
        "run": "run",
        "pipeline": "brats2d",
        "data": "d",
        "split": "s",
        "split_by": "group",
        "group_key": None,
        "groups": {"train": ["pa"], "test": ["pb"]},
        "counts": COUNTS,
        "images": {},
        "copies": [],
        "fitted": [Fitted("fit", "weights", ("train",))],
        "intensities": [],
        "leaks": {},
        "unseen": [],
    }
    return Certificate(**{**known, **other})


def earlier(folder: Path, found: Certificate) -> Earlier:
    found.write(folder)
    known = Earlier.of(folder)
    assert known is not None
    return known


FULL = {
    "images": {"cases": 2, "near": 2},
    "copies": [PAIR],
    "canary": SUNG,
    "leaks": {"images": "one pair", "canary": "it sings"},
    "fitted": [
        Fitted("fit", "weights", ("train",)),
        Fitted("own", "mean", ("test",)),
        Fitted("got", "net", None),
    ],
}


def test_what_is_not_looked_at_is_taken_over_and_said_to_be(tmp_path: Path) -> None:
    full = certificate(**FULL)
    found = with_earlier(certificate(), earlier(tmp_path, full))

    assert found.leaks == full.leaks
    assert (found.images, list(found.copies), found.canary) == (full.images, full.copies, SUNG)
    assert list(found.fitted) == list(full.fitted)
    told = " ".join(found.unseen)
    for word in ("Images a second time", "The canary a second time", "What steps.own, steps.got fits"):
        assert word in told
    assert "An earlier look found" not in told
    assert with_earlier(certificate(), earlier(tmp_path, found)).digest() == found.digest()


def test_a_whole_look_takes_nothing_but_leaks(tmp_path: Path) -> None:
    whole = certificate(**{**FULL, "leaks": {}})

    assert with_earlier(whole, earlier(tmp_path, whole)) == whole
    found = with_earlier(whole, earlier(tmp_path, certificate(**FULL)))
    assert found.leaks == FULL["leaks"]
    assert found.unseen == ["An earlier look found what this one did not, and it stays said: images, canary."]


@pytest.mark.parametrize("field", ["data", "split", "groups", "counts"])
def test_of_other_data_roles_or_slices_nothing_is_taken(tmp_path: Path, field: str) -> None:
    other = {"data": "e", "split": "t", "groups": {"train": ["pc"]}, "counts": {"train": COUNTS["test"]}}
    before = earlier(tmp_path, replace(certificate(**FULL), **{field: other[field]}))

    assert with_earlier(certificate(), before) == certificate()


def test_of_somebody_else_leaks_are_taken_and_nothing_that_speaks_for_the_run(tmp_path: Path) -> None:
    found = with_earlier(certificate(), earlier(tmp_path, certificate(**FULL)), mine=False)

    assert found.leaks == FULL["leaks"]
    assert (found.images, found.canary) == ({}, None)


def test_a_certificate_that_is_missing_or_no_certificate_is_none(tmp_path: Path) -> None:
    assert Earlier.of(tmp_path) is None
    for text in ("{", "[]", "{}", json.dumps({**certificate().content(), "leaks": 3})):
        (tmp_path / "audit.json").write_text(text, encoding="utf-8")
        assert Earlier.of(tmp_path) is None
