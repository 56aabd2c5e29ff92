"""Runs in processes of their own, on this machine or others: folds, and the runs of a sweep."""
