"""What the leak certificate finds, and what it says that it could not look at."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import medseg.learning
import medseg.steps
from medseg.datasets.case import Case
from medseg.datasets.checks.case_facts import CaseFacts, ChannelFacts
from medseg.datasets.checks.duplicates import Duplicates, Pair
from medseg.datasets.manifest.manifest import Manifest
from medseg.pipeline.audit.certificate import Certificate, leak_tags, leaks_of
from medseg.pipeline.audit.looking import Images, Loaded, certify
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.splits.split import Split

ROOT = Path(__file__).resolve().parents[3]
ROLES = {"a": "train", "b": "val", "c": "test"}
FIT = SimpleNamespace(fits={"weights": ("train",), "best epoch": ("val",)})


def split_of(roles: dict[str, Any], by: Any = "group") -> Split:
    ratios: Any = {"test": 0.5} if by == "slice" else {}
    return Split(by, 0, ratios, {name: f"p{name}" for name in roles}, {} if by == "slice" else roles)


def certified(
    slices: list[tuple[str, str, int, str]] | None = None,
    *,
    roles: dict[str, Any] = ROLES,
    by: str = "group",
    steps: dict[str, Any] | None = None,
    images: Images | None = None,
    **other: Any,
) -> Certificate:
    loaded = slices or [(name, f"p{name}", place, role) for name, role in roles.items() for place in (0, 1)]
    split = split_of(roles, by)
    return certify(
        "run",
        PipelineDefinition.from_yaml(ROOT / "pipelines" / "brats2d.yaml"),
        Manifest.named("brats2019"),
        data="d" * 32,
        digest=split.digest(),
        split=split,
        slices=[Loaded(*each) for each in loaded],
        steps={"fit": FIT} if steps is None else steps,
        images=images,
        **other,
    )


def image(name: str, pixels: str, **case: Any) -> tuple[Case, CaseFacts]:
    channel = ChannelFacts("int16", pixels, 9, None)
    return Case(name, f"p{name}", {"t1": Path(name)}, **case), CaseFacts(
        name, f"p{name}", channels={"t1": channel}
    )


def images(*known: tuple[Case, CaseFacts], pairs: tuple[Pair, ...] = ()) -> Images:
    return Images([case for case, _ in known], [facts for _, facts in known], Duplicates(pairs))


def test_of_a_run_without_a_leak_who_was_loaded_and_what_was_fitted_is_listed() -> None:
    found = certified(images=images(image("a", "1"), image("b", "2"), image("c", "3")))

    assert found.leaks == {}
    assert found.groups == {"train": ["pa"], "val": ["pb"], "test": ["pc"]}
    assert found.counts["test"] == {"patients": 1, "cases": 1, "slices": 2}
    assert found.images == {"cases": 3, "near": 0}
    assert "No leak was found in what was looked at." in found.text()
    assert "steps.fit: best epoch on val" in found.text()
    assert leak_tags(found)["leaks"] == "none found"


def test_a_patient_who_was_loaded_for_two_roles_leaks_whatever_the_split_says() -> None:
    found = certified([("a", "pa", 0, "train"), ("b", "pa", 0, "test"), ("c", "pc", 0, "val")])

    assert "1 in train and test (pa)" in found.leaks["patients"]
    assert "2 cases" in found.leaks["roles"]
    assert "LEAK: patients were loaded" in found.text()


def test_images_without_a_label_may_be_of_training_patients_and_of_no_others() -> None:
    roles = {**ROLES, "u": "unlabelled"}
    alike = [("a", "pa", 0, "train"), ("u", "pa", 0, "unlabelled"), ("b", "pb", 0, "val")]

    assert certified(alike, roles=roles).leaks == {}
    assert "patients" in certified([*alike, ("c", "pa", 0, "test")], roles=roles).leaks


def test_split_by_slice_leaks_and_a_slice_in_two_roles_even_there() -> None:
    two = [("a", "pa", 0, "train"), ("a", "pa", 1, "test")]

    assert list(certified(two, roles={"a": "train"}, by="slice").leaks) == ["split"]
    both = certified([*two, ("a", "pa", 0, "val")], roles={"a": "train"}, by="slice")
    assert "1 in train and val (a no. 0)" in both.leaks["slices"]


def test_equal_volumes_and_near_copies_across_roles_leak() -> None:
    whole = {"labels": ("ill",)}
    found = certified(
        images=images(
            image("a", "1"),
            image("c", "1"),
            image("b", "2", **whole),
            pairs=(Pair("a", "b", "near", 3), Pair("a", "gone", "exact", 0)),
        )
    )

    assert [(each["first"], each["second"], each["kind"]) for each in found.copies] == [
        ("a", "b", "near"),
        ("a", "c", "exact"),
    ]
    assert found.leaks["images"].startswith("2 pairs of images")


def test_a_step_that_fits_on_the_test_part_leaks() -> None:
    found = certified(steps={"tune": SimpleNamespace(fits={"threshold": ("val", "test")})})

    assert found.leaks == {"fitted": "steps.tune has fitted its threshold on the test part."}


def test_what_could_not_be_looked_at_is_said() -> None:
    steps = {"own": object(), "gone": None, "start": SimpleNamespace(fits={"first weights": None})}
    unseen = " ".join(certified(steps=steps).unseen)

    assert "What steps.own was fitted on" in unseen
    assert "What steps.gone was fitted on" in unseen
    assert "What the first weights of steps.start were learned from" in unseen
    assert "not compared" in certified().text()
    assert "Near copies among 1 case:" in " ".join(certified(images=images(image("a", "1"))).unseen)


@pytest.mark.parametrize(
    ("ended", "told"),
    [
        ("FAILED", "THE RUN HAS FAILED"),
        ("KILLED", "INTERRUPTED"),
        ("GONE", "CUT OFF"),
        ("RUNNING", "GOING ON"),
    ],
)
def test_of_a_run_that_did_not_end_nothing_is_said_of_steps_that_were_not_done(ended: str, told: str) -> None:
    post, test = SimpleNamespace(fits={"rule": ("val", "test")}), medseg.steps.Evaluate("test")
    found = certified(ended=ended, undone={"post": post, "test": test})

    assert told in found.text()
    assert "Not done: steps.post, steps.test." in found.text()
    assert "steps.post: " not in found.text()
    assert found.leaks == {}
    assert "test: 1 patient, 1 case, 2 slices prepared, not scored" in found.text()
    assert "val: 1 patient, 1 case, 2 slices prepared\n" in found.text()


def test_of_a_run_that_has_ended_nothing_is_undone_nor_unscored() -> None:
    text = certified(steps={"fit": FIT, "test": medseg.steps.Evaluate("test")}).text()

    assert "not scored" not in text
    assert "Not done" not in text
    assert (
        "not scored"
        not in certified(
            steps={"test": medseg.steps.Evaluate("test")}, undone={"again": medseg.steps.Evaluate("test")}
        ).text()
    )


def test_a_run_that_failed_after_its_last_step_says_so() -> None:
    assert (
        "THE RUN HAS FAILED. Not done: nothing; its model may not be whole."
        in certified(ended="FAILED").text()
    )


@pytest.mark.parametrize("weights", [None, [1.0, 2.0], "frequency"])
def test_class_weights_are_fitted_where_the_task_counts_classes_alone(weights: Any) -> None:
    import torch

    from medseg.steps.features.probe import Probe

    fit = medseg.steps.Fit(torch.optim.AdamW, epochs=1)
    steps = {"fit": fit, "probe": Probe(), "rounds": medseg.steps.SelfTrain(medseg.learning.ByRank(), fit)}
    task = medseg.learning.ImageClasses(["a", "b"], class_weights=weights)
    fitted = {(each.step, each.what) for each in certified(steps=steps, task=task).fitted}

    for name in steps:
        assert ((name, "class weights") in fitted) == (weights == "frequency")
    assert {("fit", "weights"), ("fit", "best epoch"), ("probe", "C"), ("rounds", "best round")} <= fitted


def test_the_digest_is_that_of_the_json_without_it_and_changes_with_it(tmp_path: Path) -> None:
    found = certified()
    path, page = found.write(tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    digest = content.pop("sha256")
    plain = json.dumps(content, sort_keys=True, separators=(",", ":"))

    assert digest == hashlib.sha256(plain.encode()).hexdigest()
    assert digest in page.read_text(encoding="utf-8")
    assert digest != replace(found, leaks={"split": "it leaks."}).digest()
    assert leaks_of(tmp_path) == {}


def test_every_step_that_comes_with_medseg_says_what_it_fits(monai_imported: None) -> None:
    silent = [name for name in medseg.steps.__all__ if not hasattr(getattr(medseg.steps, name), "fits")]

    assert silent == []


def test_a_run_says_what_leaks_from_its_certificate(tmp_path: Path) -> None:
    replace(certified(), leaks={"images": "two are one."}).write(tmp_path)

    assert leaks_of(tmp_path) == {"images": "two are one."}


@pytest.mark.parametrize("name", ["emps", "acdc"])
def test_what_tells_the_patient_is_written_down(name: str) -> None:
    from medseg.pipeline.audit.looking import group_key

    expected = {"emps": {"column": "doi"}, "acdc": {"pattern": r"^(patient\d+)_"}}

    assert group_key(Manifest.named(name)) == expected[name]
