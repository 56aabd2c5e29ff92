"""A pipeline as it is declared: data that say what is built, in what order, from what."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from medseg.component import Spec
from medseg.learning.training.loading import Loading
from medseg.pipeline.declaration.schema import complaint
from medseg.slices.rule import SliceRule, as_tuple
from medseg.splits.rule import SplitRule
from medseg.text import as_names
from medseg.yaml import read_yaml


def _unique(names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or len(set(names)) < len(names):
        raise ValueError("expected one channel or more, each once")
    return names


def _names(given: object) -> object:
    return as_names(given) if isinstance(given, str) else as_tuple(given)


def _one_step(steps: dict[str, Any]) -> dict[str, Any]:
    if not steps:
        raise ValueError("expected at least one step")
    return steps


def _is_slug(name: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", name):
        raise ValueError("expected a name of lower-case letters, digits, _ and -")
    return name


Slug = Annotated[str, AfterValidator(_is_slug)]
"""A name that can stand in a path, an address and a dotted key: lower case, digits, `_` and `-`."""

Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Channels = Annotated[tuple[Text, ...], BeforeValidator(_names), AfterValidator(_unique)]


class SampleRule(BaseModel):
    """The generated data set on which the pipeline runs when no data are given.

    Attributes:
        cases: How many to generate.
        seed: Of the generator.
        set: What is set in the definition then, and only then, by dotted key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    cases: Annotated[int, Field(gt=0)]
    seed: Seed = 0
    set: dict[str, Any] = {}


class PipelineDefinition(BaseModel):
    """A whole pipeline, as written in YAML. What specs name is looked up by `component.check`, not here.

    Attributes:
        name: What it is called on the command line.
        about: One sentence on what it does.
        seed: Of everything random that has no seed of its own.
        manifest: Name or path of the data manifest.
        channels: Channels of the input, in the network's order.
        shown: The channel over which figures draw masks, and show first: one of these. None: that of the manifest,
            else the first.
        slices: How slices are cut.
        split: How cases are shared out.
        loading: How slices reach the network.
        task: Spec of what labels mean.
        network: Spec of the network.
        sample: What to generate when no data are given; None if the pipeline needs data.
        steps: Specs of the steps by name, in the order in which they run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Slug
    about: str = ""
    seed: Seed = 0
    manifest: Text
    channels: Channels
    shown: Text | None = None
    slices: SliceRule
    split: SplitRule = SplitRule()
    loading: Loading = Loading()
    task: Spec
    network: Spec
    sample: SampleRule | None = None
    steps: Annotated[dict[Slug, Spec], AfterValidator(_one_step)]

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network sees of a slice, in order: the channels, and those of its neighbours."""
        return self.slices.inputs(self.channels)

    @property
    def reference(self) -> str | None:
        """The channel onto whose grid the others are resampled; None where other grids are refused."""
        return self.slices.reference(self.channels)

    @classmethod
    def from_yaml(cls, path: Path) -> Self:
        """Read a definition from a file.

        Raises:
            DefinitionError: It cannot be read, or a key is unknown, missing or wrong; names each.
        """
        return cls.from_dict(read_yaml(path), str(path))

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], source: str) -> Self:
        """Read a definition from plain data.

        Args:
            data: As `read_yaml` or `to_dict` give it.
            source: What to call it in errors.

        Raises:
            DefinitionError: A key is unknown, missing or wrong; names each.
        """
        try:
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise complaint(error, cls, data, source) from error

    def to_dict(self) -> dict[str, Any]:
        """Plain data that `from_dict` reads back equal: dicts, lists, texts, numbers, booleans and None."""
        return self.model_dump(mode="json")

    def flat(self) -> dict[str, object]:
        """The same under dotted names, such as `loading.augment.0.prob`; lists of plain values stay whole."""
        return flatten(self.to_dict())

    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with anything in the definition, the order of steps included."""
        text = json.dumps([self.to_dict(), list(self.steps)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]


def flatten(data: Mapping[str, Any]) -> dict[str, object]:
    """Nested plain data under dotted names; lists of plain values stay whole."""
    return dict(_leaves(data, ""))


def _leaves(value: Any, at: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, each in value.items():
            yield from _leaves(each, f"{at}.{key}" if at else str(key))
    elif isinstance(value, list) and any(isinstance(each, dict | list) for each in value):
        for place, each in enumerate(value):
            yield from _leaves(each, f"{at}.{place}")
    else:
        yield at, value
