"""Broken inputs of every kind that medseg reads, to be read in a test of your own.

    from medseg.testing.broken import KINDS, broken

    for each in broken("nifti", seed=1, count=100):
        each.write(tmp_path / f"{each.name}{each.ending}")

The same kind, seed and count give the same bytes. What is broken may still be read, as where a voxel is flipped; what
may not happen is anything but a sound image or an error that says why.
"""

from medseg.testing.broken.form import Broken
from medseg.testing.broken.kinds import KINDS, broken, sound

__all__ = ["KINDS", "Broken", "broken", "sound"]
