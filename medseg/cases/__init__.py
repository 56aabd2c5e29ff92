"""What there is to learn from: manifests, cases, checks, splits and prepared slices."""
