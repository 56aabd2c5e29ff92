"""Random transforms of MONAI as operations on a whole batch, one module a kind."""
