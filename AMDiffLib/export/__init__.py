"""Results for other systems: DICOM segmentation, structured report and derived PET, a table and a page."""
