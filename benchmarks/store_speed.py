"""Seconds to prepare a BraTS case, by number of threads and against processes, and to read one slice.

    python benchmarks/store_speed.py [FOLDER] [--copies 4] [--quick]

FOLDER holds BraTS case folders (`<case>/<case>_{flair,t1,t1ce,t2,seg}.nii.gz`). Each is copied `--copies`
times into a temporary folder, so that there is something to share out. Without FOLDER, tiny volumes are generated.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import resource
import shutil
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from medseg.datasets.case import Case
from medseg.datasets.manifest.label_map import Derive, LabelRule
from medseg.datasets.roles import Role
from medseg.slices.preparation import Preparation
from medseg.slices.rule import SliceRule
from medseg.slices.store.fill import prepare
from medseg.slices.store.store import SliceStore
from medseg.splits.split import Split
from medseg.testing.cases import write_brats

CHANNELS = ("flair", "t1", "t1ce", "t2")
LABELS = LabelRule(
    ("outside", "healthy", "necrotic_core", "oedema", "enhancing"),
    {1: "necrotic_core", 2: "oedema", 4: "enhancing"},
    Derive(0, "outside", "healthy"),
)
NORMALISE = {
    "_target_": "monai.transforms.NormalizeIntensityd",
    "keys": ["image"],
    "nonzero": True,
    "channel_wise": True,
}
RULE = SliceRule.model_validate({"size": [240, 240], "keep": "foreground", "transforms": [NORMALISE]})


def copied(source: Path, target: Path, copies: int) -> list[Case]:
    cases = []
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        for copy in range(copies):
            name = f"{folder.name}-{copy}"
            shutil.copytree(folder, target / name)
            files = {part: target / name / f"{folder.name}_{part}.nii.gz" for part in (*CHANNELS, "seg")}
            cases.append(Case(name, name, {part: files[part] for part in CHANNELS}, files["seg"]))
    return cases


def prepared(cases: list[Case], root: str, jobs: int) -> SliceStore:
    roles: dict[str, Role] = {case.id: "train" for case in cases}
    split = Split("group", 1, {}, {case.id: case.group for case in cases}, roles)
    preparation = Preparation(CHANNELS, RULE)
    return prepare(cases, split, preparation, LABELS, regions={}, seed=1, root=Path(root), jobs=jobs)


def in_processes(cases: list[Case], root: str, processes: int) -> None:
    begin = time.perf_counter()
    parts = [cases[start::processes] for start in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(prepared, parts, [root] * processes, [1] * processes))
    print(
        f"{processes} processes: {(time.perf_counter() - begin) / len(cases):.2f} s a case, with their imports"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--quick", action="store_true", help="Two copies, one process: whether it runs.")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or write_brats(Path(temporary) / "tiny", cases=2, seed=1)
        cases = copied(folder, Path(temporary) / "data", 2 if given.quick else given.copies)
        for jobs in (1,) if given.quick else (1, 2):
            begin, cpu = time.perf_counter(), time.process_time()
            store = prepared(cases, f"{temporary}/threads{jobs}", jobs)
            each = (time.perf_counter() - begin) / len(cases)
            cpu = (time.process_time() - cpu) / len(cases)
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
            print(f"{jobs} threads: {each:.2f} s a case, {cpu:.2f} s of processor, peak {peak:.2f} GB")
        if not given.quick:  # most of it is their imports
            in_processes(cases, f"{temporary}/processes", 2)
        begin = time.perf_counter()
        prepared(cases, f"{temporary}/threads1", 1)
        print(f"reused: {(time.perf_counter() - begin) / len(cases) * 1e3:.2f} ms a case")
        drawn = random.Random(0).choices(store.samples, k=500)  # noqa: S311  no secret
        begin = time.perf_counter()
        for sample in drawn:
            store.read(sample)
        print(f"reading: {(time.perf_counter() - begin) / len(drawn) * 1e6:.0f} us a slice (cache warm)")


if __name__ == "__main__":
    main()
