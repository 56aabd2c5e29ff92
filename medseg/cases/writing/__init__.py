"""Writing files of images, one format a module."""
