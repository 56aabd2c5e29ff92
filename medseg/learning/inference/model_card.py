"""The page that goes with every saved model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from medseg.allowed import SHIPPED
from medseg.learning.inference.cleaning import cleanings_of
from medseg.learning.inference.flips import described as described_flips
from medseg.learning.inference.flips import flips_of
from medseg.packages import allowing, further_packages

RESEARCH_ONLY = "Research use only. Not a medical device: never base a diagnosis or a treatment on it."


def model_card(described: Mapping[str, Any]) -> str:
    """Write the card of a saved model, in Markdown.

    Args:
        described: What `model.json` holds.
    """
    about, manifest, task = described["about"], described["manifest"], described["task"]
    cut = described["slices"]
    further = further_packages([described["network"], task, cut], SHIPPED)
    predict = f"medseg predict folder INPUT -o OUT{allowing(further)}"
    size = f"{' x '.join(map(str, cut['size']))} pixels{_beside(cut)}"
    rows = [
        f"# {about.get('pipeline', 'medseg model')}",
        "",
        f"**{RESEARCH_ONLY}**",
        "",
        *([f"**{about['data.note']}**", ""] if about.get("data.note") else []),
        f"- Input: {_input(manifest, cut)} with the channels {_listed(described['channels'])}, {size}.",
        *_aligned(described["channels"], cut),
        f"- Output: the classes {_listed(task['classes'])}.",
        *([f"- Threshold of the probability: {task['threshold']:.6g}."] if "threshold" in task else []),
        *_thresholds(task.get("thresholds", {})),
        *_processing(described, task["classes"]),
        f"- Network: `{described['network']['_target_']}`.",
        *_data(manifest, about.get("data.kind") == "generated", about.get("data.generated_cases", "")),
        *[f"- {name}: {value}" for name, value in sorted(about.items()) if name != "data.note"],
        "",
        f"Load it with `medseg.Predictor.load(folder)`, or use it with `{predict}`.",
        *([f"In a script, `MEDSEG_ALLOW` must name {_listed(further)}."] if further else []),
        "Scores, where a step of the run took some, are in the run's `scores` folder.",
        "",
    ]
    return "\n".join(rows)


def _aligned(channels: Sequence[str], cut: Mapping[str, Any]) -> Iterator[str]:
    """That channels may lie on other grids, and onto which they are brought."""
    if (align := cut.get("align")) is not None:
        reference = align.get("reference") or channels[0]
        yield (
            f"- Channels on other grids are resampled onto the grid of `{reference}`, where predictions lie; "
            "nothing is registered."
        )


def _input(manifest: Mapping[str, Any], cut: Mapping[str, Any]) -> str:
    """What the network sees: pictures, which lie in no plane of a body, or slices of volumes."""
    return "pictures" if manifest.get("pictures") else f"2D {cut['axis']} slices"


def _beside(cut: Mapping[str, Any]) -> str:
    count = cut.get("neighbours", 0)
    return f", each with {count} slice{'' if count == 1 else 's'} on either side" if count else ""


def _thresholds(each: Mapping[str, float]) -> list[str]:
    """From which probability on a voxel is in each region, and how a label map is made of that."""
    if not each:
        return []
    listed = ", ".join(f"{_code(name)} {value:.6g}" for name, value in each.items())
    return [
        f"- Regions, painted into the label map in this order, from these probabilities on: {listed}.",
    ]


def _processing(described: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """What is done beside asking the network once."""
    flips, cleaning = (
        flips_of(described.get("flips", [])),
        cleanings_of(described.get("cleaning", []), len(classes)),
    )
    return [
        *([f"- Mean over mirror images: {described_flips(flips)}."] if flips else []),
        *[f"- Post-processing of {_code(classes[each.index])}: {each.words()}." for each in cleaning],
    ]


def _data(manifest: Mapping[str, Any], generated: bool, mixture: str) -> list[str]:
    """What was learned from: a generated sample is none of the data whose layout it has."""
    if generated:
        return [
            f"- Learned from: a generated sample in the layout of {manifest['name']}. No patient is in it."
        ]
    made_up = f"{mixture} cases from a generated sample, with no patient in them; the others are of "
    return [
        f"- Learned from: {made_up if mixture else ''}{manifest['name']}. {manifest.get('about') or ''}",
        f"- Source: {manifest.get('source', '')}",
        f"- Licence of the data: {manifest.get('licence', '')}",
        f"- Cite: {manifest.get('citation', '')}",
    ]


def _listed(names: Sequence[str]) -> str:
    """Names as code, between commas, so that a comma or markup within a name is only its own."""
    return ", ".join(map(_code, names))


def _code(name: str) -> str:
    """A name as a code span: its fence is longer than any run of backticks within (CommonMark 0.31.2, 6.1)."""
    fence = "`" * (1 + max(map(len, re.findall("`+", name)), default=0))
    space = " " if name.startswith("`") or name.endswith("`") else ""
    return f"{fence}{space}{name}{space}{fence}"
