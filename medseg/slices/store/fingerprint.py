"""What a prepared slice depends on, as one number: the same number, the same slices."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medseg.allowed import DEFAULT_MODULES
from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import LabelRule
from medseg.datasets.roles import UNLABELLED
from medseg.errors import DataError, Fault
from medseg.files.content import Content, content_of
from medseg.geometry.resampling import RESAMPLING
from medseg.images.formats import NIFTI, FileKind
from medseg.slices.selection import Selection, for_scores, for_training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from medseg.slices.rule import SliceRule

STORE_VERSION = 3
"""Raised when stored slices come out otherwise than before, or are laid out otherwise."""

_PACKAGES = ("monai", "numpy", "nibabel", "scipy", "torch")


@dataclass(frozen=True)
class Recipe:
    """Everything but the files that decides what is stored.

    Attributes:
        channels: Names of the channels, in order.
        rule: Of the slices.
        labels: What label values mean; None where no truth is read.
        files: The kind of files.
        training: Which slices of training cases, and of images without a label, are kept.
        scoring: Which slices of validation and test cases are kept.
        seed: Of the draw; decides nothing where none is drawn.
    """

    channels: tuple[str, ...]
    rule: SliceRule
    labels: LabelRule | None
    files: FileKind
    training: Selection
    scoring: Selection
    seed: int

    def selection(self, role: str) -> Selection:
        """Which slices are kept of a case in a role."""
        return self.training if role in ("train", UNLABELLED) else self.scoring

    @property
    def fingerprint(self) -> str:
        """Of how every case is prepared, whichever slices are kept: 16 hexadecimal digits."""
        return _hash(self._preparation)[:16]

    def contents(self, case: Case, known: Mapping[str, Content]) -> dict[str, Content]:
        """What the files hold that the slices of a case are made of, by their parts.

        Args:
            case: Whose files.
            known: What they held when they were looked at; files that changed since, or are not in it, are read.

        Raises:
            DataError: A file is missing; holds one fault.
        """
        return {part: _content(case, part, known.get(part)) for part in self._parts(case)}

    def entry(self, case: Case, role: str, contents: Mapping[str, Content]) -> str:
        """Name of the entry of a case: a hash of the preparation, what its files hold, and the slices kept.

        A file counts by its bytes: neither where it lies nor the time that it bears matters.
        """
        selection = self.selection(role)
        drawn = [self.seed, case.id] if selection.draw is not None else None
        files = {part: content.digest for part, content in contents.items()}
        facts = {"files": files, "keep": asdict(selection), "drawn": drawn}
        return _hash({**self._preparation, **facts})[:32]

    def _parts(self, case: Case) -> list[str]:
        truth = [part for part in case.files if part not in case.images]
        return [*self.channels, *(truth if self.labels is not None else [])]

    @cached_property  # versions of packages are looked up, which takes 20 ms: not again for each of many cases
    def _preparation(self) -> dict[str, Any]:
        # stores of before there were these are good still
        new = {name for name in ("neighbours", "align") if not getattr(self.rule, name)}
        rule = self.rule.model_dump(mode="json", exclude={"keep", *new})
        if self.rule.align is not None:
            rule["align"] = {"reference": self.rule.reference(self.channels), "version": RESAMPLING}
        labels: dict[str, Any] | None = None
        if self.labels is not None:
            values = sorted(self.labels.values.items())
            derive = asdict(self.labels.derive) if self.labels.derive else None
            labels = {
                "classes": self.labels.classes,
                "values": values,
                "derive": derive,
                "instances": self.labels.instances,
            }
            # left out otherwise: what was stored before there was this key keeps its name
            if self.labels.ignored:
                labels["ignored"] = sorted(self.labels.ignored)
        packages = {name: _version(name) for name in _PACKAGES}
        return {
            "store": STORE_VERSION,
            "packages": packages,
            "sources": _foreign_sources(self.rule),
            "channels": self.channels,
            "rule": rule,
            "labels": labels,
            "files": self.files.meaning(),
        }


def make_recipe(
    channels: tuple[str, ...],
    rule: SliceRule,
    labels: LabelRule | None,
    *,
    regions: Mapping[str, Sequence[int]],
    seed: int,
    files: FileKind = NIFTI,
) -> Recipe:
    """Resolve the keep rule of a definition and put the recipe together.

    Raises:
        DefinitionError: The keep rule names no class or region.
    """
    classes = labels.classes if labels else ()
    foreground = labels.foreground if labels else ()
    keep = rule.keep
    training = for_training(keep.contains, keep.draw, classes=classes, foreground=foreground, regions=regions)
    return Recipe(channels, rule, labels, files, training, for_scores(foreground), seed)


def _content(case: Case, part: str, known: Content | None) -> Content:
    remedy = "Add it, or leave the case out."
    path = case.files.get(part)
    try:
        if path is None:
            raise FileNotFoundError
        return content_of(path, known)
    except OSError as error:
        problem = f"the file cannot be found: {error.strerror or 'there is none'}"
        fault = Fault(case.id, case.position, part, problem, remedy, path)
        raise DataError(fault.text(), [fault]) from error


@cache
def _version(package: str) -> str:
    return version(package)


def _hash(facts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _foreign_sources(rule: SliceRule) -> dict[str, str]:
    """Digest of the source of each transform's module that came with neither medseg nor the packages named.

    Their versions tell nothing of a package that a user is still writing.
    """
    modules = {str(spec.get("_target_", "")).rpartition(".")[0] for spec in rule.chain}
    found = {}
    for module in sorted(modules - DEFAULT_MODULES - {""}):
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError):
            continue  # it does not exist, which building it will say
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            found[module] = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()
    return found
