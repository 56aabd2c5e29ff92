"""A training that several processes share: who gets which slices, and what is computed of all of them together."""
