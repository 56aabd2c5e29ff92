"""What is read from the numbers of a training."""
