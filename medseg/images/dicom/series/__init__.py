"""Series of DICOM images as volumes, and label maps that are drawn on them."""
