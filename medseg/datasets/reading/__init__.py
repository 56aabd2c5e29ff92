"""The images and masks of a case as arrays."""
