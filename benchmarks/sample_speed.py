"""Seconds and bytes of a generated brain-tumour case: `python benchmarks/sample_speed.py [CASES] [JOBS]`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from medseg.progress import Silent
from medseg.samples.brain_tumour import BrainTumours


def main() -> None:
    cases = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    jobs = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        out = BrainTumours().write(Path(folder), cases=cases, seed=1, progress=Silent(), jobs=jobs)
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        size = sum(path.stat().st_size for path in out.rglob("*.nii.gz"))
    print(f"{cases} cases, {jobs} jobs: {wall / cases:.2f} s a case, {size / cases / 1e6:.1f} MB a case")
    if jobs == 1:
        print(f"processor time: {processor / cases:.2f} s a case, the template's reading included")


if __name__ == "__main__":
    main()
