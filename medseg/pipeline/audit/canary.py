"""A canary for leakage: labels that are shuffled by patient can only be told by who has met the patient before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from medseg.component import Allowed
from medseg.component import resolve as target
from medseg.datasets.case import Case, labelled
from medseg.datasets.manifest.manifest import Manifest
from medseg.errors import RunError
from medseg.pipeline.audit.certificate import Certificate, canary_text
from medseg.pipeline.change import changed
from medseg.pipeline.declaration.definition import PipelineDefinition
from medseg.pipeline.duplicates import SharedCopies
from medseg.pipeline.folder import RunFolder, State
from medseg.pipeline.gather import Gathered
from medseg.pipeline.options import RunOptions
from medseg.pipeline.resolve import Resolved, resolve
from medseg.pipeline.run import Job, choose_device, execute
from medseg.places import passing_folder
from medseg.progress import Progress
from medseg.recorder import NoRecord
from medseg.text import many

EPOCHS = 20
"""A training of the canary takes at most so many."""

FEWEST = 6
"""Patients that must be scored: the labels of five have too few orders to tell luck from a leak."""

LEVEL = 0.01
_ORDERS = 9_999


@dataclass(frozen=True)
class Sung:
    """What a training on shuffled labels scored.

    Attributes:
        role: That was scored.
        patients: How many were scored.
        accuracy: Share of them told rightly; cases of one patient count together as one.
        chance: The same, mean over random orders of the labels among these patients.
        p: Share of orders that do as well or better: Phipson and Smyth 2010, https://doi.org/10.2202/1544-6115.1585.
    """

    role: str
    patients: int
    accuracy: float
    chance: float
    p: float

    @property
    def leak(self) -> str:
        """That it scored better than chance, as a sentence; else empty."""
        if self.p >= LEVEL:
            return ""
        found = canary_text(asdict(self))
        return f"the canary sings: {found}. Something of the patients who are scored is learned from."


def with_canary(
    certificate: Certificate,
    definition: PipelineDefinition,
    manifest: Manifest,
    gathered: Gathered,
    shared: SharedCopies,
    options: RunOptions,
    progress: Progress,
) -> Certificate:
    """Train once more, in a place that is removed again, on labels that are shuffled by patient.

    Args:
        certificate: What was found without.
        definition: Of the run.
        manifest: Of its data.
        gathered: Its cases.
        shared: Their roles, which stay.
        options: Device, packages and processes.
        progress: Where it is shown.

    Raises:
        RunError: The labels of the run cannot be shuffled, or too few patients are scored.
    """
    short = changed(definition, _short(definition, options.allowed))
    resolved = resolve(short, manifest, options.allowed)
    role, cases = _scored(resolved), tuple(shuffled(shared.cases, definition.seed))
    gathered, shared = replace(gathered, cases=cases), replace(shared, cases=cases)
    with passing_folder("medseg-canary") as place:
        folder = RunFolder(place / "run")
        folder.path.mkdir()
        folder.write(State("canary", definition.name, None, options))
        device = choose_device(options.device)
        execute(Job(resolved, gathered, shared, folder, NoRecord(), progress, device, options))
        table = pd.read_csv(folder.path / "scores" / f"{role}.csv", dtype=str, keep_default_na=False)
    sung = score(table, role, definition.seed)
    return certificate.and_canary(asdict(sung), sung.leak)


def shuffled(cases: Sequence[Case], seed: int) -> list[Case]:
    """The cases with the label of another patient's first case, drawn by a permutation of the patients.

    All cases of a patient get one label, so that the labels of two patients can be exchanged.
    """
    first: dict[str, tuple[str, ...]] = {}
    for case in labelled(cases):
        first.setdefault(case.group, case.labels or ())
    groups = sorted(first)
    donors = np.random.default_rng(seed).permutation(len(groups))
    given = {group: first[groups[donor]] for group, donor in zip(groups, donors, strict=True)}
    return [case if case.unlabelled else replace(case, labels=given[case.group]) for case in cases]


def score(table: pd.DataFrame, role: str, seed: int) -> Sung:
    """Compare accuracy over patients with that of random orders of their labels: an exact test, drawn at random.

    Args:
        table: `group`, `truth` and `predicted` of each case; the truth of a patient's cases is one.
        role: That was scored.
        seed: Of the orders.

    Raises:
        RunError: Too few patients, or all of one label.
    """
    shares, truth = _shares(table)
    if len(truth) < FEWEST or len(set(truth.tolist())) < 2:
        raise RunError(
            f"the canary cannot tell a leak from luck: {many(len(truth), 'patient', 'are')} scored, of "
            f"{many(len(set(truth.tolist())), 'label')}; expected {FEWEST} patients or more, of 2 labels."
        )
    rows, random = np.arange(len(truth)), np.random.default_rng(seed)
    found = float(shares[rows, truth].mean())
    orders = np.array([shares[rows, random.permutation(truth)].mean() for _ in range(_ORDERS)])
    p = (1 + int((orders >= found - 1e-12).sum())) / (1 + _ORDERS)
    return Sung(role, len(truth), found, float(orders.mean()), p)


def _shares(table: pd.DataFrame) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(N, L) share of a patient's cases that were told to have each label, and (N,) the label that each has."""
    labels = sorted({*table["truth"], *table["predicted"]})
    place = {name: index for index, name in enumerate(labels)}
    votes: dict[str, list[int]] = defaultdict(list)
    truth: Mapping[str, str] = dict(zip(table["group"], table["truth"], strict=True))
    for group, predicted in zip(table["group"], table["predicted"], strict=True):
        votes[group].append(place[predicted])
    counts = np.array([np.bincount(votes[group], minlength=len(labels)) for group in truth], dtype=np.float64)
    return counts / counts.sum(axis=1, keepdims=True), np.array([place[name] for name in truth.values()])


def _scored(resolved: Resolved) -> str:
    """The role whose scores the canary looks at."""
    if resolved.manifest.truth == "masks":
        raise RunError(
            "a canary is for classes of whole images: of masks it is not known what chance would score. Leave "
            "--canary out."
        )
    scored = {str(step.role) for step in resolved.steps.values() if hasattr(step, "evaluation")}  # type: ignore[attr-defined]
    for role in ("test", "val"):
        if role in scored:
            return role
    raise RunError("no step scores test or validation, so that a canary shows nothing. Leave --canary out.")


def _short(definition: PipelineDefinition, allowed: Allowed) -> list[str]:
    """What makes the trainings short, as `path=value`, where their steps say that these settings may change."""
    found = []
    for name, spec in definition.steps.items():
        may = getattr(target(spec["_target_"], at=f"steps.{name}", allowed=allowed), "changeable", ())
        if "epochs" in may:
            found.append(f"steps.{name}.epochs={min(int(spec.get('epochs', EPOCHS)), EPOCHS)}")
        if "pictures_every" in may:
            found.append(f"steps.{name}.pictures_every=0")
    return found
