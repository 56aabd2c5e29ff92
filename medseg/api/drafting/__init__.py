"""From a folder that no manifest describes to a pipeline."""
