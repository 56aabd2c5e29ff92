from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from medseg.datasets.case import Case
from medseg.datasets.manifest.manifest import Manifest
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.training.batches import SliceDataset
from medseg.slices.rule import SliceRule
from medseg.steps.pictures import (
    arranged,
    best_median_worst,
    data_picture,
    dice_text,
    fullest,
    shown_cases,
    validation_picture,
)
from medseg.testing.labelled import disc
from medseg.testing.pictures import write_picture


def rule(axis: str = "axial") -> SliceRule:
    return SliceRule.model_validate({"size": (8, 8), "axis": axis})


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.floats(0, 1), max_size=12))
def test_best_median_and_worst_are_the_first_the_middle_and_the_last(scores):
    found = best_median_worst(scores)
    assert len(found) == min(len(scores), 3)
    kinds = {kind: scores[case] for case, kind in found.items()}
    if scores:
        assert kinds["best" if len(scores) > 1 else "only case"] == max(scores.values())
    if len(scores) > 1:
        assert kinds["worst"] == min(scores.values())
    if len(scores) > 2:
        ranked = sorted(scores.values())
        assert kinds["median"] == ranked[len(ranked) // 2]
    kinds_in_order = [[], ["only case"], ["best", "worst"], ["best", "median", "worst"]]
    assert list(found.values()) == kinds_in_order[len(found)]


def test_two_cases_are_the_best_and_the_worst():
    assert best_median_worst({"a": 0.2, "b": 0.9}) == {"b": "best", "a": "worst"}


def test_one_case_is_no_good_one():
    assert best_median_worst({"a": 0.33}) == {"a": "only case"}


def test_where_nothing_is_and_nothing_is_found_no_dice_is_told():
    empty, some = np.zeros((2, 4, 4), np.uint8), np.ones((2, 4, 4), np.uint8)
    assert dice_text(1.0, empty) == "truth and prediction are empty"
    assert dice_text(0.0, empty) == "mean Dice 0.000"  # predicted, and not there
    assert dice_text(1.0, some) == "mean Dice 1.000"


def test_a_case_without_what_is_selected_says_so_though_it_shows_other_classes() -> None:
    classes = ("background", "kidney", "tumour", "cyst")
    kidney = np.array([[0, 1], [1, 255]], dtype=np.uint8)
    task = ClassMasks(classes, {"lesion": (2, 3)}, select=("tumour",))
    assert dice_text(1.0, kidney, task) == "no tumour in truth and prediction"
    assert dice_text(0.0, kidney, task) == "mean Dice 0.000"
    assert dice_text(1.0, kidney + 1, task) == "mean Dice 1.000"
    assert dice_text(1.0, kidney * 0, task) == "no tumour in truth and prediction", (
        "a kidney may be predicted"
    )
    assert dice_text(1.0, kidney * 0, ClassMasks(classes)) == "truth and prediction are empty"
    lesion = ClassMasks(classes, {"lesion": (2, 3)}, select=("lesion", "cyst"))
    assert dice_text(1.0, kidney, lesion) == "no lesion or cyst in truth and prediction"
    assert dice_text(1.0, np.full((2, 2), 3), lesion) == "mean Dice 1.000"
    everything = ClassMasks(classes, select=classes)
    assert dice_text(1.0, kidney, everything) == "mean Dice 1.000"


def test_ties_go_by_name():
    assert best_median_worst(dict.fromkeys("cba", 0.5)) == {"a": "best", "b": "median", "c": "worst"}


def test_the_fullest_slice_has_most_of_what_is_rare():
    labels = np.zeros((6, 10, 10), dtype=np.uint8)
    labels[:, 2:8, 2:8] = 1  # the body, everywhere
    labels[1, 1:9, 1:9] = 1
    labels[4, 4:6, 4:6] = 2
    assert fullest(labels) == 4


def test_where_nothing_is_marked_the_middle_slice_is_taken():
    assert fullest(np.zeros((7, 4, 4), dtype=np.uint8)) == 3


@pytest.mark.slow
def test_a_validation_picture_shows_each_case_once_with_its_score(make_work):
    work = make_work()
    dataset = SliceDataset(work.store, work.store.samples, augment=None, seed=0, keep_on=None)
    scores = dict(zip(sorted(work.cases), [0.1, 0.9, 0.5, 0.4, 0.6], strict=True))
    figure = validation_picture(work.predictor, dataset, scores, heading="validation, epoch 3")
    assert isinstance(figure, Figure)
    texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
    for shown in ("best: Brats_002", "median: Brats_003", "worst: Brats_001", "epoch 3"):
        assert any(shown in text for text in texts)


def test_drawing_a_validation_picture_leaves_weights_and_generators(make_work):
    work = make_work()
    dataset = SliceDataset(work.store, work.store.role("val"), augment=None, seed=0, keep_on=None)
    before = {name: value.clone() for name, value in work.predictor.network.state_dict().items()}
    random = torch.get_rng_state()
    validation_picture(work.predictor, dataset, {"Brats_003": 0.5}, heading="")
    assert all(torch.equal(v, before[k]) for k, v in work.predictor.network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["axial", "coronal", "sagittal"])
def test_a_picture_of_the_data_shows_every_case_and_channel(make_work, axis):
    work = make_work()
    cases = [work.cases[name] for name in ("Brats_001", "Brats_002")]
    figure = data_picture(cases, work.predictor.manifest, ("flair", "t2"), rule(axis), heading="brats")
    texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
    for shown in ("Brats_001", "Brats_002", "flair", "t2", "truth", axis):
        assert any(shown in text for text in texts)


def labelled(*labels):
    return [Case(f"{number:02d}", f"{number:02d}", {}, labels=each) for number, each in enumerate(labels)]


def test_the_channel_that_the_manifest_names_comes_first_and_the_others_keep_their_order():
    image = np.arange(3 * 4).reshape(3, 2, 2)
    names = ("pre", "flair", "post")
    assert list(arranged(names, image)) == list(arranged(names, image, "t2")) == ["pre", "flair", "post"]
    found = arranged(names, image, "flair")
    assert list(found) == ["flair", "pre", "post"]
    for place, name in enumerate(names):
        np.testing.assert_array_equal(found[name], image[place])
    assert list(arranged(("red", "green", "blue"), image, "green")) == ["picture"]


@pytest.mark.parametrize("picture", ["validation", "data"])
def test_figures_show_the_named_channel_first(make_work, picture):
    work = make_work()
    expected = work.predictor.channels[-1]
    manifest = work.predictor.manifest.model_copy(update={"shown": expected})
    if picture == "validation":
        dataset = SliceDataset(work.store, work.store.samples, augment=None, seed=0, keep_on=None)
        predictor = replace(work.predictor, manifest=manifest)
        figure = validation_picture(predictor, dataset, dict.fromkeys(work.cases, 0.5), heading="")
    else:
        cases = list(work.cases.values())[:1]
        figure = data_picture(cases, manifest, work.predictor.channels, rule(), heading="")
    texts = [text.get_text() for text in figure.findobj(lambda each: hasattr(each, "get_text"))]
    titles = [text for text in texts if text in work.predictor.channels]
    assert titles[0] == expected
    assert sorted(titles) == sorted(work.predictor.channels)


def test_the_gliomas_are_shown_on_the_sequence_on_which_they_were_marked():
    assert Manifest.named("lgg").shown == "flair"


def test_of_cases_without_classes_the_first_few_are_shown():
    cases = labelled(*[None] * 5)
    assert shown_cases(cases, 3) == cases[:3]
    assert shown_cases([], 3) == []


def test_of_cases_with_classes_every_class_has_its_turn():
    cases = labelled(("b",), ("b",), ("b",), ("b",), ("b",), ("b",), ("a",), ("a", "b"), ())
    assert [case.id for case in shown_cases(cases, 1)] == ["08", "06", "07", "00"]
    assert [case.id for case in shown_cases(cases, 2)] == ["08", "06", "07", "00", "01", "02", "03", "04"]
    assert sorted(shown_cases(cases, 9), key=cases.index) == cases


@given(st.lists(st.sampled_from([("a",), ("b",), ("c",)]), min_size=1, max_size=30), st.integers(1, 4))
def test_no_class_is_shown_twice_before_another_is_shown_once(labels, count):
    shown = shown_cases(labelled(*labels), count)
    assert len(shown) == min(4 * count, len(labels))
    seen = [case.labels for case in shown[: len(set(labels))]]
    assert len(set(seen)) == len(seen)


def test_a_picture_of_data_with_classes_shows_each_image_below_its_classes(class_manifest, tmp_path):
    cases = []
    for name, labels in (("a", ("left",)), ("b", ("left", "right")), ("c", ()), ("d", None), ("e", None)):
        path = write_picture(tmp_path / f"{name}.png", disc([len(cases) % 2], 2, seed=(len(cases),)))
        cases.append(Case(name, name, {"picture": path}, labels=labels, unlabelled=name == "e"))
    manifest = class_manifest(("left", "right"), many=True)
    figure = data_picture(cases, manifest, ("picture",), rule(), heading="my data")
    figure.draw_without_rendering()
    # where no class is known nothing is said, and `none` where it is known that there is none
    assert [text.get_text() for text in figure.texts] == [
        *("my data", "left", "left; right", "none", "", "without a label")
    ]
    for case, axes in zip(cases, figure.axes, strict=True):
        number = cases.index(case)
        shown, expected = axes.images[0].get_array(), disc([number % 2], 2, seed=(number,))
        assert np.corrcoef(shown.ravel(), expected.ravel())[0, 1] > 0.99


def test_a_colour_picture_of_data_with_classes_keeps_its_colours(class_manifest, tmp_path):
    colours = np.zeros((24, 32, 3), np.uint8)
    colours[:, :16, 0] = 200
    colours[:, 16:, 2] = 100
    path = write_picture(tmp_path / "a.png", colours)
    channels = ("red", "green", "blue")
    case = Case("a", "a", dict.fromkeys(channels, path), labels=("left",))
    figure = data_picture(
        [case], class_manifest(("left", "right"), colours=True), channels, rule(), heading=""
    )
    shown = figure.axes[0].images[0].get_array()
    assert shown[5, 5].tolist() == [255, 0, 0]
    assert shown[5, 20].tolist() == pytest.approx([0, 0, 127], abs=1)
