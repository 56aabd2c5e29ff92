"""Reading files of images, one format a module."""
