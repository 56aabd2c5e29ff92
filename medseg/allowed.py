"""What a definition may name: the modules, and the classes and arguments that stay refused."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache

from medseg.machine.installed import brought

DEFAULT_MODULES = frozenset(
    {
        "medseg.learning",
        "medseg.learning.networks",
        "medseg.samples",
        "medseg.steps",
        "medseg.transforms",
        "monai.losses",
        "monai.metrics",
        "monai.networks.nets",
        "monai.optimizers",
        "monai.transforms",
        "sklearn.cluster",
        "sklearn.decomposition",
        "sklearn.manifold",
        "torch.nn",
        "torch.optim",
        "torch.optim.lr_scheduler",
        "umap",
    }
)
"""Modules whose public classes any definition may name."""

EXTRAS: Mapping[str, str] = {
    "einops": '"einops>=0.8" (it is the extra `transformers` of medseg).',
    "umap": '"umap-learn>=0.5.9" (it is the extra `umap` of medseg).',
}
"""Modules that are not installed with medseg, and how they are."""

NEEDED: Mapping[str, str] = {"SwinUNETR": "einops", "UNETR": "einops"}
"""Networks of MONAI that ask for one of them, and which: SwinUNETR does so only at its first image."""

_FILES = "it reads or writes files that its arguments name; medseg reads and writes itself"
_BY_NAME = "it imports what its argument names; use the class of that name from an allowed module"
_CALLS = "it calls any function; write a class in a package of your own and allow that with --allow"
_WEB = "it loads files from the web or from a path; expected a network or loss without"

REFUSED: Mapping[str, str] = {
    # monai.transforms 1.6.1, by the name of the class: aliases such as LoadImageD and LoadImageDict share it.
    "LoadImage": "its `reader` imports anything, and " + _FILES,
    "LoadImaged": "its `reader` imports anything, and " + _FILES,
    "SaveImage": "its `writer` imports anything, and " + _FILES,
    "SaveImaged": "its `writer` imports anything, and " + _FILES,
    "SaveClassificationd": _FILES,
    "WriteFileMapping": _FILES,
    "WriteFileMappingd": _FILES,
    **dict.fromkeys(
        [
            *("TorchVision", "TorchVisiond", "RandTorchVision", "RandTorchVisiond"),
            *("TorchIO", "TorchIOd", "RandTorchIO", "RandTorchIOd"),
            *("CuCIM", "CuCIMd", "RandCuCIM", "RandCuCIMd"),
        ],
        _BY_NAME,
    ),
    **dict.fromkeys(["Lambda", "Lambdad", "RandLambda", "RandLambdad", "FunctionSignature"], _CALLS),
    **dict.fromkeys(["Ensembled", "BatchInverseTransform"], _CALLS),
    # monai.networks.nets, monai.losses, monai.optimizers
    "TorchVisionFCModel": "it calls what its argument names in torchvision; " + _WEB,
    "MILModel": "it calls what its argument names in torchvision; " + _WEB,
    "Transchex": _WEB,
    "PerceptualLoss": _WEB,
    "LearningRateFinder": "it writes and unpickles files; set the rate, or a schedule",
}
"""Classes of MONAI that no definition may name, and why; no `--allow` lifts it."""

REFUSED_OWN: Mapping[str, str] = dict.fromkeys(
    [
        *("CarryMaskd", "CheckPreparedd", "CutSlicesd", "EncodeLabelsd", "FitSlicesd", "LoadCased"),
        *("MarkContentd", "OrientRASd", "StackNeighboursd"),
    ],
    "it is a part of every preparation, and `slices` and the manifest say what it is given",
)
"""Transforms of medseg that no definition may name, and why."""

REFUSED_ARGUMENTS: Mapping[str, str] = {
    "memory": "it names a folder of pickled results",
    "pickle_module": "it unpickles",
    "pretrained": "its weights come from the web, which medseg does not open: write `pretrained: false`",
    "pretrained_url": "its weights come from the web, which medseg does not open: leave it out",
    "pretrained_path": "it loads a file by path: leave it out",
}
"""Arguments of MONAI's and scikit-learn's classes that must keep a false or empty value, and why."""

GUARDED = frozenset({"monai", "sklearn"})
"""Top-level packages that `REFUSED_ARGUMENTS` is about."""


@dataclass(frozen=True)
class Allowed:
    """Where a `_target_` may come from.

    Attributes:
        modules: Modules that count by themselves, without their submodules.
        packages: Packages that the caller allows, with all their submodules.
    """

    modules: frozenset[str] = DEFAULT_MODULES
    packages: frozenset[str] = frozenset()

    def also(self, *packages: str) -> Allowed:
        """Allow further packages with their submodules: what `--allow PKG` says."""
        return replace(self, packages=self.packages | frozenset(packages))

    def covers(self, module: str) -> bool:
        """Whether classes of this module may be named.

        Beside what is kept here, packages that `MEDSEG_ALLOW` names count, and installed entry points. These are
        asked only where nothing else covers the module: that costs a walk over all installed packages.
        """
        if module in self.modules or _within(module, self.packages):
            return True
        return _within(module, _of_environment()) or _within(module, _installed())


SHIPPED = Allowed()
"""What any definition may name when the caller allows nothing further."""


def _of_environment() -> frozenset[str]:
    """Packages that `MEDSEG_ALLOW` names, with spaces between them."""
    return frozenset(os.environ.get("MEDSEG_ALLOW", "").split())


@cache
def _installed() -> frozenset[str]:
    """Packages that installed distributions allow: entry points of the group `medseg.allow`."""
    return frozenset(point.module for point in brought("medseg.allow"))


def _within(module: str, packages: Collection[str]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)
