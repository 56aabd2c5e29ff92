"""Which model of timm a definition means, and timm itself: an extra that not everyone has."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from medseg.errors import ModelError

#: Networks of the radiologists' tutorial by the names that Keras gives them.
TUTORIAL: Mapping[str, str] = {
    "Xception": "legacy_xception",  # the network of the paper; timm's xception41 and so on are later ones
    "InceptionV3": "inception_v3",
    "ResNet50": "resnet50",
    "VGG16": "vgg16",
    "VGG19": "vgg19",
    "MobileNetV2": "mobilenetv2_100",
}


def import_timm() -> Any:
    """Import timm.

    Raises:
        ModelError: It is not installed, or torchvision, which it needs, does not fit torch.
    """
    from medseg.learning.networks.torchvision_operators import import_torchvision  # noqa: PLC0415 - imports torch

    try:
        import_torchvision()
        return import_module("timm")
    except ImportError as error:
        raise ModelError(
            f"timm cannot be imported: {error}. This network needs timm and torchvision: in the folder of medseg's "
            'sources, pip install -c constraints.txt ".[zoo]".'
        ) from error
    except Exception as error:  # torchvision raises anything where it was built for another torch
        raise ModelError(
            f"timm cannot be imported: {error}. The installed torchvision ({_version('torchvision')}) does not fit "
            f"torch ({_version('torch')}): install the release of torchvision that belongs to this torch."
        ) from error


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def timm_name(name: object) -> str:
    """Say what timm calls a model, with the tag of its weights: `resnet50.a1_in1k` for `ResNet50`.

    Args:
        name: One of `TUTORIAL`, in upper or lower case, or a name of timm, with or without a tag.

    Raises:
        ModelError: timm cannot be imported.
        ValueError: timm has no such model; names the nearest.
    """
    if not isinstance(name, str) or not name.strip():
        raise ValueError(f"name is {name!r}, expected the name of a model, such as ResNet50")
    timm = import_timm()
    alias = {each.lower(): found for each, found in TUTORIAL.items()}
    resolved = alias.get(name.lower(), name)
    architecture, _, tag = resolved.partition(".")
    # a colon or a slash would make timm ask a hub, or read a folder
    if not timm.is_model(architecture):
        known = [*TUTORIAL, *timm.list_models()]
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        raise ValueError(
            f"timm {timm.__version__} has no model {name!r}. "
            + (f"Did you mean {' or '.join(near)}? " if near else "")
            + f"Known are {', '.join(TUTORIAL)}, and every name that timm.list_models() gives."
        )
    tags = timm.list_pretrained(f"{architecture}.*")
    if tag and resolved not in tags:
        raise ValueError(
            f"timm {timm.__version__} has no weights {tag!r} of {architecture}; expected "
            f"{', '.join(tags) or 'the name without a tag'}"
        )
    return resolved
