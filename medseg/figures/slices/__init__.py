"""Figures of slices beside one another."""
