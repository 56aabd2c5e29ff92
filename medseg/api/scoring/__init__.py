"""Scoring a saved model on other data."""
