"""Seconds and bytes of a generated case: `python benchmarks/sample_speed.py [CASES] [JOBS] [SAMPLE]`.

The sample is a name in `medseg.samples`: BrainTumours if none is given, Radiology, and so on.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from medseg import samples
from medseg.progress import Silent


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    sample = getattr(samples, sys.argv[3] if len(sys.argv) > 3 else "BrainTumours")()
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
