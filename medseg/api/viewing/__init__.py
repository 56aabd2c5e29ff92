"""Looking at one case: its image, its truth and what a model says, in napari and in 3D Slicer."""
