"""What a run says of itself to trackers and in its model: no path, no identifier."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

import medseg
from medseg.pipeline.gather import Gathered
from medseg.pipeline.resolve import Resolved
from medseg.splits.split import Split
from medseg.text import many

GENERATED = "Trained on a generated sample: says nothing about real patients."
MIXED = "The run was given generated cases ({mixture}): it says little about real patients."
LEAKING = "Split by slice: slices of one patient may be in training and in test; scores are then too good."


def run_tags(resolved: Resolved, gathered: Gathered, split: Split, device: torch.device) -> dict[str, str]:
    """Tags by which runs are distinguished and found."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine() or "cpu"
    tags = {
        "pipeline": resolved.definition.name,
        "data.name": resolved.manifest.name,
        "data.kind": "generated" if gathered.generated else "given",
        "data.fingerprint": gathered.report.fingerprint(),
        "data.left_out": str(len(gathered.left_out)),
        "data.faults": str(len(gathered.report.faults)),
        "split.by": split.by,
        "split.hash": split.digest(),
        "split.leaking": str(split.leaking).lower(),
        "definition.fingerprint": resolved.definition.fingerprint(),
        "device": f"{device.type} ({where})",
        "network.parameters": str(resolved.parameters),
        "threads": str(torch.get_num_threads()),
    }
    commit = git_commit()
    known = {**_mixed(gathered), **assumed_tag(gathered), **versions()}
    return {**tags, **known, **({"git.commit": commit} if commit else {})}


def _mixed(gathered: Gathered) -> dict[str, str]:
    """How many cases were generated, where others were not."""
    found = gathered.report.mixture()
    return {"data.generated_cases": found} if found else {}


def assumed_tag(gathered: Gathered) -> dict[str, str]:
    """Which sizes or sides of how many cases are assumed, without their names; nothing where all are given."""
    rows = gathered.report.assumed_rows()
    every = len(gathered.report.good)
    found = ". ".join(f"{row['note']} ({row['cases']} of {many(every, 'case')})" for row in rows)
    return {"data.assumed": found} if found else {}


def run_about(resolved: Resolved, gathered: Gathered, split: Split, run: str) -> dict[str, str]:
    """What goes with the model."""
    mixture = gathered.report.mixture()
    notes = [GENERATED] * gathered.generated + [LEAKING] * split.leaking
    notes += [MIXED.format(mixture=mixture)] if mixture else []
    about = {
        "pipeline": resolved.definition.name,
        "run": run,
        "data.kind": "generated" if gathered.generated else "given",
        **_mixed(gathered),
        "split.by": split.by,
        **versions(),
    }
    return {**about, **({"data.note": " ".join(notes)} if notes else {})}


def versions() -> dict[str, str]:
    """Versions of what decides results."""
    named = ("torch", "monai", "numpy", "nibabel")
    found = {f"version.{name}": version(name) for name in named}
    return {"version.medseg": medseg.__version__, "version.python": platform.python_version(), **found}


def git_commit() -> str:
    """Commit of medseg's checkout, with `+` where files differ from it; empty for an installed package."""
    root = Path(medseg.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}{'+' if changed else ''}"


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603  # fixed words, no shell
        ["git", "-C", str(root), *words],  # noqa: S607  # whichever git the user has
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )
    return done.stdout.strip()
