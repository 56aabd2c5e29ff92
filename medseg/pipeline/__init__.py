"""Declaring and running pipelines."""
