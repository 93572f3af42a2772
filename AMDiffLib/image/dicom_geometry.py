"""Slice order, spacing and direction of a DICOM series, from its positions in space alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_files import values_of

# Gaps this far from their mean mean a missing slice; real scanners round theirs by a few per cent.
_LARGEST_GAP_DEVIATION = 0.10
_GAP_DEVIATION_TO_REPORT = 0.005
_SAME_POSITION_MM = 0.01
_ORTHONORMAL_TOLERANCE = 1e-3


@dataclass(frozen=True, kw_only=True)
class SeriesGeometry:
    """Grid of a series: `order[k]` is the index of the header that is slice k; the rest as in PetVolume."""

    order: tuple[int, ...]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]
    largest_slice_position_error_mm: float
    warnings: tuple[str, ...] = ()


def series_geometry(headers: Sequence[Dataset]) -> SeriesGeometry:
    """Sort slices along the normal of their plane and fit a regular grid to them.

    Raises:
        BadInput: positions missing, repeated (dynamic or gated series), with holes, or not stacked along
        the normal.
    """
    if len(headers) < 2:
        raise BadInput("The series has a single slice; expected a whole volume. Export the complete series.")
    _check_same_plane(headers)
    rows, columns, normal = _axes(headers[0])
    row_spacing, column_spacing = _numbers(headers[0], "PixelSpacing", 2)
    positions = np.array([_numbers(header, "ImagePositionPatient", 3) for header in headers])
    along = positions @ normal
    order = np.argsort(along, kind="stable")
    gaps = np.diff(along[order])
    _refuse_repeated_positions(headers, gaps)

    mean = float(gaps.mean())
    deviation = float(np.abs(gaps - mean).max() / mean)
    if deviation > _LARGEST_GAP_DEVIATION:
        widest = int(gaps.argmax())
        raise BadInput(
            f"Slices are missing: the gap after slice {widest + 1} of {len(headers)} is {gaps[widest]:.2f} "
            f"mm, while the gaps are {np.median(gaps):.2f} mm in the middle (allowed: 10 % from their mean). "
            "Export the complete series."
        )
    in_plane = positions[order] - np.outer(along[order], normal)
    if np.linalg.norm(in_plane - in_plane[0], axis=1).max() > 0.5 * min(row_spacing, column_spacing):
        raise BadInput(
            "The slices are not stacked at right angles to their plane (tilted gantry, or several stacks in "
            "one series); this software reads upright stacks only. Export the series resampled to one."
        )
    uniform = along[order[0]] + mean * np.arange(len(headers))
    error = float(np.abs(along[order] - uniform).max())
    warnings = []
    if deviation > _GAP_DEVIATION_TO_REPORT:
        warnings.append(
            f"The slice gaps are uneven ({gaps.min():.3f} to {gaps.max():.3f} mm); their mean, {mean:.4f} "
            f"mm, was used, which misplaces a slice by {error:.3f} mm at most."
        )
    warnings += _incompleteness(headers)
    return SeriesGeometry(
        order=tuple(int(index) for index in order),
        spacing=(column_spacing, row_spacing, mean),
        origin=tuple(float(value) for value in positions[order[0]]),
        direction=tuple(float(value) for value in np.column_stack([rows, columns, normal]).ravel()),
        largest_slice_position_error_mm=error,
        warnings=tuple(warnings),
    )


def _numbers(header: Dataset, keyword: str, count: int) -> tuple[float, ...]:
    try:
        values = tuple(float(value) for value in header[keyword].value)
    except (KeyError, TypeError, ValueError):
        values = ()
    if len(values) != count or not np.isfinite(values).all():
        raise BadInput(f"A slice has no valid {keyword}, so its place is unknown. Export the series again.")
    if keyword == "PixelSpacing" and min(values) <= 0:
        raise BadInput(
            f"The pixel spacing is {values}; expected positive millimetres. Export the series again."
        )
    return values


def _axes(header: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return unit vectors along a row, down a column and along the normal, exactly orthonormal."""
    orientation = np.array(_numbers(header, "ImageOrientationPatient", 6))
    rows, columns = orientation[:3], orientation[3:]
    products = np.array([rows @ rows - 1, columns @ columns - 1, rows @ columns])
    if np.abs(products).max() > _ORTHONORMAL_TOLERANCE:
        raise BadInput(
            "The Image Orientation (Patient) is not two perpendicular unit vectors. Export the series again."
        )
    rows = rows / np.linalg.norm(rows)
    columns = columns - (columns @ rows) * rows
    columns /= np.linalg.norm(columns)
    # Adding zero turns -0 into 0.
    return rows + 0.0, columns + 0.0, np.cross(rows, columns) + 0.0


def _check_same_plane(headers: Sequence[Dataset]) -> None:
    sizes = {(header.get("Rows"), header.get("Columns")) for header in headers if _has_size(header)}
    if not all(_has_size(header) for header in headers):
        raise BadInput("A slice does not state its size (Rows, Columns). Export the series again.")
    if len(sizes) > 1:
        raise BadInput(
            "The slices of this series differ in size (Rows, Columns), so they are not one volume."
        )
    for keyword in ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"):
        if len({str(header.get(keyword)) for header in headers}) > 1:
            raise BadInput(f"The slices of this series differ in {keyword}, so they are not one volume.")
    for keyword, count in (("ImageOrientationPatient", 6), ("PixelSpacing", 2)):
        values = np.array([_numbers(header, keyword, count) for header in headers])
        if np.abs(values - values[0]).max() > 1e-3:
            raise BadInput(f"The slices of this series differ in {keyword}, so they are not one volume.")


def _has_size(header: Dataset) -> bool:
    """Whether Rows and Columns are each one positive integer."""
    return all(isinstance(size := header.get(name), int) and size > 0 for name in ("Rows", "Columns"))


def _refuse_repeated_positions(headers: Sequence[Dataset], gaps: np.ndarray) -> None:
    repeated = int((gaps < _SAME_POSITION_MM).sum())
    if repeated:
        kind = next(iter(values_of(headers[0], "SeriesType")), "")
        named = f" ({kind.lower()}, by its Series Type)" if kind in ("DYNAMIC", "GATED") else ""
        raise BadInput(
            f"The series has several images at the same place: {len(headers)} images at "
            f"{len(headers) - repeated} positions. It is 4-D, dynamic or gated{named}; expected one static "
            "volume. Export a single frame or a static series."
        )


def _incompleteness(headers: Sequence[Dataset]) -> list[str]:
    announced = headers[0].get("NumberOfSlices")
    if not isinstance(announced, int) or announced <= len(headers):
        return []
    return [
        f"The header announces {announced} slices, but the series has {len(headers)}: its ends may be "
        "missing, and with them a part of the patient's lesions and totals."
    ]
