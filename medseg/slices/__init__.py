"""From a volume to slices of one size."""
