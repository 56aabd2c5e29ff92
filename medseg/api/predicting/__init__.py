"""Asking a model about one case after the other, or about several at a time."""
