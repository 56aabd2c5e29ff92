"""What medseg does to a case, as dictionary transforms of MONAI: the public names are in `medseg.transforms`."""
