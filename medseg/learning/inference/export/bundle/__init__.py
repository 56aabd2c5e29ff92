"""A model as a bundle of MONAI: a folder that `monai.bundle` runs."""
