"""Seconds and bytes of a generated case.

    python benchmarks/sample_speed.py [SAMPLE] [--cases 3] [--jobs 1] [--quick]

SAMPLE is a name in `medseg.samples`: BrainTumours if none is given, Radiology, and so on.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from medseg import samples
from medseg.progress import Silent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sample", nargs="?", default="BrainTumours", choices=samples.__all__)
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="One case: whether it runs.")
    given = parser.parse_args()
    cases, jobs = 1 if given.quick else given.cases, given.jobs
    sample = getattr(samples, given.sample)()
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        out = sample.write(Path(folder), cases=cases, seed=1, progress=Silent(), jobs=jobs)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{cases} cases, {jobs} jobs: {wall / cases:.2f} s a case, {size / cases / 1e6:.2f} MB a case")
    if jobs == 1:
        print(f"processor time: {processor / cases:.2f} s a case, the template's reading included")


if __name__ == "__main__":
    main()
