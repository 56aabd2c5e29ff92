"""Mirror images are predicted, flipped back and averaged; only those that training saw."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from medseg.learning.inference.flips import flips_of, mean_logits, trained_flips

ALL = ((0,), (1,), (0, 1))


def flip(**given: object) -> dict[str, object]:
    return {"_target_": "monai.transforms.RandFlipd", "keys": ["image", "label"], "prob": 0.5, **given}


@pytest.mark.parametrize(
    ("augment", "expected"),
    [
        ([], ()),
        ([flip(spatial_axis=0)], ((0,),)),
        ([flip(spatial_axis=-1)], ((1,),)),
        ([flip(spatial_axis=0), flip(spatial_axis=1)], ALL),
        ([flip(spatial_axis=[0, 1])], ((0, 1),)),
        ([flip()], ((0, 1),)),
        ([flip(), flip(spatial_axis=1)], ALL),
        ([flip(_target_="monai.transforms.RandAxisFlipd")], ALL),
        ([flip(_target_="monai.transforms.RandFlipDict", spatial_axis=1)], ((1,),)),
        ([flip(spatial_axis=0, prob=0)], ()),
        ([flip(spatial_axis=0, keys=["image"])], ()),
        ([flip(_target_="monai.transforms.RandAffined")], ()),
    ],
)
def test_flips_are_those_of_the_training_alone(augment, expected) -> None:
    assert trained_flips(augment, ("image", "label")) == expected


def test_of_whole_images_the_image_alone_is_flipped() -> None:
    assert trained_flips([flip(spatial_axis=1, keys="image")], ("image",)) == ((1,),)


def test_a_network_that_goes_along_with_flips_gives_what_it_gave() -> None:
    torch.manual_seed(0)
    image = torch.randn(2, 1, 6, 8)
    network = nn.Conv2d(1, 3, 1)

    torch.testing.assert_close(mean_logits(network, image, ALL), network(image))


def test_maps_are_flipped_back_and_averaged() -> None:
    torch.manual_seed(0)
    image = torch.randn(1, 1, 4, 4)
    network = nn.Conv2d(1, 2, 3, padding=1)

    found = mean_logits(network, image, ((1,),))

    mirrored = network(image.flip(3)).flip(3)
    torch.testing.assert_close(found, (network(image) + mirrored) / 2)


def test_classes_of_whole_images_are_averaged() -> None:
    torch.manual_seed(0)
    image = torch.randn(3, 1, 4, 4)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))

    found = mean_logits(network, image, ((0,), (0, 1)))

    torch.testing.assert_close(
        found, (network(image) + network(image.flip(2)) + network(image.flip(2, 3))) / 3
    )


@pytest.mark.parametrize("given", [[[2]], [[0], [0]], "01", [0], [[1, 0]], None, [["0"]], [[[0]]]])
def test_flips_of_another_form_are_refused(given) -> None:
    with pytest.raises(ValueError, match="flips is"):
        flips_of(given)
