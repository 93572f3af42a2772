"""From a DICOM folder or file to the one PET series meant, with its voxels in SUVbw."""

from __future__ import annotations

import warnings as python_warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_files import (
    PARSING_ERRORS,
    FoundFiles,
    find_files,
    read_header,
    read_headers,
    unreadable,
    values_of,
)
from AMDiffLib.image.dicom_geometry import series_geometry
from AMDiffLib.image.identity import code_string, without_identity
from AMDiffLib.image.real_world_value import cross_check
from AMDiffLib.image.series_facts import series_facts
from AMDiffLib.image.suv import corrections, suv_conversion

# The value of Image Type by which our own derived series is known again.
AI_IMAGE_TYPE = "AI_DENOISED"


def read_dicom(path: Path, series_uid: str | None = None) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Read the attenuation-corrected PET series of a folder (searched with its subfolders), or the one a
    file belongs to.

    Returns:
        The fields suv, spacing, origin, direction of a PetVolume; facts about the source; warnings.

    Raises:
        BadInput: no such series, several, or one that cannot be read and quantified.
    """
    # pydicom quotes faulty values in its warnings, and those may be the patient's.
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        found, uid = _find_series(path, series_uid)
        paths, headers, warnings = read_headers(found.series[uid])
        return _volume(path, paths, headers, warnings, found.value_maps)


def read_series(
    files: Sequence[Path], value_maps: Sequence[Path] = ()
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Read the series whose files these are; returns and raises as `read_dicom`."""
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        paths, headers, warnings = read_headers(files)
        return _volume(files[0].parent, paths, headers, warnings, value_maps)


def read_series_facts(path: Path, series_uid: str | None = None) -> dict[str, Any]:
    """Read what the headers of the same series say (see `series_facts`), also where it has no valid SUV.

    Raises:
        BadInput: no such series, several, or a header that cannot be read.
    """
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")
        found, uid = _find_series(path, series_uid)
        _, headers, _ = read_headers(found.series[uid])
        return {"series_uid": uid, **series_facts(headers)}


def _find_series(path: Path, series_uid: str | None) -> tuple[FoundFiles, str]:
    if path.is_dir() or path.name.upper() == "DICOMDIR":
        found = find_files(path if path.is_dir() else path.parent, recursive=True)
    else:
        series_uid = _series_of(path, series_uid)
        found = find_files(path.parent, recursive=False)
    return found, _choose(found, series_uid)


def _volume(
    path: Path,
    paths: Sequence[Path],
    headers: Sequence[Dataset],
    warnings: list[str],
    value_maps: Sequence[Path],
) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    conversion = suv_conversion(headers)
    check = cross_check(headers, conversion.factors, value_maps)
    geometry = series_geometry(headers)
    first = headers[0]
    suv = np.empty((len(headers), int(first.Rows), int(first.Columns)), np.float32)
    for index, source in enumerate(geometry.order):
        suv[index] = _rescaled_pixels(paths[source], suv.shape[1:]) * conversion.factors[source]
    fields = {
        "suv": suv,
        "spacing": geometry.spacing,
        "origin": geometry.origin,
        "direction": geometry.direction,
    }
    facts = {
        "path": without_identity(path.name, first),
        "format": "DICOM",
        "series_uid": str(first.get("SeriesInstanceUID") or ""),
        **series_facts(headers),
        "radionuclide": conversion.radionuclide,
        "units": conversion.units,
        # Without decay correction each slice has its own factor; the median stands for them.
        "suv_factor": float(np.median(conversion.factors)),
        "decay_reference": conversion.decay_reference,
        "injected_dose_bq": conversion.injected_dose_bq,
        "weight_kg": conversion.weight_kg,
        "uptake_minutes": conversion.uptake_minutes,
        "suv_cross_check": None if check is None else asdict(check),
        "largest_slice_position_error_mm": geometry.largest_slice_position_error_mm,
    }
    more = check.warnings if check else []
    return fields, facts, [*warnings, *conversion.warnings, *more, *geometry.warnings]


def _series_of(path: Path, series_uid: str | None) -> str:
    """Return the series a file belongs to, which must be the one asked for, if any."""
    try:
        header = read_header(path, ["Modality", "SeriesInstanceUID", "SOPClassUID"])
    except PARSING_ERRORS:
        raise unreadable("The file") from None
    modality = str(header.get("Modality") or "unknown").strip()
    if modality != "PT":
        raise BadInput(
            f"The file has modality {code_string(modality)}; expected PT (PET). Choose a file of the PET "
            "series."
        )
    own = str(header.get("SeriesInstanceUID") or "")
    if series_uid not in (None, own):
        raise BadInput(
            f"The file belongs to series {own}, not to {series_uid}. Give the folder, or the other file."
        )
    return own


def _choose(found: FoundFiles, series_uid: str | None) -> str:
    if found.unreadable:
        raise unreadable(f"{len(found.unreadable)} DICOM file(s) in the folder")
    if not found.series:
        raise BadInput(_nothing_found(found))
    first = {uid: _first_header(paths) for uid, paths in found.series.items()}
    corrected = {uid: header for uid, header in first.items() if is_corrected_volume(header)}
    if series_uid is not None:
        if series_uid not in found.series:
            raise BadInput(f"There is no PET series {series_uid} here. Found:\n{_listing(found, first)}")
        return series_uid
    if not corrected and any(AI_IMAGE_TYPE in values_of(header, "ImageType") for header in first.values()):
        raise BadInput(
            "The PET series here is itself a result of AMDiff: AI-denoised, by its Image Type. Choose the "
            f"scan that it was computed from. Found:\n{_listing(found, first)}"
        )
    if not corrected:
        raise BadInput(
            "None of the PET series here is attenuation-corrected (Corrected Image lists no ATTN), so none "
            f"holds SUV. Add the corrected series. Found:\n{_listing(found, first)}"
        )
    if len(corrected) > 1:
        raise BadInput(
            f"There are {len(corrected)} attenuation-corrected PET series here; choose one by its UID "
            "(--series-uid):\n" + _listing(found, corrected)
        )
    return next(iter(corrected))


def _nothing_found(found: FoundFiles) -> str:
    if found.multi_frame:
        return (
            "The PET image is an Enhanced (multi-frame) one, which is not supported; export it as "
            "single-frame PET."
        )
    if found.other_modalities:
        modalities = ", ".join(sorted(found.other_modalities))
        return (
            f"No PET series found: the DICOM files here have modality {modalities}; expected PT (PET Image "
            "Storage). Choose the folder of the PET series."
        )
    return (
        "No DICOM file found in the folder. Choose the folder of a PET series, or give an NRRD, NIfTI or "
        "MetaImage file."
    )


def _first_header(paths: Sequence[Path]) -> Dataset:
    try:
        return read_header(paths[0])
    except PARSING_ERRORS:
        raise unreadable("The first image of a PET series") from None


def is_corrected_volume(header: Dataset) -> bool:
    """Tell an attenuation-corrected volume from uncorrected series, from rotating maximum-intensity
    projections, and from what networks made of one."""
    kinds = {*values_of(header, "ImageType"), *values_of(header, "SeriesType")}
    return "ATTN" in corrections(header) and not kinds & {"MIP", "REPROJECTION", AI_IMAGE_TYPE}


def _listing(found: FoundFiles, headers: dict[str, Dataset]) -> str:
    return "\n".join(
        f"  {uid}  '{without_identity(str(header.get('SeriesDescription') or ''), header)}'  "
        f"{len(found.series[uid])} slices"
        for uid, header in headers.items()
    )


def _rescaled_pixels(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return stored values * Rescale Slope + Rescale Intercept, (rows, columns) float64."""
    try:
        image = pydicom.dcmread(path, force=True)
        slope, intercept = float(image.RescaleSlope), float(image.get("RescaleIntercept") or 0.0)
    except PARSING_ERRORS:
        raise BadInput(
            "A slice has no valid Rescale Slope, so its values have no unit. Export the series again."
        ) from None
    if slope < 0:
        raise BadInput(
            f"A slice has the Rescale Slope {slope:g}; expected a positive one. Export the series again."
        )
    if "TransferSyntaxUID" not in image.file_meta:
        # A file older than DICOM part 10 has no file meta information, and is never compressed.
        implicit, _ = image.original_encoding
        image.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    syntax = UID(str(image.file_meta.TransferSyntaxUID))
    try:
        pixels = image.pixel_array * slope + intercept
    except (*PARSING_ERRORS, RuntimeError):
        if not syntax.is_transfer_syntax:
            raise BadInput(
                f"The pixels are in an unknown encoding (Transfer Syntax {syntax}). Export the series "
                "uncompressed (Explicit VR Little Endian)."
            ) from None
        if not syntax.is_compressed:
            raise _damaged_pixels() from None
        pixels = _decoded_by_simpleitk(path, syntax.name)
    if pixels.shape != shape:
        raise BadInput(
            f"A slice holds pixels of shape {pixels.shape}; expected one grey image of shape {shape}."
        )
    return pixels


def _damaged_pixels() -> BadInput:
    return BadInput("A slice has no pixels or is cut short. Copy or export the complete series again.")


def _decoded_by_simpleitk(path: Path, syntax: str) -> np.ndarray:
    """Decode what pydicom has no decoder for here; GDCM applies slope and intercept itself."""
    try:
        return np.squeeze(
            sitk.GetArrayFromImage(sitk.ReadImage(str(path), sitk.sitkFloat64, imageIO="GDCMImageIO")), axis=0
        )
    except (RuntimeError, ValueError):
        raise BadInput(
            f"The pixels are compressed ({syntax}) and are damaged or have no decoder here. Export the "
            "series uncompressed (Explicit VR Little Endian)."
        ) from None
