"""One epoch of a training: its steps, its loss, its validation, and how a CUDA device computes them."""
