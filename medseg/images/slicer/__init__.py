"""Files as 3D Slicer keeps them: volumes, segmentations, and the scene that shows them together."""
