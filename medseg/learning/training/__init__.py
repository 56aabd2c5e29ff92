"""Learning weights from slices."""
