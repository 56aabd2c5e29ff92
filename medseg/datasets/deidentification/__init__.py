"""Taking out of files what names a patient: DICOM, NIfTI, side-cars of BIDS, and pictures."""
