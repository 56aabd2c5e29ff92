"""A chapter of the page: all that is said of one run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from medseg.api.reporting.answers import versions
from medseg.api.reporting.blocks import Block, Chapter, Facts, Section, Words
from medseg.api.reporting.checklist import card_blocks
from medseg.api.reporting.compared import kept_blocks
from medseg.api.reporting.facts import data_blocks, run_blocks, warnings
from medseg.api.reporting.kept import Kept
from medseg.api.reporting.pictures import Album
from medseg.api.reporting.scores import score_blocks
from medseg.api.reporting.tested import (
    calibration_blocks,
    look_blocks,
    mean_words,
    patient_blocks,
    score_pictures,
)
from medseg.api.reporting.training import fold_table, threshold_blocks, training_blocks

_NAMED = 20  # pictures that were left out


def chapter(kept: Kept, album: Album, anchor: str) -> Chapter:
    """All about a run or a cross-validation.

    Args:
        kept: What is reported.
        album: Of the page.
        anchor: Its place on the page.

    Raises:
        RunError: A table of scores is damaged.
    """
    refused = len(album.refused)
    sections = list(_sections(kept, album, anchor))
    if album.refused[refused:]:
        left_out = list(dict.fromkeys(album.refused[refused:]))
        more = f", and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
        words = Words(
            "Pictures that are damaged, too large, too many or none at all were left out: "
            f"{', '.join(left_out[:_NAMED])}{more}.",
            "missing",
        )
        last = sections[-1]
        sections[-1] = Section(last.anchor, last.title, [*last.blocks, words])
    kind = "Cross-validation" if kept.parts else "Run"
    called = f" {kept.name}" if kept.title != kept.name else ""
    return Chapter(anchor, kept.title, f"{kind}{called}, {kept.ended.lower()}", sections)


def _sections(kept: Kept, album: Album, anchor: str) -> Iterator[Section]:
    data = album.kept(kept.runs[0].folder, "figures/data.png", "Some cases of the data, with their truth")
    parts: Mapping[str, Sequence[Block]] = {
        "What was run": [*warnings(kept), *run_blocks(kept), *fold_table(kept)],
        "Data": [*data_blocks(kept), *([data] if data is not None else [])],
        "Scores": [*mean_words(kept), *score_blocks(kept), *score_pictures(kept, album)],
        f"Every {kept.grouped_by.removesuffix('s')}": patient_blocks(kept),
        "Cases to look through": look_blocks(kept, album, f"{anchor}-look"),
        "Learning curves": training_blocks(kept, album, f"{anchor}-curves"),
        "Calibration": calibration_blocks(kept, album),
        "Threshold": threshold_blocks(kept, album),
        "Compared with other runs": kept_blocks(kept, album),
        "Model card": card_blocks(kept),
        "Versions": _versions(kept),
    }
    for place, (title, blocks) in enumerate(parts.items(), start=1):
        if blocks:
            yield Section(f"{anchor}-{place}", title, blocks)


def _versions(kept: Kept) -> Sequence[Block]:
    run = kept.runs[0]
    rows = [
        ("Versions", versions(run)),
        ("Commit of medseg", run.tags.get("git.commit", "")),
        ("Device", run.tags.get("device", "")),
        ("Fingerprint of the data", run.tags.get("data.fingerprint", "")),
        ("Fingerprint of the split", run.tags.get("split.hash", "")),
        ("Fingerprint of the definition", run.tags.get("definition.fingerprint", "")),
    ]
    known = [row for row in rows if row[1]]
    return [Facts(known)] if known else [Words("It does not say with which versions it was run.", "missing")]
