"""Studies that lie in a DICOMweb archive, and segmentations that go there."""
