from __future__ import annotations

import pytest
import torch

from medseg.errors import DefinitionError
from medseg.learning.tasks.class_masks import ClassMasks
from medseg.learning.tasks.image_classes import ImageClasses
from medseg.learning.tasks.task import merging
from medseg.learning.training.checkpoint import Standing
from medseg.learning.training.ranks.joint import not_over_ranks
from medseg.learning.training.ranks.said import ranks_note
from medseg.learning.training.ranks.states import on_cpu

CLASSES = ("a", "b", "c")


def mask_batches(seed=0):
    draw = torch.Generator().manual_seed(seed)
    for cases in (["x", "x"], ["x", "y"], ["z"]):
        yield (
            cases,
            torch.randn(len(cases), 3, 6, 5, generator=draw),
            torch.randint(0, 3, (len(cases), 1, 6, 5), generator=draw).to(torch.uint8),
        )


def class_batches(seed=0):
    draw = torch.Generator().manual_seed(seed)
    for cases in (["x", "x"], ["y", "z"], ["w"]):
        label = torch.tensor([[1, 0, 0] if case == "x" else [0, 1, 0] for case in cases], dtype=torch.uint8)
        yield cases, torch.randn(len(cases), 3, generator=draw), label


@pytest.mark.parametrize(
    ("task", "batches", "added"),
    [
        (ClassMasks(CLASSES), mask_batches, ()),
        (ClassMasks(CLASSES), mask_batches, ("iou",)),
        (ImageClasses(CLASSES), class_batches, ()),
    ],
    ids=["masks", "masks with a score beside", "classes"],
)
def test_batches_that_two_scorers_have_seen_count_as_if_one_had(task, batches, added):
    whole, halves = task.scorer(added), [task.scorer(added) for _ in range(2)]
    for turn, batch in enumerate(batches()):
        whole.update(*batch)
        halves[turn % 2].update(*batch)
    one, other = (half.parts() for half in halves)
    halves[1].take([one[0], other[0], one[1]])
    assert halves[1].compute() == whole.compute()
    assert halves[1].by_case() == whole.by_case()


def test_a_scorer_that_cannot_be_put_together_is_refused_by_name():
    class Own:
        score_name = ""

        def update(self, cases, logits, label): ...

        def compute(self): ...

        def by_case(self): ...

    with pytest.raises(DefinitionError, match="the scorer of the task, Own, has no `parts` and `take`"):
        merging(Own())


def test_running_statistics_of_instances_are_refused_by_name():
    assert not not_over_ranks(torch.nn.Sequential(torch.nn.InstanceNorm2d(3), torch.nn.BatchNorm2d(3)))
    kept = torch.nn.InstanceNorm2d(3, track_running_stats=True)
    assert "track_running_stats" in not_over_ranks(torch.nn.Sequential(kept))


def test_another_number_of_ranks_is_said_once_something_is_trained():
    assert ranks_note(Standing(epoch=2, ranks=2), 3).startswith(
        "Until epoch 2 2 ranks trained, and from now on 3"
    )
    assert not ranks_note(Standing(epoch=2, ranks=2), 2)
    assert not ranks_note(Standing(), 2)


def test_a_state_travels_in_main_memory_and_stays_what_it_is():
    state = {"a": [torch.ones(2), (1, None)], "b": {"c": "word"}}
    sent = on_cpu(state)
    assert torch.equal(sent["a"][0], torch.ones(2))
    assert sent["a"][1] == (1, None)
    assert sent["b"] == {"c": "word"}
