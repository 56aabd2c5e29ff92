"""An archive of the hospital that speaks DICOMweb (DICOM PS3.18): asking, fetching, storing."""
