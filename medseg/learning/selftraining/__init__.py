"""Learning from images whose class the network predicted: which are accepted, and what came of it."""
