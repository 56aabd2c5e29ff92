"""Which slices come more often than once."""
