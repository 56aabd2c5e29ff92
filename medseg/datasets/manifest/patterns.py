"""Where a data set keeps its files: patterns that people can write, compiled to regular expressions.

A pattern is a path relative to the data root, with `/` between names on every system. In it

- `{case}` is the case's id (default: any name; `case:` of the layout narrows it by a regular expression);
  a second `{case}` must repeat the first;
- `{channel}` is one of the channels, as itself or in one of the spellings under `spelling`;
- `**/` stands for any number of folders, also none;
- `{within}` does too, and they become part of the case's id (`Train/001`), so that they tell apart cases of
  one name; patterns have it all or none, and the files of a case must agree in it;
- `*` stands for any characters within one name, also none;
- `.nii*` at the end means `.nii` or `.nii.gz`, and nothing else.

Everything else stands for itself; upper and lower case differ. Letters with accents are compared in Unicode's
composed form (NFC), whichever way a pattern or a file's name spells them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from medseg.class_names import ImageLabels
from medseg.datasets.manifest.expressions import Pattern, pattern
from medseg.datasets.manifest.layout import NO_LABEL_MAPS, FileLayout
from medseg.datasets.manifest.slips import EXACT, Slip, nearest
from medseg.text import composed

#: The part of a case that holds the truth; no channel may be called so.
MASK = "mask"

#: The part that holds the channels, where one file holds them all.
IMAGE = "image"

_TOKEN = re.compile(r"\*\*/|\*|\{[^{}]*\}|\.nii\*$")
_FOLDERS = "(?:[^/]+/)*"


class Layout(FileLayout):
    """How a data set's files are named.

    Attributes:
        images: One pattern for all channels (with `{channel}`, unless there is but one channel), several of
            which the first that fits counts, or patterns for each channel.
        mask: Pattern or patterns of the label map; None where there is none.
        objects: Pattern or patterns of files that hold one object each, in place of `mask`: all that fit belong
            to the case.
        pair: `name`: image and label map are of one case if their patterns give one id. `order`: the first
            image belongs to the first label map of the same `{within}`, and so on, in the order of their paths
            with numbers as numbers; there must be as many of one as of the other.
        case: Regular expression for `{case}`.
        spelling: Names that stand for a channel in file names; a channel left out is spelt as itself.
    """

    finder: ClassVar[str] = "medseg.datasets.finding.by_pattern.PatternFinder"

    images: str | tuple[str, ...] | dict[str, str | tuple[str, ...]]
    mask: str | tuple[str, ...] | None = None
    objects: str | tuple[str, ...] | None = None
    pair: Literal["name", "order"] = "name"
    case: str = "[^/]+"
    spelling: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    _slip: Slip = PrivateAttr(default=EXACT)

    @model_validator(mode="after")
    def _one_truth(self) -> Self:
        if self.mask is not None and self.objects is not None:
            raise ValueError(
                "'mask' and 'objects' are both given: the truth is one file, or one for each object"
            )
        if self.pair == "order" and self.mask is None:
            raise ValueError("'pair: order' pairs images with label maps: it needs 'mask'")
        return self

    @property
    def has_truth(self) -> bool:
        """Whether a case may have a truth."""
        return self.mask is not None or self.objects is not None

    @property
    def many(self) -> frozenset[str]:
        """The parts of a case that may have several files."""
        return frozenset() if self.objects is None else frozenset({MASK})

    def class_complaints(self, image_labels: ImageLabels, classes: Sequence[str]) -> Iterator[str]:  # noqa: ARG002
        """What keeps it from telling the classes of whole images."""
        if self.has_truth:
            yield NO_LABEL_MAPS
        yield "'layout' tells no class: expected 'class_folders: true', or a table (csv) with 'label' or 'labels'"

    def verify(self, channels: Sequence[str], *, together: bool) -> None:
        """Whether it can find these channels.

        Raises:
            ValueError: As `compiled`.
        """
        self.compiled(channels, together=together)

    def loosened(self, slip: Slip) -> Layout:
        """The same layout, whose patterns fit names that miss them by no more than this."""
        made = self.model_copy()
        made._slip = slip  # noqa: SLF001 - its own
        return made

    def compiled(self, channels: Sequence[str], *, together: bool = False) -> Matcher:
        """The layout as regular expressions.

        Args:
            channels: Names of the channels.
            together: Whether one file holds them all; it is the part `image` then.

        Raises:
            ValueError: A pattern cannot be used; the message says which and why.
        """
        strange = sorted(set(self.spelling) - set(channels))
        if strange:
            raise ValueError(f"'spelling' names {strange}, which are no channels; they are {list(channels)}")
        named = [name for channel in channels for name in self.spelling.get(channel, (channel,))]
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f"'spelling' gives {twice} to more than one channel")
        spelt = {name: channel for channel in channels for name in self.spelling.get(channel, (channel,))}
        rules = [
            self._rule(MASK, written, key)
            for key, given in (("mask", self.mask), ("objects", self.objects))
            for written in _several(given)
        ]
        if together:
            rules += self._joint_rules()
        elif isinstance(self.images, dict):
            rules += self._channel_rules(self.images, channels)
        else:
            rules += self._shared_rules(_several(self.images), channels, spelt)
        if len({"{within}" in rule.pattern for rule in rules}) > 1:
            raise ValueError(
                "some patterns hold {within} and some do not: it is part of the id, in all or none"
            )
        if self.pair == "order" and len(channels) > 1 and not together:
            raise ValueError(f"'pair: order' takes one image a case, and there are {len(channels)} channels")
        return Matcher(tuple(rules), {} if together else spelt)

    def _joint_rules(self) -> list[Rule]:
        if isinstance(self.images, dict):
            raise ValueError(  # noqa: TRY004 - a complaint about what is written
                "one file holds all channels: 'images' expected its pattern, not one for each channel"
            )
        return [self._rule(IMAGE, written) for written in _several(self.images)]

    def _channel_rules(
        self, images: Mapping[str, str | tuple[str, ...]], channels: Sequence[str]
    ) -> list[Rule]:
        if set(images) != set(channels):
            raise ValueError(
                f"'images' names {sorted(images)}, expected a pattern for each of {list(channels)}"
            )
        return [
            self._rule(channel, written, f"images.{channel}")
            for channel in channels
            for written in _several(images[channel])
        ]

    def _shared_rules(
        self, patterns: Sequence[str], channels: Sequence[str], spelt: Mapping[str, str]
    ) -> list[Rule]:
        rules = []
        for written in patterns:
            if "{channel}" not in written and len(channels) > 1:
                raise ValueError(
                    f"the pattern '{written}' needs {{channel}}: there are {len(channels)} channels"
                )
            part = "" if "{channel}" in written else channels[0]
            rules.append(self._rule(part, written, spelt=spelt))
        return rules

    def _rule(
        self, part: str, written: str, key: str = "images", spelt: Mapping[str, str] | None = None
    ) -> Rule:
        return Rule(part, written, self._compiled(written, spelt or {}), f"layout.{key}")

    def _compiled(self, given: str, spelt: Mapping[str, str]) -> Pattern:
        if "{case}" not in given:
            raise ValueError(f"the pattern '{given}' needs {{case}}, to tell which case a file belongs to")
        if "**/{within}" in given:
            raise ValueError(f"the pattern '{given}' has '**/' before {{within}}, which stands for the same")
        given, ending = self._slip.split(composed(given))
        seen: set[str] = set()
        written, end = "", 0
        for token in _TOKEN.finditer(given):
            written += self._slip.literal(given[end : token.start()])
            written += self._meaning(token, given, spelt, seen)
            end = token.end()
        written += self._slip.literal(given[end:]) + ending
        try:
            pattern(composed(self.case))
        except ValueError as error:
            raise ValueError(f"'case' is no regular expression: {error}") from error
        try:
            return pattern(self._slip.whole(composed(written)))
        except ValueError as error:
            raise ValueError(f"the pattern '{given}' cannot be used: {error}") from error

    def _meaning(self, token: re.Match[str], given: str, spelt: Mapping[str, str], seen: set[str]) -> str:
        text, start = token.group(), token.start()
        begins = start in (0, given.rfind("/", 0, start) + 1)
        if text == "**/" and begins:
            return _FOLDERS
        if (
            text == "*"
            and not given.startswith("**", max(start - 1, 0))
            and not given.startswith("**", start)
        ):
            return "[^/]*"
        if text == ".nii*":
            return r"\.nii(?:\.gz)?"
        allowed = {
            "{case}": self.case,
            **({"{channel}": _either(spelt)} if spelt else {}),
            **({"{within}": _FOLDERS} if begins or text != "{within}" else {}),
        }
        if text not in allowed:
            raise ValueError(
                f"the pattern '{given}' holds '{text}' where it has no meaning; "
                f"known are {', '.join(allowed)}, '*' within a name and '**/' at the start of one"
            )
        name = text.strip("{}")
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return f"(?P<{name}>{allowed[text]})"


@dataclass(frozen=True)
class Place:
    """What a path says about a file.

    Attributes:
        case: The case's id, as the data set spells it. Private where ids are identifying.
        part: The channel, `image` where one file holds all channels, or `mask`.
        within: The folders that are part of the id, with a `/` behind each.
        pattern: The one that fits, as written.
    """

    case: str
    part: str
    within: str = ""
    pattern: str = field(default="", compare=False)

    @property
    def raw(self) -> str:
        """The case's whole id, as the data set spells it. Private where ids are identifying."""
        return self.within + self.case


@dataclass(frozen=True)
class Rule:
    """A compiled pattern."""

    part: str  # empty: the pattern's {channel} says it
    pattern: str
    compiled: Pattern
    key: str  # of the manifest


@dataclass(frozen=True)
class Matcher:
    """A compiled layout.

    Attributes:
        rules: One for each pattern, in the order in which they count.
        spelt: The channel that each spelling stands for.
        at: What errors say before the key of a pattern, such as the name of the manifest.
        closest: Whether of several patterns that fit the one counts that leaves least to the id of the case.
    """

    rules: tuple[Rule, ...]
    spelt: Mapping[str, str]
    at: str = ""
    closest: bool = False

    def text(self, part: str | None = None) -> str:
        """The patterns as written, of one part (with the spellings of a channel) or of all."""
        words = []
        for rule in sorted(self.rules, key=lambda rule: rule.part == MASK):
            if part is None or rule.part == part:
                words.append(f"'{rule.pattern}'")
            elif not rule.part and part != MASK:
                names = [name for name, channel in self.spelt.items() if channel == part]
                words += [f"'{rule.pattern.replace('{channel}', name)}'" for name in names]
        return " or ".join(dict.fromkeys(words))

    def place(self, relative: str) -> Place | None:
        """What the path means, relative to the data root, `/` between names, NFC; None if no pattern fits.

        A file that fits both a mask's and an image's pattern is a mask, so that `{case}.nii*` may stand
        beside `{case}_gt.nii*`.

        Raises:
            ManifestError: A pattern takes too long.
        """
        places = self._places(relative)
        if self.closest:
            return min(places, key=lambda place: len(place.case), default=None)  # the first of equal ones
        return next(places, None)

    def _places(self, relative: str) -> Iterator[Place]:
        for rule in self.rules:
            found = rule.compiled.fullmatch(relative, f"{self.at}'{rule.key}'")
            if found:
                groups = found.groupdict()
                part = rule.part or self._channel(groups["channel"])
                yield Place(groups["case"], part, groups.get("within") or "", rule.pattern)

    def nearest(self, name: str) -> str:
        """The pattern that is most like the name of a file, as written."""
        return nearest([rule.pattern for rule in self.rules], tuple(self.spelt), name)

    def of_names(self) -> Matcher:
        """The patterns by which a name alone, in whatever folder, tells an image: those of one channel only.

        A mask's count where no image's is the same. Without folders, `{case}.nii*` of a mask also fits the images
        `{case}_0000.nii*`: the pattern counts that leaves least to the id, and a mask's of equal ones.
        """
        parts: dict[str, set[str]] = {}
        for rule in self.rules:
            if rule.part != MASK:
                parts.setdefault(rule.compiled.text, set()).add(rule.part)
        kept = [rule for rule in self.rules if parts.get(rule.compiled.text, {MASK}) == {rule.part}]
        return replace(self, rules=tuple(kept), closest=True)

    def _channel(self, written: str) -> str:
        known = self.spelt.get(written)  # in other letters only where the patterns are loosened
        return known or next(name for spelt, name in self.spelt.items() if spelt.lower() == written.lower())


def _several(patterns: str | Sequence[str] | None) -> tuple[str, ...]:
    if patterns is None:
        return ()
    return (patterns,) if isinstance(patterns, str) else tuple(patterns)


def _either(names: Mapping[str, str]) -> str:
    # The longest first, so that `t1ce` is not read as `t1` followed by something.
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
