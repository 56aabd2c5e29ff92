"""Where a voxel lies: grids, axes, background."""
