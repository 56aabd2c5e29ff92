from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from medseg.errors import DefinitionError, ModelError
from medseg.images.formats import NIFTI
from medseg.learning.tasks.binary_mask import BinaryMask
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.multilabel import AnyClasses
from medseg.learning.training.batches import SliceDataset
from medseg.steps.evaluation.class_picture import class_picture
from medseg.steps.evaluation.evaluation import evaluation_of
from medseg.steps.pictures import validation_picture
from medseg.steps.training.concluding import picture_validation
from medseg.testing.labelled import write_class_folders, write_labelled_table

SIDES = ("left", "right")
TAGS = ("red", "blue")


@pytest.fixture(scope="session")
def sides(tmp_path_factory):
    return write_class_folders(tmp_path_factory.mktemp("sides"), SIDES, cases=8, learnable=False)


@pytest.fixture(scope="session")
def tagged(tmp_path_factory):
    return write_labelled_table(tmp_path_factory.mktemp("tagged"), TAGS, cases=9, many=True)


def dataset(work):
    target = work.predictor.task.target
    return SliceDataset(
        work.store, work.store.role("test"), augment=None, seed=0, keep_on=None, target=target
    )


def drawn(work, scores, heading="validation"):
    return class_picture(work.predictor, dataset(work), scores, heading=heading)


def texts(figure):
    return [text.get_text() for text in figure.texts]


def said(work, case, *, many=False):
    """What is written above a case, by what the model says of its file."""
    found = work.predictor.classify(work.predictor.read_image(work.cases[case]))
    rests = AnyClasses().confidence(found.probabilities[None])[0] if many else found.probabilities.max()
    truth, names = (("; ".join(each) or "none") for each in (work.cases[case].labels, found.names))
    return f"{truth} → {names}, {rests:.3f}"


def test_each_task_has_its_picture(make_class_work, sides):
    predictor = make_class_work(sides, SIDES).predictor
    assert evaluation_of(predictor).validation_picture is class_picture
    for task in (ClassMasks(("a", "b")), BinaryMask()):
        for files in (predictor.preparation.files, NIFTI):
            preparation = replace(predictor.preparation, files=files)
            of_masks = replace(predictor, task=task, preparation=preparation)
            assert evaluation_of(of_masks).validation_picture is validation_picture


@pytest.mark.slow
def test_twelve_images_are_shown_evenly_from_the_best_to_the_worst(make_class_work, sides):
    work = make_class_work(sides, SIDES)
    random = np.random.default_rng(0)
    scores = {case: float(random.random()) for case in work.cases}
    figure = drawn(work, scores, "validation, epoch 3")
    order = sorted(scores, key=scores.__getitem__, reverse=True)
    written = texts(figure)
    assert written[:2] == ["validation, epoch 3", "12 of 16 images, evenly from the best to the worst"]
    cells = [said(work, case) for case in order]
    assert (written[2], written[-1], len(written)) == (cells[0], cells[-1], 14)
    rest = iter(cells)
    assert all(cell in rest for cell in written[2:])  # in this order
    assert len(figure.axes) == 12


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_images_are_all_shown(make_class_work, sides, count):
    work = make_class_work(sides, SIDES)
    scores = dict.fromkeys(sorted(work.cases)[:count], 0.5)
    assert texts(drawn(work, scores))[2:] == [said(work, case) for case in scores]


def test_several_classes_and_none_are_named(make_class_work, tagged):
    work = make_class_work(tagged, TAGS, many=True)
    written = texts(drawn(work, dict.fromkeys(work.cases, 0.5)))[2:]
    assert written == [said(work, case, many=True) for case in sorted(work.cases)]
    assert {cell.split(" → ")[0] for cell in written} >= {"none", "red; blue"}


def test_of_a_picture_in_tiles_all_of_it_is_told(make_class_work, sides):
    work = make_class_work(sides, SIDES, fit="tile", size=(16, 16), overlap=0.25)
    cases = sorted(work.cases)[:3]
    assert texts(drawn(work, dict.fromkeys(cases, 0.5)))[2:] == [said(work, case) for case in cases]


@pytest.mark.slow
def test_drawing_leaves_weights_and_generators(make_class_work, sides):
    work = make_class_work(sides, SIDES)
    before = {name: each.clone() for name, each in work.predictor.network.state_dict().items()}
    random = torch.get_rng_state()
    drawn(work, dict.fromkeys(work.cases, 0.5))
    assert all(torch.equal(each, before[name]) for name, each in work.predictor.network.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_an_answer_that_is_no_number_does_not_end_the_training(make_class_work, make_run, sides):
    work, run = make_class_work(sides, SIDES), make_run()
    torch.nn.init.constant_(work.predictor.network.features[0].weight, float("nan"))
    scores = {sorted(work.cases)[0]: 0.5}
    with pytest.raises(ModelError, match="returned NaN"):
        drawn(work, scores)

    picture_validation(work.predictor, SimpleNamespace(dataset=dataset(work)), scores, 1, run)

    assert not run.figures.exists()


def test_a_task_of_label_maps_is_no_task_of_classes(make_class_work, sides):
    work = make_class_work(sides, SIDES)
    masks = replace(work.predictor, task=ClassMasks(("a", "b"), select=["b"]))
    with pytest.raises(DefinitionError, match="got ClassMasks"):
        class_picture(masks, dataset(work), {}, heading="")
