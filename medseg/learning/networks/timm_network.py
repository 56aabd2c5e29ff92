"""Any classification model of timm, for images in [0, 1] of any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from medseg.errors import ModelError
from medseg.learning.networks.arguments import height_and_width, share, whole
from medseg.learning.networks.normalisation import Prepared
from medseg.learning.networks.timm_names import import_timm, timm_name

_PREFIX = "model."


class TimmNetwork(nn.Module):
    """A model of timm, which sees images at its own size and with its own normalisation.

    Takes images (B, in_channels, H, W) with intensities in [0, 1]. Inside they are resized, bilinear and with
    antialiasing, and normalised with the mean and the standard deviation of the model's published weights;
    with another number of channels than three, each with the average of the three. Building it asks no hub and
    reads no file: weights come from `own_weights`, or from a file, when a definition asks for them.

    Needs the extra `medseg[zoo]`.

    Args:
        name: Xception, InceptionV3, ResNet50, VGG16, VGG19 or MobileNetV2, or a name of timm.
        in_channels: Channels of the images.
        out_channels: Logits an image: the number of classes.
        size: Height and width to resize to; None for the model's own. Smaller ones are faster; each
            architecture has a least size, and some want multiples of their patches.
        dropout: Share of the features set to zero in training, before the last layer.

    Attributes:
        name: What timm calls the model.
        model: The model itself.

    Raises:
        ValueError: timm has no such model, it cannot be built so, or the size is too small for it.
        ModelError: timm cannot be imported.
    """

    def __init__(
        self,
        name: str,
        in_channels: int = 3,
        out_channels: int = 1000,
        size: Sequence[int] | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.name = timm_name(name)
        expected = None if size is None else height_and_width("size", size)
        settings = {
            "in_chans": whole("in_channels", in_channels),
            "num_classes": whole("out_channels", out_channels),
            "drop_rate": share("dropout", dropout),
        }
        self.model = _built(self.name, settings, expected)
        published = self.model.pretrained_cfg
        self.prepare = Prepared(
            published["mean"],
            published["std"],
            channels=in_channels,
            size=expected or tuple(published["input_size"][-2:]),
        )
        if not isinstance(self.head(), nn.Linear | nn.Conv2d):
            raise ValueError(f"name is {name!r}: a model without one last layer for its classes")  # noqa: TRY004
        if expected is not None:
            self._try(in_channels)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Give logits (B, out_channels) of images (B, in_channels, H, W) in [0, 1]."""
        return self.model(self.prepare(image))

    def head(self) -> nn.Module:
        """The last layer, which depends on the classes; all before it are features."""
        return self.model.get_classifier()

    def own_weights(self) -> dict[str, torch.Tensor]:
        """Weights that timm publishes for the model, by the names of this network: timm downloads them.

        They are of the channels and classes they were learned from, mostly 3 and 1000. A copy that was
        downloaded before is used again. Nothing else of medseg opens a connection.

        Raises:
            ModelError: There are none, or they cannot be fetched.
        """
        timm, published = import_timm(), self._published()
        try:
            model = timm.create_model(self.name, pretrained=True)
        except Exception as error:  # urllib, the client of the hub and timm raise anything
            raise ModelError(
                f"the weights of {self.name} cannot be fetched: {type(error).__name__}. They come from "
                f"{published.get('hf_hub_id') or 'the web'}: where there is a network, save the state dict of "
                f"timm.create_model({self.name!r}, pretrained=True) as safetensors, bring the file, and write "
                "weights: PATH."
            ) from error
        return self.renamed(model.state_dict())

    def own_forms(self) -> dict[str, torch.Tensor]:
        """Tensors of the names and shapes of `own_weights`, of a new model: nothing is fetched.

        Whether the weights can be fetched is not known before they are.

        Raises:
            ModelError: There are none.
        """
        self._published()
        return self.renamed(import_timm().create_model(self.name, pretrained=False).state_dict())

    def _published(self) -> Mapping[str, Any]:
        """Description of the published weights, as timm gives it."""
        published: Mapping[str, Any] = self.model.pretrained_cfg
        if not any(published.get(key) for key in ("hf_hub_id", "url", "file")):
            raise ModelError(f"timm publishes no weights of {self.name}: give a file, weights: PATH.")
        return published

    def renamed(self, weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """Give timm's tensors the names of this network; its own stay as they are."""
        own = self.model.state_dict().keys()
        if sum(name in own for name in weights) <= sum(name.startswith(_PREFIX) for name in weights):
            return dict(weights)
        return {_PREFIX + name: tensor for name, tensor in weights.items()}

    def _try(self, channels: int) -> None:
        """Pass a black image of the chosen size: no published number tells whether it is too small."""
        height, width = self.prepare.size
        was = self.training
        try:
            with torch.no_grad():
                self.eval()(torch.zeros(1, channels, height, width))
        except Exception as error:  # models raise anything at a size they do not take
            raise ValueError(
                f"size is {height} x {width}, which {self.name} does not take, mostly because it is too small; its "
                f"own is {' x '.join(map(str, self.model.pretrained_cfg['input_size'][-2:]))}: {error!s:.200}"
            ) from error
        self.train(was)


def _built(name: str, settings: Mapping[str, Any], size: tuple[int, int] | None) -> Any:
    timm = import_timm()
    fixed = getattr(timm.get_pretrained_cfg(name), "fixed_input_size", False)
    more = {"img_size": size} if fixed and size is not None else {}
    try:
        return timm.create_model(name, pretrained=False, **settings, **more)
    except Exception as error:  # each architecture checks its arguments in its own way
        raise ValueError(
            f"timm cannot build {name} with { ({**settings, **more}) }: {error!s:.300}"
        ) from error
