from __future__ import annotations

import pytest
import torch

import medseg


@pytest.mark.parametrize(("channels", "classes"), [(1, 1), (3, 1), (1, 2), (4, 5)])
def test_logits_are_as_large_as_the_image(channels, classes):
    network = medseg.networks.unet(channels, classes)
    assert network(torch.zeros(2, channels, 32, 48)).shape == (2, classes, 32, 48)


@pytest.mark.slow
@pytest.mark.parametrize("classes", [1, 3])
def test_it_learns_how_much_foreground_an_image_shows(classes):
    """What a normalised output map hides: the mean logit must follow the share of the foreground."""
    torch.manual_seed(0)
    network = medseg.networks.unet(1, classes)
    image = torch.rand(4, 1, 32, 32) * 0.1
    for place, width in enumerate((2, 8, 16, 30)):
        image[place, :, :, :width] += 1
    mask = (image[:, 0] > 0.5).long()
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    for _ in range(30):
        optimiser.zero_grad()
        logits = network(image)
        loss = (
            torch.nn.functional.binary_cross_entropy_with_logits(logits[:, 0], mask.float())
            if classes == 1
            else torch.nn.functional.cross_entropy(logits, mask)
        )
        loss.backward()
        optimiser.step()
    found = network(image)
    bright = found[:, 0] > 0 if classes == 1 else found.argmax(1) == 1
    assert (bright == mask.bool()).float().mean() > 0.95
    shares = (found[:, 0] if classes == 1 else found[:, 1]).detach().mean((1, 2))
    assert (shares.diff() > 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"), [((0, 2), "in_channels is 0"), ((1, "2"), "classes is '2'")]
)
def test_wrong_numbers_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        medseg.networks.unet(*arguments)
