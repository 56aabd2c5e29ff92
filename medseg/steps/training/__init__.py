"""What a training step does beside the training: sharing it among processes, and concluding from it."""
