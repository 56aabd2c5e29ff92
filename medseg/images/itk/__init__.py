"""MetaImage, NRRD and Analyze: what SimpleITK knows beside NIfTI."""
