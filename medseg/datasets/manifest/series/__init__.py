"""Data sets of DICOM series."""
