"""Small synthetic PET series in DICOM, every attribute of which a test can change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRLittleEndian,
    PositronEmissionTomographyImageStorage,
    generate_uid,
)

F18_HALF_LIFE_S = 6586.2
WEIGHT_KG = 70.0
DOSE_BQ = 350e6
# The default series starts this long after the injection.
UPTAKE_S = 3600.0
# SUVbw of 1 Bq/mL in the default series, by the definition of SUVbw.
DEFAULT_FACTOR = WEIGHT_KG * 1000 / (DOSE_BQ * 2 ** (-UPTAKE_S / F18_HALF_LIFE_S))

ITEM_KEYWORDS = (
    "RadionuclideTotalDose",
    "RadionuclideHalfLife",
    "RadiopharmaceuticalStartTime",
    "RadiopharmaceuticalStartDateTime",
    "Radiopharmaceutical",
    "RadionuclideCodeSequence",
    "RadiopharmaceuticalCodeSequence",
)


def code(value: str, scheme: str, meaning: str) -> Sequence:
    """A code sequence of one item."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return Sequence([item])


def pet_header(**changes: Any) -> Dataset:
    """Header of an attenuation-corrected 18F-FDG slice in Bq/mL, decay-corrected to its start at 11:00,
    injected at 10:00.

    Keywords replace attributes, also those of the injection; None takes one out.
    """
    item = Dataset()
    item.RadionuclideTotalDose = str(DOSE_BQ)
    item.RadionuclideHalfLife = str(F18_HALF_LIFE_S)
    item.RadiopharmaceuticalStartTime = "100000"
    item.Radiopharmaceutical = "FDG -- fluorodeoxyglucose"
    item.RadionuclideCodeSequence = code("C-111A1", "SRT", "^18^Fluorine")

    header = Dataset()
    header.SOPClassUID = PositronEmissionTomographyImageStorage
    header.Modality = "PT"
    header.Manufacturer = "ACME"
    header.ManufacturerModelName = "Tomograph"
    header.PatientName = "FAMILY^GIVEN"
    header.PatientID = "MRN4711"
    header.PatientWeight = str(WEIGHT_KG)
    header.SeriesDescription = "PET AC"
    header.SeriesType = ["WHOLE BODY", "IMAGE"]
    header.SeriesDate = header.AcquisitionDate = header.StudyDate = "20240311"
    header.SeriesTime = header.AcquisitionTime = "110000"
    header.Units = "BQML"
    header.DecayCorrection = "START"
    header.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"]
    header.ActualFrameDuration = "120000"
    header.RescaleSlope, header.RescaleIntercept = "1", "0"
    header.RadiopharmaceuticalInformationSequence = Sequence([item])
    for keyword, value in changes.items():
        target = item if keyword in ITEM_KEYWORDS else header
        if value is None:
            delattr(target, keyword)
        else:
            setattr(target, keyword, value)
    return header


def write_slice(path: Path, header: Dataset, stored: np.ndarray) -> None:
    """Write one slice of (rows, columns) int16 stored values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = header.SOPClassUID
    meta.MediaStorageSOPInstanceUID = header.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    header.file_meta = meta
    header.Rows, header.Columns = stored.shape
    header.SamplesPerPixel, header.PhotometricInterpretation = 1, "MONOCHROME2"
    header.BitsAllocated = header.BitsStored = 16
    header.HighBit, header.PixelRepresentation = 15, 1
    header.PixelData = stored.astype("<i2").tobytes()
    header.save_as(path, enforce_file_format=True)


def write_series(
    folder: Path,
    stored: np.ndarray,
    *,
    positions: list[float] | None = None,
    orientation: tuple[float, ...] = (1, 0, 0, 0, 1, 0),
    first_voxel: tuple[float, float, float] = (-20.0, -30.0, -100.0),
    pixel_spacing: tuple[float, float] = (4.0, 5.0),
    each: Callable[[Dataset, int], None] | None = None,
    **changes: Any,
) -> str:
    """Write (z, y, x) stored values as a series and return its UID.

    File names and instance numbers run against the order of the slices.

    Args:
        folder: made where it is missing.
        stored: int16 values.
        positions: distance of each slice from the first along the normal in mm; 3 mm apart by default.
        orientation: Image Orientation (Patient).
        first_voxel: Image Position (Patient) of the slice at distance 0.
        pixel_spacing: between rows and between columns, mm.
        each: changes the header of a slice, given its index.
        changes: attributes of all slices, as for `pet_header`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    changes.setdefault("SeriesInstanceUID", generate_uid())
    normal = np.cross(orientation[:3], orientation[3:])
    for index, plane in enumerate(stored):
        distance = 3.0 * index if positions is None else positions[index]
        header = pet_header(**changes)
        header.SOPInstanceUID = generate_uid()
        header.InstanceNumber = len(stored) - index
        header.ImageOrientationPatient = [f"{value:.10g}" for value in orientation]
        header.ImagePositionPatient = [f"{value:.10g}" for value in np.array(first_voxel) + distance * normal]
        header.PixelSpacing = [str(value) for value in pixel_spacing]
        if each is not None:
            each(header, index)
        write_slice(folder / f"{len(stored) - index:04d}.dcm", header, plane)
    return changes["SeriesInstanceUID"]


def write_ct(folder: Path, slices: int = 3) -> str:
    """Write a small CT series and return its UID."""
    return write_series(
        folder,
        np.full((slices, 8, 8), 40, np.int16),
        Modality="CT",
        SOPClassUID=CTImageStorage,
        SeriesDescription="CT",
    )


def ramp(slices: int = 10, rows: int = 9, columns: int = 8) -> np.ndarray:
    """Stored values that tell every voxel apart."""
    return np.arange(1, slices * rows * columns + 1, dtype=np.int16).reshape(slices, rows, columns)
