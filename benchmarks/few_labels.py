"""Few labels, many images: what self-training adds to a probe, on the same images.

    python benchmarks/few_labels.py --data FOLDER [--seeds 5] [--size 128] [--methods probe,rank] [--quick]

FOLDER has `labelled/yes`, `labelled/no`, `unlabelled` and `key.csv` (columns file, origin and tumour), which is read
after all runs, to say how many accepted labels are right, and how well the unlabelled images of each origin are told.
Prints scores of the test images of all seeds with intervals over patients, what changes against the probe with a
paired test, and the figures of the notebook that this follows.
`--quick` runs on tiny made-up pictures and a tiny network: it shows that the script runs; its numbers mean nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import medseg
from medseg.api import RunResult
from medseg.datasets.finding.scan import scan
from medseg.learning.scores.class_measures import ClassMeasures
from medseg.learning.scores.intervals import draws, middle, over_images, times
from medseg.learning.scores.paired.significance import wilcoxon_p
from medseg.learning.tasks.exclusive import OneClass
from medseg.testing.labelled import disc, write_class_folders
from medseg.testing.pictures import write_picture
from medseg.yaml import write_yaml

CLASSES = ("no", "yes")  # the second is the disease
FLIP = {"_target_": "monai.transforms.RandFlipd", "keys": ["image"], "spatial_axis": 1, "prob": 0.5}
NOISE = {"_target_": "monai.transforms.RandGaussianNoised", "keys": ["image"], "std": 0.05, "prob": 0.5}


def step(name: str, **given: Any) -> dict[str, Any]:
    return {"_target_": f"medseg.steps.{name}", **given}


def methods(*, quick: bool, epochs: int) -> dict[str, dict[str, Any]]:
    """Steps of each method, by its name; all begin with the same weights and are calibrated on validation."""
    probe = step("Probe", folds=3 if quick else 5)
    again = probe | {"strengths": [1e-4, 1e-3, 1e-2, 1e-1]}
    fit = step(
        "Fit",
        epochs=epochs,
        optimiser={"_target_": "torch.optim.AdamW", "lr": 1e-4},
        statistics="still",
        pictures_every=0,
        best_by={"_target_": "medseg.learning.AveragePrecisionOrF2", "positive": "yes"},
    )
    few = {"rounds": 2} if quick else {}
    original = {"_target_": "medseg.learning.ThresholdSchedule", **few}
    rank = {"_target_": "medseg.learning.ByRank", "balanced": True, **few}
    agree = {"_target_": "medseg.learning.Agreement", "rule": rank, "augment": [FLIP, NOISE], "views": 4}
    head = {"embed": step("Embed"), "probe": probe}
    scale = {"scale": step("ScaleTemperature")}
    beside = {"_target_": "medseg.learning.MixMatch"}
    found = {
        "probe": {**head, **scale},
        "original": {**head, "self_train": step("SelfTrain", rule=original, learn=again)},
        "rank": {**head, "self_train": step("SelfTrain", rule=rank, learn=again)},
        "agreement": {**head, "self_train": step("SelfTrain", rule=agree, learn=again)},
        "supervised": {**head, "fit": fit, **scale},
        "mixmatch": {**head, "fit": fit | {"unlabelled": beside}, **scale},
    }
    start = {} if quick else {"start": step("StartFrom", weights="own", part="features")}
    return {
        name: {**start, **steps, "evaluate": step("Evaluate", role="test")} for name, steps in found.items()
    }


def definition(steps: Mapping[str, Any], size: int, *, quick: bool) -> dict[str, Any]:
    tiny = {"_target_": "medseg.learning.networks.TutorialCNN", "feature_maps": 4, "dense": 8}
    lite = {"_target_": "medseg.learning.networks.EfficientNetLite0", "size": [size, size]}
    return {
        "name": "few_labels",
        "seed": 1,
        "manifest": "brain_mri_ssl",
        "channels": ["picture"],
        "slices": {
            "size": [24, 32] if quick else [size, size],
            "fit": "resize",
            "keep": "all",
            "store": "float32",
            "transforms": [
                {"_target_": "medseg.transforms.MaskBordersd", "keys": ["image"]},
                {"_target_": "monai.transforms.ScaleIntensityd", "keys": ["image"], "minv": 0.0, "maxv": 1.0},
            ],
        },
        "split": {"by": "group", "val": 0.2, "test": 0.2, "stratify": "class"},
        "loading": {"batch_size": 16, "augment": [FLIP, NOISE]},
        "task": {"_target_": "medseg.learning.ImageClasses", "select": "auroc"},
        "network": tiny if quick else lite,
        "steps": dict(steps),
    }


@dataclass(frozen=True)
class Tested:
    """What one method said of the test images of one seed.

    Attributes:
        frame: Columns case, group, truth, and probability of each class, as the model gives them.
        temperature: At which it gives them.
        accepted: Predicted class of each image that the best round learned from.
        pool: Probabilities of the classes of each unlabelled image, by its case: methods that learn from these
            images have seen them, not their classes.
        verdict: On confirmation bias; empty where there were no rounds.
        seconds: Of the run.
    """

    frame: pd.DataFrame
    temperature: float
    accepted: Mapping[str, str]
    pool: Mapping[str, NDArray[np.float32]]
    verdict: str
    seconds: float

    @property
    def truth(self) -> NDArray[np.bool_]:
        """(N, 2)."""
        return np.array([[truth == name for name in CLASSES] for truth in self.frame["truth"]])

    def chances(self, *, scaled: bool) -> NDArray[np.float32]:
        """(N, 2) probabilities, at the temperature or without."""
        given = self.frame[[f"probability_{name}" for name in CLASSES]].to_numpy(float)
        raised = np.clip(given, 1e-12, 1) ** (1 if scaled else self.temperature)
        return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)


def run(path: Path, data: Path, seed: int) -> Tested:
    began = time.perf_counter()
    result: RunResult = medseg.run_pipeline(
        path, data, set=[f"seed={seed}"], device="auto", allow_duplicates=True
    )
    weak = result.folder / "steps" / "self_train" / "self_train_weak_labels.parquet"
    bias = result.folder / "steps" / "self_train" / "confirmation_bias.json"
    predictor = result.predictor
    labels = pd.read_parquet(weak) if weak.exists() else pd.DataFrame({"case": [], "label": []})
    return Tested(
        result.scores("test"),
        predictor.task.temperature,  # type: ignore[attr-defined]
        dict(zip(labels["case"], labels["label"], strict=True)),
        {
            case.id: predictor.classify(predictor.read_image(case)).probabilities
            for case in scan(medseg.Manifest.named("brain_mri_ssl"), data).cases
            if next(iter(case.images.values())).is_relative_to(data / "unlabelled")
        },
        json.loads(bias.read_text(encoding="utf-8"))["kind"] if bias.exists() else "",
        time.perf_counter() - began,
    )


def measured(parts: Sequence[Tested], *, scaled: bool = True) -> dict[Any, dict[str, float]]:
    """All scores of the test images of all seeds, with intervals over patients."""
    truth = np.concatenate([each.truth for each in parts])
    chances = np.concatenate([each.chances(scaled=scaled) for each in parts])
    groups = np.unique(np.concatenate([each.frame["group"] for each in parts]), return_inverse=True)[1]
    return over_images(ClassMeasures(OneClass(), truth, chances), groups, 1)


def by_patient(parts: Sequence[Tested]) -> pd.Series:
    """The probability of the true class, mean over the images and seeds of each patient."""
    frames = [each.frame.assign(right=(each.chances(scaled=True) * each.truth).sum(axis=1)) for each in parts]
    return pd.concat(frames).groupby("group")["right"].mean()


def against(parts: Sequence[Tested], probe: Sequence[Tested]) -> str:
    """What changes for patients against the probe, with a bootstrap over patients and Wilcoxon's test."""
    difference = (by_patient(parts) - by_patient(probe)).dropna().to_numpy()
    drawn = np.concatenate([times(each, len(difference)) for each in draws(len(difference), 1)])
    low, high = middle(drawn @ difference / len(difference))
    p = wilcoxon_p(difference)
    helped = "helped" if low > 0 else "did harm" if high < 0 else "made no difference that these images show"
    return f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}], p = {p:.3f}: {helped}"


def precision(parts: Sequence[Tested], key: Mapping[str, str]) -> str:
    """How many of the accepted labels are right, of all seeds."""
    right = [key[case] == label for each in parts for case, label in each.accepted.items() if case in key]
    return f"{np.mean(right):.3f} of {len(right)}" if right else "none accepted"


def by_origin(parts: Sequence[Tested], key: Mapping[str, str], origins: Mapping[str, str]) -> Iterator[str]:
    """Scores of the unlabelled images of each origin, of all seeds; images stand for patients, whom nobody knows."""
    for origin in sorted({*origins.values()}):
        cases = [case for case in parts[0].pool if origins.get(case) == origin]
        if len({key[case] for case in cases}) < len(CLASSES):
            continue
        truth = np.array([[key[case] == name for name in CLASSES] for case in cases])
        chances = np.concatenate([[each.pool[case] for case in cases] for each in parts])
        measures = ClassMeasures(OneClass(), np.tile(truth, (len(parts), 1)), chances)
        scores = over_images(measures, np.tile(np.arange(len(cases)), len(parts)), 1)
        f2, always, area = scores[1, "f2"], scores[1, "f2_always"]["mean"], scores[None, "auroc"]
        yield f"{origin}: F2 {within(f2)} (always yes {always:.3f}), AUROC {within(area)} of {len(cases)} images"


def key_of(data: Path, column: str = "tumour") -> dict[str, str]:
    """The true class of each image, or what else a column of the key says, by its case; read after all runs."""
    with (data / "key.csv").open(encoding="utf-8", newline="") as file:
        told = {row["file"]: row[column] for row in csv.DictReader(file)}
    cases = scan(medseg.Manifest.named("brain_mri_ssl"), data).cases
    paths = {case.id: next(iter(case.images.values())).relative_to(data).as_posix() for case in cases}
    return {case: told[path] for case, path in paths.items() if path in told}


def notebook() -> str:
    """The notebook's figures, with what its 20 test images allow."""
    truth = np.repeat(np.eye(2, dtype=bool), 10, axis=0)
    said = truth.copy()
    said[10] = [True, False]  # one tumour of ten is missed
    measures = ClassMeasures(OneClass(), truth, said.astype(np.float32))
    found = over_images(measures, np.arange(20), 1)[1, "f2"]
    allowed = f"{found['low']:.3f} to {found['high']:.3f}"
    return (
        f"The notebook: F2 {found['mean']:.3f} (precision 1.0, recall 0.9 on 20 test images, on which it chose its "
        f"model), of which 20 images allow {allowed}; calibration error 0.69 at its end."
    )


def within(score: Mapping[str, float]) -> str:
    return f"{score['mean']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"


def tell(found: Mapping[str, Sequence[Tested]], key: Mapping[str, str], origins: Mapping[str, str]) -> None:
    for name, parts in found.items():
        scores, before = measured(parts), measured(parts, scaled=False)
        f2, area, error = scores[1, "f2"], scores[None, "auroc"], (None, "calibration_error")
        always = scores[1, "f2_always"]["mean"]
        seeds = [measured([each])[1, "f2"]["mean"] for each in parts]
        spread = f"seeds {min(seeds):.3f} to {max(seeds):.3f}"
        seconds = np.mean([each.seconds for each in parts])
        shown = f"F2 {within(f2)} (always yes {always:.3f}; {spread}), AUROC {within(area)}"
        print(f"{name:11} {shown}, {seconds:.0f} s a run")
        errors = [each[error]["mean"] for each in (before, scores)]
        print(f"{'':11} calibration error {errors[0]:.3f} before and {errors[1]:.3f} after scaling")
        if name in ("original", "rank", "agreement"):
            verdicts = ", ".join(sorted({each.verdict for each in parts}))
            print(
                f"{'':11} accepted labels of the best rounds right: {precision(parts, key)}; bias: {verdicts}"
            )
        for line in by_origin(parts, key, origins):
            print(f"{'':11} unlabelled, {line}")
    for name in [name for name in found if name != "probe" and "probe" in found]:
        print(
            f"{name:11} against the probe, probability of the true class: {against(found[name], found['probe'])}"
        )
    print(notebook())


def made_up(folder: Path) -> Path:
    """Tiny pictures with a disc at the left or at the right, few of them with a label."""
    write_class_folders(folder / "labelled", CLASSES, cases=10)
    (folder / "unlabelled").mkdir()
    rows = []
    for number in range(12):
        name = f"unlabelled/{number}.png"
        write_picture(folder / name, disc([number % 2], 2, seed=(400, number)))
        rows.append(f"{name},{'ab'[number // 6]},{CLASSES[number % 2]}")
    (folder / "key.csv").write_text("\n".join(["file,origin,tumour", *rows]) + "\n", encoding="utf-8")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--size", type=int, default=128, help="pixels, a multiple of 32")
    parser.add_argument("--epochs", type=int, default=20, help="of whole networks")
    parser.add_argument("--methods", default="probe,original,rank,supervised,mixmatch")
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    if given.data is None and not given.quick:
        parser.error(
            "--data is missing: name the folder with labelled, unlabelled and key.csv, or take --quick"
        )
    known = methods(quick=given.quick, epochs=1 if given.quick else given.epochs)
    names = ["probe", "agreement"] if given.quick else given.methods.split(",")
    if unknown := sorted(set(names) - set(known)):
        parser.error(f"--methods: {', '.join(unknown)}; expected some of {', '.join(known)}")
    with tempfile.TemporaryDirectory() as place:
        data = made_up(Path(place) / "data") if given.quick else given.data.resolve()
        before = Path.cwd()
        os.chdir(place)  # runs and their tracking database lie in the working folder
        found: dict[str, list[Tested]] = {name: [] for name in names}
        try:
            for name in names:
                path = Path(f"few_labels_{name}.yaml")
                write_yaml(definition(known[name], given.size, quick=given.quick), path)
                for seed in range(1, 2 if given.quick else given.seeds + 1):
                    found[name].append(run(path, data, seed))
                    f2 = measured([found[name][-1]])[1, "f2"]
                    print(f"{name}, seed {seed}: F2 {within(f2)}", flush=True)
        finally:
            if done := {
                name: parts for name, parts in found.items() if parts
            }:  # also where a later method failed
                tell(done, key_of(data), key_of(data, "origin"))
            os.chdir(before)


if __name__ == "__main__":
    main()
