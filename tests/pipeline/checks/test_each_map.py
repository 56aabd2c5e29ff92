"""Losses of maps that are decided one by one: regions that overlap, and tags of an image."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from monai.losses import (
    DiceCELoss,
    DiceFocalLoss,
    DiceLoss,
    FocalLoss,
    GeneralizedDiceLoss,
    HausdorffDTLoss,
    LogHausdorffDTLoss,
    TverskyLoss,
)

from medseg.errors import DefinitionError
from medseg.learning import BinaryMask, ClassMasks, ImageClasses, ImageTags, RegionMasks
from medseg.learning.outputs.deep_supervision import DeepSupervision
from medseg.learning.tasks.partial_loss import PartialLoss
from medseg.pipeline.checks.each_map import apart
from medseg.pipeline.checks.loss_check import check_loss

SIZE = (16, 20)

TASKS = {
    "nested": partial(RegionMasks, ("background", "a", "b"), {"whole": (1, 2), "core": (2,)}),
    "tumour": partial(
        RegionMasks,
        ("background", "necrosis", "oedema", "enhancing"),
        {"whole": (1, 2, 3), "core": (1, 3), "active": (3,)},
    ),
    "beside": partial(RegionMasks, ("background", "a", "b"), {"one": (1,), "other": (2,)}),
    "many": partial(
        RegionMasks,
        tuple(f"c{n}" for n in range(13)),
        {f"r{n}": tuple(range(n, 13)) for n in range(1, 13)},
    ),
    "four beside": partial(
        RegionMasks, ("background", "a", "b", "c", "d"), {f"r{n}": (n,) for n in range(1, 5)}
    ),
    "tags": partial(ImageTags, ("a", "b", "c")),
    "one tag": partial(ImageTags, ("a",)),
}
OF_SEVERAL = ("nested", "tumour", "beside", "tags")
OF_REGIONS = ("nested", "tumour", "beside")

TAKEN = "taken"
ONE = r"It is made for one class (a pixel|an image): take one that asks for each (region|class) by itself"
LEFT_OUT = r"does not change with the logit of the (region|class) '\w+': .*`include_background: true`"
NEVER_ABSENT = r"does not change with the logit of the (region|class) '\w+' of (a pixel|an image) with "
PROBABILITIES = r"made for probabilities.*`sigmoid: true`"

MANY = ("many",)  # slower: only what is judged by the shares of its regions
EVERY = tuple(name for name in TASKS if name not in (*MANY, "four beside"))
TABLE = [
    ("own", None, EVERY + MANY, TAKEN),
    ("binary cross-entropy", torch.nn.BCEWithLogitsLoss, EVERY, TAKEN),
    ("focal", FocalLoss, EVERY, TAKEN),
    ("focal, steep", partial(FocalLoss, gamma=5.0, alpha=0.25), EVERY, TAKEN),
    ("Dice", partial(DiceLoss, sigmoid=True), EVERY + MANY, TAKEN),
    ("Dice of the batch", partial(DiceLoss, sigmoid=True, batch=True), OF_REGIONS, TAKEN),
    ("Dice of squares", partial(DiceLoss, sigmoid=True, squared_pred=True, jaccard=True), EVERY, TAKEN),
    ("Dice and cross-entropy", partial(DiceCELoss, sigmoid=True), EVERY, TAKEN),
    ("Dice and a little cross-entropy", partial(DiceCELoss, sigmoid=True, lambda_ce=0.1), EVERY, TAKEN),
    ("Dice and focal", partial(DiceFocalLoss, sigmoid=True), EVERY, TAKEN),
    ("Tversky", partial(TverskyLoss, sigmoid=True, alpha=0.3, beta=0.7), EVERY, TAKEN),
    ("generalised", partial(GeneralizedDiceLoss, sigmoid=True), OF_REGIONS, TAKEN),
    (
        "distance",
        partial(HausdorffDTLoss, sigmoid=True, include_background=True),
        ("nested", "beside", "four beside"),
        TAKEN,
    ),
    (
        "logarithm of the distance",
        partial(LogHausdorffDTLoss, sigmoid=True, include_background=True),
        ("four beside",),
        TAKEN,
    ),
    ("Dice, softmax", partial(DiceLoss, softmax=True), OF_SEVERAL + MANY, ONE),
    ("cross-entropy", torch.nn.CrossEntropyLoss, OF_SEVERAL, ONE),
    ("Dice and cross-entropy, softmax", partial(DiceCELoss, softmax=True), OF_SEVERAL, ONE),
    ("Dice and focal, softmax", partial(DiceFocalLoss, softmax=True), ("nested", "tumour"), ONE),
    # its focal part is of sigmoids: where no regions overlap, trainings reach the Dice of the others
    (
        "Dice and focal, softmax, beside",
        partial(DiceFocalLoss, softmax=True),
        ("beside", "four beside"),
        TAKEN,
    ),
    ("focal, softmax", partial(FocalLoss, use_softmax=True), OF_SEVERAL, ONE),
    ("Tversky, softmax", partial(TverskyLoss, softmax=True), OF_SEVERAL, ONE),
    ("generalised, softmax", partial(GeneralizedDiceLoss, softmax=True), OF_REGIONS, ONE),
    ("Dice but one", partial(DiceLoss, sigmoid=True, include_background=False), OF_SEVERAL, LEFT_OUT),
    (
        "Dice but one, and cross-entropy",
        partial(DiceCELoss, sigmoid=True, include_background=False),
        OF_SEVERAL,
        NEVER_ABSENT,
    ),
    ("focal but one", partial(FocalLoss, include_background=False), OF_SEVERAL, LEFT_OUT),
    ("Tversky but one", partial(TverskyLoss, sigmoid=True, include_background=False), OF_SEVERAL, LEFT_OUT),
    ("distance but one", partial(HausdorffDTLoss, sigmoid=True), ("nested", "beside"), LEFT_OUT),
    ("Dice of logits", DiceLoss, OF_SEVERAL + MANY, PROBABILITIES),
    ("Dice of logits and cross-entropy", DiceCELoss, OF_SEVERAL + MANY, PROBABILITIES),
    ("Tversky of logits", TverskyLoss, OF_SEVERAL, PROBABILITIES),
    ("of probabilities", torch.nn.BCELoss, EVERY, "cannot compare logits with labels"),
    ("squares", torch.nn.MSELoss, OF_SEVERAL, PROBABILITIES),
]


@pytest.mark.parametrize(
    ("task", "loss", "verdict"),
    [
        pytest.param(task, loss, verdict, id=f"{task}-{name}")
        for name, loss, tasks, verdict in TABLE
        for task in tasks
    ],
)
@pytest.mark.filterwarnings("ignore")  # MONAI's, of single channels
def test_a_loss_is_taken_where_it_asks_for_each_map_by_itself(task, loss, verdict):
    made = TASKS[task](loss=loss)
    if verdict == TAKEN:
        check_loss(made, SIZE)
    else:
        with pytest.raises(DefinitionError, match=rf"(?s)task\.loss .*{verdict}"):
            check_loss(made, SIZE)


@pytest.mark.parametrize("name", ["own", "focal", "Dice", "binary cross-entropy"])
@pytest.mark.filterwarnings("ignore")
def test_with_ignored_pixels_and_several_outputs_a_loss_that_is_taken_moves_each_region(name):
    (loss,) = (loss for each, loss, *_ in TABLE if each == name)
    task = TASKS["nested"](loss=loss)
    check_loss(task, SIZE)
    label = torch.from_numpy(task.target.examples(3, SIZE))
    label[:, :, :4] = 255
    outputs = [torch.zeros(2, 2, *size, requires_grad=True) for size in (SIZE, (8, 10))]

    DeepSupervision(PartialLoss(task))(outputs, label).backward()

    for each in outputs:
        assert each.grad.abs().sum(dim=(0, 2, 3)).all()


class Excluding(torch.nn.Module):
    """Binary cross-entropy, and a fine where two maps are true at once."""

    def __init__(self, fine):
        super().__init__()
        self.fine = fine

    def forward(self, logits, shown):
        both = torch.sigmoid(logits).prod(dim=1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, shown) + self.fine * both.mean()


def test_a_loss_that_fines_regions_for_being_true_together_is_refused_where_they_may_be():
    with pytest.raises(
        DefinitionError, match=r"'whole' undecided of a pixel with every region; expected the least"
    ):
        check_loss(TASKS["nested"](loss=lambda: Excluding(0.9)), SIZE)
    check_loss(TASKS["nested"](loss=lambda: Excluding(0.1)), SIZE)
    check_loss(TASKS["beside"](loss=lambda: Excluding(3.0)), SIZE)  # no class is in both


def test_weights_of_a_loss_may_be_small_and_not_nothing():
    weighed = [partial(FocalLoss, weight=[weight, 1.0]) for weight in (0.001, 0.0)]
    check_loss(TASKS["nested"](loss=weighed[0]), SIZE)
    with pytest.raises(DefinitionError, match=r"region 'whole'.*weights above 0, be they small ones"):
        check_loss(TASKS["nested"](loss=weighed[1]), SIZE)


def test_a_tag_without_weight_in_the_task_is_left_out_on_purpose():
    check_loss(ImageTags(("a", "b"), loss=torch.nn.BCEWithLogitsLoss, class_weights=(0.0, 1.0)), SIZE)


def test_the_remedy_for_regions_is_said_and_works():
    with pytest.raises(
        DefinitionError,
        match=r"0\.376 for undecided ones of a pixel with no region; .*BCEWithLogitsLoss, or leave task\.loss out",
    ):
        check_loss(TASKS["nested"](loss=partial(DiceLoss, softmax=True)), SIZE)


def test_maps_are_apart_where_no_logit_changes_the_probability_of_another():
    assert [apart(make(), SIZE) for make in TASKS.values()] == [True] * len(TASKS)
    assert apart(BinaryMask(), SIZE)
    assert not apart(ClassMasks(("background", "a", "b")), SIZE)
    assert not apart(ImageClasses(("a", "b")), SIZE)
