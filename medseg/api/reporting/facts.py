"""What was run, on what, and how the patients were shared out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from medseg.api.reporting.blocks import Block, Facts, Table, Text, Words
from medseg.api.reporting.kept import Kept
from medseg.api.scoring.learned import TAG as LEARNED
from medseg.pipeline.audit.certificate import JSON as CERTIFICATE
from medseg.pipeline.audit.standing import altered
from medseg.pipeline.audit.told import Told
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.declaration.public import GIVEN, public_definition
from medseg.pipeline.folder import RunFolder
from medseg.splits.rule import SplitRule
from medseg.yaml import to_yaml

GENERATED = (
    "GENERATED DATA: these are made-up patients. The scores say nothing about real ones, and nothing here may be "
    "cited as a result on patients."
)
MIXED = (
    "GENERATED CASES: {mixture}, of a generated sample: no patient is in them. The scores say little about "
    "real ones."
)
LEAKING = (
    "LEAKING SPLIT: slices of one patient may be in training and in test. The scores are too good to be compared "
    "with any."
)
_TOGETHER = "All of a patient, or of a group of pictures, is in one role."
_ROLES = {"train": "training", "val": "validation", "test": "test"}
COUNT = re.compile(r"[0-9]{1,15}")
"""A count in a tag."""

_LONGEST_NOTE = 5000  # characters that are shown
_LONGEST_TAG, _MOST_TAGS = 500, 100

_ENDED = {
    "FAILED": "This run has failed: what follows is what it held by then, and no finished result.",
    "KILLED": "This run was interrupted: what follows is what it held by then, and no finished result.",
    "GONE": "This run was cut off: what follows is what it held by then, and no finished result.",
}


def warnings(kept: Kept) -> Iterator[Words]:
    """What nobody who reads the page may overlook."""
    if kept.generated:
        yield Words(GENERATED, "loud")
    for mixture in sorted({each.state.mixture for each in kept.runs} - {""}):
        yield Words(MIXED.format(mixture=mixture), "loud")
    if kept.leaking:
        yield Words(LEAKING, "loud")
    yield from _leak_warning(kept)
    if kept.ended in _ENDED:
        yield Words(_ENDED[kept.ended], "loud")
    if not all(each.mine and not each.edited for each in (kept, *kept.folds)):
        yield Words(
            "Made by somebody else, by an earlier medseg, or edited since: nobody here vouches for what its "
            "files say.",
            "loud",
        )
    for assumed in dict.fromkeys(each.tags.get("data.assumed", "") for each in kept.runs):
        if assumed:
            yield Words(f"NOT GIVEN by the files of the data, and assumed: {assumed}.", "loud")
    for gap in dict.fromkeys(each.state.options.own_tags().get(LEARNED, "") for each in kept.runs):
        if gap:
            yield Words(
                f"What the model has learned from is {gap}: scores of cases among it are too good.", "loud"
            )
    for each in kept.runs:
        for tag, share in each.tags.items():
            if tag.endswith(".unscored"):
                yield Words(f"{share} test cases could not be scored, and are in no table.", "loud")
    yield from _changed(kept)


def _changed(kept: Kept) -> Iterator[Words]:
    changed = [key for each in kept.runs for key in each.state.changed]
    if changed:
        yield Words(f"Changed after it began: {', '.join(dict.fromkeys(changed))}.", "loud")


def run_blocks(kept: Kept) -> Sequence[Block]:
    """Pipeline, network, seed."""
    definition = kept.definition
    if definition is None:
        gone = Words("Its definition cannot be read, so that nobody can tell what was run.", "missing")
        return [gone, *([Facts(rows)] if (rows := said_of(kept)) else [])]
    left_out = _left_out(kept)
    rows = [
        *said_of(kept),
        ("Pipeline", definition.name),
        ("What it does", definition.about),
        ("Network", f"{definition.network['_target_']}{_parameters(kept)}"),
        ("Task", str(definition.task["_target_"])),
        ("Input", f"{', '.join(definition.channels)}; {input_of(kept)} of {size_of(definition)} pixels"),
        ("Steps", ", ".join(definition.steps)),
        ("Seed", str(definition.seed)),
        ("Cases left out", left_out),
    ]
    folds = [("Folds", str(kept.parts))] if kept.parts else []
    return [Facts([*rows, *folds]), *declared_text(kept)]


def said_of(kept: Kept) -> Sequence[tuple[str, str]]:
    """What whoever ran it has said of it: its note and its tags, and its name where it is headed by another."""
    options = kept.state.options
    tags = [f"{key}: {value[:_LONGEST_TAG]}" for key, value in options.own_tags().items() if key != LEARNED]
    note, more = options.note[:_LONGEST_NOTE].strip(), len(options.note) > _LONGEST_NOTE
    rows = [
        ("Name of the run", kept.name if kept.title != kept.name else ""),
        ("Note", f"{note} [...]" if more else note),
        ("Tags", "\n".join(tags[:_MOST_TAGS])),
    ]
    return [row for row in rows if row[1]]


def data_blocks(kept: Kept) -> Sequence[Block]:
    """The data set with licence and citation, and who is in which role."""
    manifest, facts = kept.manifest, Facts([])
    if manifest is None:
        about: Block = Words(
            "Its manifest cannot be read, so that nobody can tell which data these were.", "missing"
        )
    elif kept.generated:
        facts = Facts(
            [
                ("Data", f"A generated sample in the layout of {manifest.name}. No patient is in it."),
                ("Licence", "None is needed for generated data."),
            ]
        )
        about = facts
    else:
        about = Facts(
            [
                ("Data set", manifest.name),
                ("About", manifest.about),
                ("Source", manifest.source),
                ("Licence", manifest.licence),
                ("To be cited", manifest.citation),
            ]
        )
    return [
        *_leak_blocks(kept),
        about,
        Facts([("How patients were shared out", how_split(kept))]),
        *_roles(kept),
    ]


def _certificates(kept: Kept) -> Sequence[Told | None]:
    """The leak certificate of each run; None where there is none."""
    found = [(run, run.json(CERTIFICATE, dict)) for run in kept.runs]
    return [
        None
        if known is None
        else Told.of(known, vouched=run.mine and not run.edited, changed=altered(RunFolder(run.folder)))
        for run, known in found
    ]


def _leak_warning(kept: Kept) -> Iterator[Words]:
    kinds = dict.fromkeys(kind for told in _certificates(kept) if told for kind in told.leaks)
    if kinds:
        yield Words(
            f"LEAK ({', '.join(kinds)}): what was tested can have been learned from. The scores are too good; see "
            "Data.",
            "loud",
        )
    if any(altered(RunFolder(run.folder)) for run in kept.runs):
        yield Words(
            "CERTIFICATE ALTERED: a leak certificate was changed after it was written, and what it says counts for "
            "nothing.",
            "loud",
        )


def _leak_blocks(kept: Kept) -> Sequence[Block]:
    """Leaks loudly, then what was looked at and what was not; of folds those of each."""
    loud: list[Block] = []
    rows: list[tuple[str, str]] = []
    for number, told in enumerate(_certificates(kept), start=1):
        fold = f"Fold {number}: " if kept.folds else ""
        if told is None:
            loud.append(Words(f"{fold}There is no leak certificate: nobody has looked for leaks.", "missing"))
            continue
        loud += [
            Words(f"{fold}LEAK: {text} The scores are too good.", "loud") for text in told.leaks.values()
        ]
        rows += [
            (f"{fold}Leak certificate", told.verdict),
            (f"{fold}Nobody looked at", " ".join(told.unseen)),
        ]
    return [*loud, *([Facts(rows)] if rows else [])]


def how_split(kept: Kept) -> str:
    """How cases got their roles; values of columns, which may tell who somebody is, are left out.

    Returns:
        Sentences; nothing where the definition cannot be read.
    """
    if kept.definition is None:
        return ""
    rule = kept.definition.split
    seed = kept.definition.seed if rule.seed is None else rule.seed
    if kept.parts:
        return f"Drawn into {kept.parts} folds with seed {seed}; each is the test part once. {_TOGETHER}"
    return _of_rule(rule, seed, leaking=kept.leaking)


def _of_rule(rule: SplitRule, seed: int, *, leaking: bool) -> str:
    if rule.by == "slice":
        return f"By slice, drawn with seed {seed}: slices of one patient may be in several roles."
    if rule.file is not None and leaking:
        return "A file gave the roles of slices: those of one patient may be in several roles."
    if rule.file is not None:
        return f"A file gave the roles. {_TOGETHER}"
    if rule.column is not None:
        drawn = f"what it left open was drawn with seed {seed}"
        return f"The column {rule.column} of the data gave the roles; {drawn}. {_TOGETHER}"
    if rule.folds is not None:
        return (
            f"Drawn into {rule.folds} folds with seed {seed}; the test part is fold {rule.fold}. {_TOGETHER}"
        )
    shares = [_share(role, share) for role, share in (("validation", rule.val), ("test", rule.test))]
    shares = [*([] if rule.train is None else [_share("training", rule.train)]), *shares]
    alike = f", with like shares of {rule.stratify} in each role" if rule.stratify else ""
    listed = " and ".join(filter(None, (", ".join(shares[:-1]), shares[-1])))
    return f"{listed.capitalize()}; draws have seed {seed}{alike}. {_TOGETHER}"


def input_of(kept: Kept) -> str:
    """What the network sees: pictures, or slices in a plane."""
    if kept.definition is None or (kept.manifest is not None and kept.manifest.pictures is not None):
        return "pictures"
    count = kept.definition.slices.neighbours
    beside = f" with {count} more on either side" if count else ""
    return f"{kept.definition.slices.axis} slices{beside}"


def size_of(definition: PipelineDefinition) -> str:
    """Height and width of a slice."""
    return " x ".join(map(str, definition.slices.size))


def declared_text(kept: Kept) -> Sequence[Text]:
    """The whole definition, without paths."""
    if kept.definition is None or kept.manifest is None:
        return []
    known = public_definition(kept.definition, kept.manifest)
    return [Text("The whole definition (YAML)", to_yaml(without_paths(known)))]


def without_paths(value: Any) -> Any:
    """Plain data with `given` in place of every whole path: parts of other packages may take some."""
    if isinstance(value, Mapping):
        return {key: without_paths(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_paths(each) for each in value]
    is_path = isinstance(value, str) and (
        value.startswith(("~", "file:"))
        or PurePosixPath(value).is_absolute()
        or PureWindowsPath(value).is_absolute()
    )
    return GIVEN if is_path else value


def _share(role: str, share: Any) -> str:
    if isinstance(share, dict):
        return f"{role} chosen by the column {' and '.join(share)}"
    return f"{share:,} patients for {role}" if isinstance(share, int) else f"{share or 0:.0%} for {role}"


def _parameters(kept: Kept) -> str:
    found = kept.runs[0].tags.get("network.parameters", "")
    return f" with {int(found):,} parameters" if COUNT.fullmatch(found) else ""


def _left_out(kept: Kept) -> str:
    """How many cases were not used, as far as it is known."""
    known = kept.runs[0].tags.get("data.left_out", "")
    return str(len(kept.runs[0].state.unprepared) + (int(known) if COUNT.fullmatch(known) else 0))


def _roles(kept: Kept) -> Sequence[Block]:
    """Patients, cases and slices by role; of folds those of each."""
    noun, fold = kept.grouped_by, ["fold"] if kept.folds else []
    rows = [
        [*([str(number)] if kept.folds else []), _ROLES.get(role, role)]
        + [f"{counts[key]:,}" if key in counts else "-" for key in ("groups", "cases", "slices")]
        for number, each in enumerate(kept.runs, start=1)
        for role, counts in each.inputs
    ]
    if not rows:
        return [Words("It does not say how many patients were in which role.", "missing")]
    return [Table(f"{noun.capitalize()} and cases by role", [*fold, "role", noun, "cases", "slices"], rows)]
