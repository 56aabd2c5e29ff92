"""Scores after each epoch."""
