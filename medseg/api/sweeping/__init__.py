"""Sweeps: settings of a pipeline varied, ranked on validation, the winner alone scored on the test part."""
