"""How what a run tells reaches a tracking server that may be slow, go away and come back."""
