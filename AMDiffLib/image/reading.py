"""Reading a PET volume, whatever its file format, as SUVbw."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_files import looks_like_dicom
from AMDiffLib.image.dicom_series import read_dicom, read_series
from AMDiffLib.image.header_text import (
    check_as_stated,
    check_length,
    check_voxel_size,
    data_file,
    header_fields,
)
from AMDiffLib.image.nifti_header import check_nifti_header, check_nifti_length
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.image.writing import CONTENT, CONTENT_KEY

SUV_UNITS = "SUVbw"
_FORMATS = {
    ".nrrd": "NRRD",
    ".nhdr": "NRRD",
    ".nii": "NIfTI",
    ".nii.gz": "NIfTI",
    ".mha": "MetaImage",
    ".mhd": "MetaImage",
}
# Named, so that a file's content cannot choose any other of ITK's many readers.
_READERS = {"NRRD": "NrrdImageIO", "NIfTI": "NiftiImageIO", "MetaImage": "MetaImageIO"}
_FEWEST_VOXELS = 8
_VOXEL_SIZES_MM = (0.2, 20.0)
# No reconstruction undershoots this far; Hounsfield units start at -1000.
_LOWEST_SUV = -50.0
# Filtered back-projection and some corrections undershoot a little; more than this, as part of all activity,
# is said.
_NEGATIVE_PART_TO_REPORT = 0.01
# The hottest bladder stays below; Bq/mL are in the thousands.
_HIGHEST_USUAL_SUV = 1000.0
# All of the dose in one voxel of 0.05 mL of a patient of 500 kg.
_HIGHEST_POSSIBLE_SUV = 1e7


def read_pet(path: str | Path, *, units: str | None = None, series_uid: str | None = None) -> PetVolume:
    """Read a PET volume as SUVbw.

    Negative values are kept: clipping them would raise the mean of cold tissue. Where they are a notable
    part of the activity, a warning says so.

    Args:
        path: a folder with a DICOM series (perhaps among others), one file of such a series, or an NRRD,
        NIfTI or MetaImage
            file.
        units: the unit of the values, "SUVbw"; required for all but DICOM, whose header says it.
        series_uid: which DICOM series to take where a folder holds several PET series.

    Raises:
        BadInput: not one static PET volume, or not convertible to SUVbw; the message says why and what to do.
    """
    path = Path(path)
    if units is not None and units.casefold() != SUV_UNITS.casefold():
        raise BadInput(f"The units '{units}' are not known; expected {SUV_UNITS} (g/mL).")
    try:
        if not path.exists():
            raise BadInput(
                "The input does not exist. Give a DICOM folder or file, or an NRRD, NIfTI or MetaImage file."
            )
        if not path.is_dir() and not path.is_file():
            raise BadInput("The input is neither a folder nor a regular file. Give a DICOM folder or a file.")
        file_format = None if path.is_dir() else _format_of(path)
        if file_format is None:
            fields, facts, warnings = read_dicom(path, series_uid)
        else:
            fields, facts, warnings = _read_image_file(path, file_format, units)
    except OSError as error:
        raise BadInput(
            f"The input cannot be read ({error.strerror}). Check that it is there and that you may read it."
        ) from None
    return _checked(fields, facts, warnings)


def read_pet_series(files: Sequence[Path], value_maps: Sequence[Path] = ()) -> PetVolume:
    """Read one DICOM PET series from its files; its SUV is held against the real world `value_maps`.

    Raises:
        BadInput: as `read_pet`.
    """
    return _checked(*read_series(files, value_maps))


def image_suffix(name: str) -> str | None:
    """Return the suffix of a file name of a single-file format, as it is written there; None for others."""
    for suffix in sorted(_FORMATS, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[-len(suffix) :]
    return None


def _format_of(path: Path) -> str | None:
    """Return the name of a single-file format, or None for DICOM."""
    name = path.name.lower()
    if suffix := image_suffix(name):
        return _FORMATS[suffix]
    if name == "dicomdir" or looks_like_dicom(path):
        return None
    raise BadInput(
        "The file is not DICOM, NRRD (.nrrd, .nhdr), NIfTI (.nii, .nii.gz) or MetaImage (.mha, .mhd), or is "
        "damaged."
    )


def _read_image_file(
    path: Path, file_format: str, units: str | None
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    if units is None:
        raise BadInput(
            f"A {file_format} file does not say the unit of its values. If they are SUV by body weight in "
            f"g/mL, say so with --units {SUV_UNITS}; otherwise use the DICOM series."
        )
    if file_format == "NIfTI":
        check_nifti_header(path)
        fields = {}
    else:
        fields = header_fields(path, file_format)
        data_file(path, fields, file_format)
        check_voxel_size(fields, file_format)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(_READERS[file_format])
    reader.SetFileName(str(path))
    # ITK writes its warnings, with the file's path, where the log is.
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    try:
        reader.ReadImageInformation()
        _check_header(reader, file_format)
        _check_length(reader, path, fields, file_format)
        image = reader.Execute()
    except RuntimeError:
        raise BadInput(
            f"The {file_format} file cannot be read: it is damaged, cut short or has no valid geometry."
        ) from None
    if image.GetDimension() == 4:
        image = image[:, :, :, 0]
    fields = {
        "suv": sitk.GetArrayFromImage(image).astype(np.float32, copy=False),
        "spacing": image.GetSpacing(),
        "origin": image.GetOrigin(),
        "direction": image.GetDirection(),
    }
    nothing_known = (
        "series_uid",
        "manufacturer",
        "model",
        "radionuclide",
        "suv_factor",
        "injected_dose_bq",
        "weight_kg",
        "height_m",
        "sex",
        "tracer",
        "minutes_per_bed",
        "corrections",
        "suv_cross_check",
    )
    facts = {
        "path": path.name,
        "format": file_format,
        **dict.fromkeys((*nothing_known, "decay_reference", "uptake_minutes")),
        "units": SUV_UNITS,
        "largest_slice_position_error_mm": 0.0,
    }
    return fields, facts, []


def _check_header(reader: sitk.ImageFileReader, file_format: str) -> None:
    size = reader.GetSize()
    if reader.GetNumberOfComponents() != 1 or len(size) > 4 or (len(size) == 4 and size[3] != 1):
        shape = " x ".join(str(length) for length in size)
        raise BadInput(
            f"The {file_format} file holds {shape} values of {reader.GetNumberOfComponents()} component(s): "
            "it is 4-D (dynamic, gated) or a vector image; expected one static 3-D volume. Export a single "
            "frame."
        )
    if len(size) < 3:
        raise BadInput(f"The {file_format} file holds a {len(size)}-D image; expected a 3-D volume.")
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise BadInput(f"The {file_format} file holds complex values; expected SUV.")
    keys = reader.GetMetaDataKeys()
    if any(key.startswith("Segment0_") for key in keys):
        raise BadInput(f"The {file_format} file is a segmentation; expected a PET volume.")
    if CONTENT_KEY in keys and reader.GetMetaData(CONTENT_KEY) == CONTENT:
        raise BadInput(
            f"The {file_format} file is itself a denoised result of this software. Choose the scan that it "
            "was computed from."
        )


def _check_length(reader: sitk.ImageFileReader, path: Path, fields: dict[str, str], file_format: str) -> None:
    voxels = math.prod(reader.GetSize())
    if file_format == "NIfTI":
        check_nifti_length(
            path,
            offset=int(float(reader.GetMetaData("vox_offset"))),
            voxels=voxels,
            bytes_per_voxel=int(reader.GetMetaData("bitpix")) // 8,
        )
    else:
        check_as_stated(fields, file_format, reader.GetSpacing())
        bytes_per_voxel = sitk.Image([1, 1], reader.GetPixelID()).GetSizeOfPixelComponent()
        check_length(path, fields, file_format, voxels * bytes_per_voxel)


def _checked(fields: dict[str, Any], facts: dict[str, Any], warnings: list[str]) -> PetVolume:
    """Check the voxels, as no later stage does, and make the volume."""
    suv, spacing = fields["suv"], fields["spacing"]
    if min(suv.shape) < _FEWEST_VOXELS:
        shape = " x ".join(str(length) for length in suv.shape[::-1])
        raise BadInput(f"The volume has {shape} voxels; expected at least {_FEWEST_VOXELS} along each axis.")
    if not all(_VOXEL_SIZES_MM[0] <= size <= _VOXEL_SIZES_MM[1] for size in spacing):
        sizes = " x ".join(f"{size:g}" for size in spacing)
        raise BadInput(
            f"The voxels measure {sizes} mm; expected between {_VOXEL_SIZES_MM[0]:g} and "
            f"{_VOXEL_SIZES_MM[1]:g} mm."
        )
    # A sum in float64 is finite only if all values are: no array of flags is needed.
    with np.errstate(invalid="ignore"):
        total = float(suv.sum(dtype=np.float64))
    if not np.isfinite(total):
        count = suv.size - int(np.count_nonzero(np.isfinite(suv)))
        raise BadInput(
            f"{count} voxels are not numbers (NaN or infinite); expected SUV everywhere. Export the image "
            "again."
        )
    lowest, highest = float(suv.min()), float(suv.max())
    if lowest == highest == 0.0:
        raise BadInput("All voxels are zero: the image is empty. Export it again, or choose another series.")
    if lowest < _LOWEST_SUV:
        raise BadInput(
            f"The lowest value is {lowest:.0f}, impossible for SUV: is this a CT? Choose the PET volume."
        )
    if highest <= 0:
        raise BadInput("No voxel is above zero: the image holds no activity. Choose another series.")
    if highest > _HIGHEST_POSSIBLE_SUV:
        raise BadInput(
            f"The highest value is {highest:.3g}, impossible for SUV. Check the unit, the rescale slope and "
            "the dose; export the image again."
        )
    warnings = list(warnings)
    negative = -float(suv[suv < 0].sum(dtype=np.float64))
    if negative > _NEGATIVE_PART_TO_REPORT * (total + negative):
        warnings.append(
            f"Negative values, down to {lowest:.2f} SUV, amount to {100 * negative / (total + negative):.1f} "
            "% of the activity; they were kept."
        )
    if highest > _HIGHEST_USUAL_SUV:
        warnings.append(
            f"The highest value is {highest:.0f}, unusual for SUV: check that the values are SUVbw, not "
            "Bq/mL."
        )
    facts["sha256"] = hashlib.sha256(np.ascontiguousarray(suv)).hexdigest()
    facts["spacing"] = [float(size) for size in spacing]
    facts["matrix"] = list(suv.shape[::-1])
    return PetVolume(source=facts, warnings=tuple(warnings), **fields)
