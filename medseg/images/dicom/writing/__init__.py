"""DICOM objects that are made of results."""
