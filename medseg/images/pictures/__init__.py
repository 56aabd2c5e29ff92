"""Pictures: PNG, JPEG, TIFF, BMP and NumPy arrays."""
