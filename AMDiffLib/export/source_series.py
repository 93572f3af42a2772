"""The scan that the results were computed from: its voxels, and for DICOM the headers of its slices."""

from __future__ import annotations

import warnings as python_warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_files import find_files, read_headers
from AMDiffLib.image.dicom_geometry import series_geometry
from AMDiffLib.image.reading import SUV_UNITS, read_pet
from AMDiffLib.image.suv import suv_conversion
from AMDiffLib.image.volume import PetVolume

# Without these no object can be put into the patient's study; the value says what it is.
_MANDATORY = {
    "StudyInstanceUID": "study",
    "SeriesInstanceUID": "series",
    "FrameOfReferenceUID": "frame of reference",
    "SOPInstanceUID": "image",
}
# Mandatory too, but allowed to be empty.
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)


@dataclass(frozen=True, kw_only=True)
class SourceSeries:
    """The DICOM series that a result was computed from.

    `headers` are whole, without pixels, in the order of the slices of `volume.suv`; `factors` are g/mL per
    rescaled unit, one a slice.
    """

    volume: PetVolume
    headers: tuple[Dataset, ...]
    factors: np.ndarray

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def units(self) -> str:
        """Units of the rescaled values: BQML, CNTS or GML."""
        return str(self.headers[0].Units).strip().upper()


def read_source_series(path: Path, *, series_uid: str | None = None) -> SourceSeries:
    """Read a PET series with its whole headers.

    Raises:
        BadInput: `read_pet` refuses the series, or it lacks the UIDs that a DICOM object must refer to.
    """
    # The unit is that of other formats, which are refused below with a better reason than a missing unit.
    volume = read_pet(path, units=SUV_UNITS, series_uid=series_uid)
    if volume.source["format"] != "DICOM":
        raise BadInput(
            f"The source is a {volume.source['format']} file; a DICOM export needs the DICOM series that the "
            "results were computed from. Give its folder."
        )
    # A DICOMDIR stands for its folder.
    recursive = path.is_dir() or path.name.upper() == "DICOMDIR"
    folder = path if path.is_dir() else path.parent
    with python_warnings.catch_warnings():
        # pydicom quotes faulty values in its warnings, and those may be the patient's.
        python_warnings.simplefilter("ignore")
        files = find_files(folder, recursive=recursive).series[volume.source["series_uid"]]
        paths, used, _ = read_headers(files)
        order = list(series_geometry(used).order)
        headers = tuple(pydicom.dcmread(paths[index], stop_before_pixels=True) for index in order)
        for header in headers:
            _complete(header, slice_spacing=volume.spacing[2])
        return SourceSeries(volume=volume, headers=headers, factors=suv_conversion(used).factors[order])


def _complete(header: Dataset, *, slice_spacing: float) -> None:
    for keyword, name in _MANDATORY.items():
        if not header.get(keyword):
            raise BadInput(
                f"The source series does not identify its {name} ({keyword} is missing), so nothing can be "
                "filed beside it. Export the series from the scanner or the archive again."
            )
    for keyword in _MAY_BE_EMPTY:
        if keyword not in header:
            setattr(header, keyword, "")
    if not header.get("SliceThickness"):
        header.SliceThickness = f"{slice_spacing:.6g}"  # slices of PET adjoin
