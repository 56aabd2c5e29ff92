"""What manifests call the format, and how its files are called."""

from __future__ import annotations

NAME = "itk"
"""`format` of a manifest."""

METAIMAGE = (".mha", ".mhd")
NRRD = (".nrrd", ".nhdr")
PAIR = (".hdr",)
"""Of Analyze and of NIfTI in two files."""

MGH = (".mgh", ".mgz")
"""FreeSurfer's."""

OLDER = (".gipl", ".vtk")
"""GIPL, and VTK's legacy form: both without directions."""

APART = (".mhd", ".nhdr", ".hdr")
"""Headers whose voxels may lie in a file beside them."""
