"""Scores that a definition adds to ours."""
