"""Random transforms on slices, drawn by their place in a training."""
