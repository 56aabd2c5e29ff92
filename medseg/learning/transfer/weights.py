"""Given weights: reading them without running their code, and putting them into a network that they fit."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import PickleError
from typing import Any

import torch
from safetensors.torch import load_file

from medseg.errors import ModelError
from medseg.learning.transfer.input_channels import fitted_stem
from medseg.learning.transfer.parts import Part, part_names
from medseg.learning.transfer.reading import UNREADABLE, UnpacksError, is_whole, load_state

#: Under which keys checkpoints of torch programs, of Lightning and of medseg's own runs hold the weights.
_INSIDE = ("state_dict", "model_state_dict", "model", "network")

_DEPTH = 3  # containers around the weights that are opened; a file may hold itself
_SHOWN = 4  # layers that an error names before it only counts


@dataclass(frozen=True)
class Filled:
    """What became of the tensors.

    Attributes:
        loaded: Names in the network that took given values.
        left: Names in the network that kept theirs.
        unused: Names in the file that were not asked for.
        prefix: What all names in the file began with, beyond those of the network.
        adapted: How filters were made to fit the channels of the images; empty where they did.
    """

    loaded: tuple[str, ...]
    left: tuple[str, ...]
    unused: tuple[str, ...]
    prefix: str = ""
    adapted: str = ""

    def text(self) -> str:
        """One sentence on what was loaded."""
        parts = [f"{len(self.loaded)} of {len(self.loaded) + len(self.left)} tensors loaded"]
        if self.unused:
            parts.append(f"{len(self.unused)} in the file not used")
        if self.prefix:
            parts.append(f"the prefix {self.prefix!r} of their names left out")
        if self.adapted:
            parts.append(self.adapted)
        return ", ".join(parts) + "."


def tensors_digest(weights: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of tensors with their names, types and shapes, in the order of the names: its first 16 digits."""
    found = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()[:16]


def weights_file(path: Path | str) -> Path:
    """The file itself: `weights.safetensors` where `path` is a saved model's folder.

    Raises:
        ModelError: There is no such file.
    """
    place = Path(path).expanduser()
    found = place / "weights.safetensors" if place.is_dir() else place
    if not found.is_file():
        got = "a folder without weights.safetensors" if place.is_dir() else "no file"
        raise ModelError(
            f"the given weights cannot be read: got {got}; expected a .safetensors file, a torch state dict, or the "
            "folder of a saved model. A relative path counts from the working folder."
        )
    return found


def load_weights(path: Path | str) -> dict[str, torch.Tensor]:
    """Read tensors by name, onto the CPU; nothing is unpickled but tensors and plain containers.

    Args:
        path: A `.safetensors` file; a torch state dict, or a checkpoint that holds one under `state_dict`,
            `model_state_dict`, `model` or `network`; or the folder of a saved model.

    Raises:
        ModelError: There is no such file, it is damaged, holds code, or holds no weights.
    """
    file = weights_file(path)
    try:
        held: Any = load_file(file) if file.suffix == ".safetensors" else load_state(file)
    except UnpacksError as error:
        raise ModelError(
            f"the given weights cannot be read: {error}. Save network.state_dict() alone, best as safetensors."
        ) from error
    except PickleError as error:
        raise ModelError(
            "the given weights are no plain state dict: the file holds Python objects, which are never run, or "
            "is damaged. Save network.state_dict() alone, best as safetensors."
        ) from error
    except PermissionError as error:
        raise ModelError(f"the given weights cannot be read: {error.strerror}.") from error
    except UNREADABLE as error:
        raise ModelError(
            "the given weights cannot be read: the file is damaged, or neither safetensors nor a torch state dict. "
            "Copy or download it anew, or save it as one of these."
        ) from error
    return _tensors(held)


def _tensors(held: object) -> dict[str, torch.Tensor]:
    for _ in range(_DEPTH):
        if isinstance(held, Mapping):
            held = next((held[key] for key in _INSIDE if isinstance(held.get(key), Mapping)), held)
    if not isinstance(held, Mapping) or not held:
        raise ModelError(f"the given weights hold no tensors by name: got {type(held).__name__}.")
    wrong = [key for key, value in held.items() if not isinstance(value, torch.Tensor)]
    if wrong:
        raise ModelError(
            f"the given weights are no plain state dict: {_some(map(str, wrong))} hold no tensor. Save "
            "network.state_dict() alone, best as safetensors."
        )
    odd = [str(key) for key, tensor in held.items() if not is_whole(tensor)]
    if odd:
        raise ModelError(
            f"the given weights are no plain state dict: {_some(odd)} take more memory than the file holds numbers. "
            "Save network.state_dict() alone, best as safetensors."
        )
    return {str(name): tensor for name, tensor in held.items()}


def weights_digest(path: Path | str) -> str:
    """SHA-256 of the file, its first 16 hexadecimal digits: names the weights without their path."""
    with weights_file(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def match(
    network: torch.nn.Module,
    weights: Mapping[str, torch.Tensor],
    *,
    part: Part = "all",
    shape: tuple[int, int, int] | None = None,
    at: str = "weights",
) -> Filled:
    """Say what `fill` would do, without doing it.

    Raises:
        DefinitionError: As `fill`.
        ModelError: As `fill`.
    """
    return _matched(network, weights, part, shape, at)[0]


def fill(
    network: torch.nn.Module,
    weights: Mapping[str, torch.Tensor],
    *,
    part: Part = "all",
    shape: tuple[int, int, int] | None = None,
    at: str = "weights",
) -> Filled:
    """Put given weights into a network, all of them or none.

    Names and shapes must be those of the network, but for a beginning that all names in the file share, such
    as `module.`, which is left out, and for filters of colour images in a network for grey ones or the other
    way round (see `medseg.learning.transfer.input_channels`).

    Args:
        network: On any device; keeps its own where weights are not taken.
        weights: Tensors by name, as `load_weights` gives them; half precision and the like are converted.
        part: `encoder` takes what `encoder_names` lists, `features` all but the head; neither looks at
            anything else, so that a network for another number of classes can start from it.
        shape: (C, H, W) of an image. Without it `features` are not known, and filters must fit as they are.
        at: Where the weights were asked for, for errors.

    Raises:
        DefinitionError: It is not known what the features of the network are.
        ModelError: They do not fit; names the first layers with what was found and expected. The network is as
            it was.
    """
    found, chosen = _matched(network, weights, part, shape, at)
    network.load_state_dict(chosen, strict=False)
    return found


def _matched(
    network: torch.nn.Module,
    weights: Mapping[str, torch.Tensor],
    part: Part,
    shape: tuple[int, int, int] | None,
    at: str,
) -> tuple[Filled, dict[str, torch.Tensor]]:
    """What becomes of the weights, and those that the network takes, by its own names."""
    own = network.state_dict()
    expected = part_names(network, part, shape)
    prefix = _common_prefix(weights, expected)
    given = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    given, adapted = (given, "") if shape is None else fitted_stem(network, shape, given)
    common = [name for name in own if name in expected and name in given]
    unused = tuple(name for name in given if name not in expected)
    faults = {
        "have another shape or kind": [
            f"{name} (got {_form(given[name])}, expected {_form(own[name])})"
            for name in common
            if _form(given[name]) != _form(own[name])
        ],
        "are missing in the file": [name for name in own if name in expected and name not in given],
        "are of no layer of the network": list(unused) if part == "all" else [],
        "hold values that are not finite": [name for name in common if not _finite(given[name])],
    }
    problems = [f"{len(names)} {text}: {_some(names)}" for text, names in faults.items() if names]
    if problems:
        raise ModelError(
            f"{at}: the given weights do not fit the {len(expected)} tensors of the "
            f"{'' if part == 'all' else f'{part} of the '}network {type(network).__name__}. Of the tensors, "
            f"{'; '.join(problems)}. Give weights of the same network with the same channels"
            f"{', or take a part of it alone (part: features or encoder)' if part == 'all' else ''}."
        )
    left = tuple(name for name in own if name not in expected)
    filled = Filled(tuple(common), left, unused, prefix, adapted)
    return filled, {name: given[name] for name in common}


def _common_prefix(given: Iterable[str], expected: Collection[str]) -> str:
    """What all names begin with, as far as leaving it out makes most of them known."""
    names = list(given)
    parts = names[0].split(".")[:-1] if names else []
    best, known = "", sum(name in expected for name in names)
    for depth in range(1, len(parts) + 1):
        prefix = ".".join(parts[:depth]) + "."
        if not all(name.startswith(prefix) for name in names):
            break
        fits = sum(name.removeprefix(prefix) in expected for name in names)
        if fits > known:
            best, known = prefix, fits
    return best


def _form(tensor: torch.Tensor) -> str:
    kind = "" if tensor.is_floating_point() else f" {str(tensor.dtype).removeprefix('torch.')}"
    return f"{tuple(tensor.shape)}{kind}"


def _finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or bool(torch.isfinite(tensor).all())


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = len(shown) - _SHOWN
    return ", ".join(shown[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def plain_weights(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Weights and buffers by name, each with memory of its own: safetensors takes no tied ones."""
    return {k: v.detach().cpu().clone().contiguous() for k, v in network.state_dict().items()}
