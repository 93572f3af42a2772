"""Our SUV held against that of a Real World Value Map, where the images or a separate object carry one.

DICOM PS3.3 C.7.6.16.2.11 (Real World Value Mapping) and the Real World Value Mapping IOD: stored values
become SUV by `stored * slope + intercept`, without Rescale Slope. The map is somebody else's computation
from the same headers (a workstation, the PETDICOM extension), so a difference means that one is wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from AMDiffLib.image.dicom_files import PARSING_ERRORS

LARGEST_DIFFERENCE = 0.01
_SUV_BODY_WEIGHT = {"{SUVBW}G/ML", "G/ML{SUVBW}"}
# The two values, in SUV, at which the two straight lines are compared: their slopes and their offsets count.
_COMPARED_AT_SUV = (1.0, 10.0)


@dataclass(frozen=True, kw_only=True)
class CrossCheck:
    """How far a map's SUV lies from ours: `difference` is the largest one, as a part of ours."""

    source: str
    images: int
    difference: float

    @property
    def warnings(self) -> list[str]:
        """What the reader of a result must see; nothing where the two agree within 1 %."""
        if abs(self.difference) <= LARGEST_DIFFERENCE:
            return []
        return [
            f"The SUV computed from the header differs by {100 * self.difference:+.1f} % from that of the "
            f"real world value map in the {self.source}. Find out which of the two is right before reading "
            "any number (dose, weight and injection time in the header are the usual causes)."
        ]


def cross_check(
    headers: Sequence[Dataset], factors: np.ndarray, map_files: Sequence[Path]
) -> CrossCheck | None:
    """Compare SUV = (stored * Rescale Slope + Intercept) * factor with the SUVbw of the maps.

    Args:
        headers: of the series' images.
        factors: (images,) SUVbw per rescaled unit, in the order of the headers.
        map_files: Real World Value Mapping objects; those of other images are passed over.

    Returns:
        The comparison, None where no map gives SUVbw for these images. A damaged map counts as none.
    """
    in_images = {
        str(header.get("SOPInstanceUID")): line
        for header in headers
        if (line := _suv_line(header.get("RealWorldValueMappingSequence")))
    }
    source, lines = "images", in_images
    if not lines:
        source, lines = "separate object", dict(_lines_of_objects(map_files))
    differences = [
        _largest_difference(header, float(factor), lines[uid])
        for header, factor in zip(headers, factors, strict=True)
        if (uid := str(header.get("SOPInstanceUID"))) in lines
    ]
    differences = [difference for difference in differences if np.isfinite(difference)]
    if not differences:
        return None
    return CrossCheck(source=source, images=len(differences), difference=max(differences, key=abs))


def _largest_difference(header: Dataset, factor: float, line: tuple[float, float]) -> float:
    try:
        slope, intercept = float(header.RescaleSlope), float(header.get("RescaleIntercept") or 0.0)
    except PARSING_ERRORS:
        return np.nan
    if slope <= 0 or factor <= 0:
        return np.nan
    found = []
    for suv in _COMPARED_AT_SUV:
        stored = (suv / factor - intercept) / slope
        found.append((stored * line[0] + line[1]) / suv - 1.0)
    return max(found, key=abs)


def _lines_of_objects(map_files: Sequence[Path]) -> Iterator[tuple[str, tuple[float, float]]]:
    """(SOP Instance UID of an image, its slope and intercept) of every image the objects refer to."""
    for path in map_files:
        try:
            for item in pydicom.dcmread(path).get("ReferencedImageRealWorldValueMappingSequence") or []:
                line = _suv_line(item.get("RealWorldValueMappingSequence"))
                if line:
                    for image in item.get("ReferencedImageSequence") or []:
                        yield str(image.ReferencedSOPInstanceUID), line
        except PARSING_ERRORS:
            continue


def _suv_line(sequence: Sequence[Dataset] | None) -> tuple[float, float] | None:
    """Slope and intercept of the item in SUVbw; None where there is none (a map to Bq/mL, a lookup table)."""
    for item in sequence or []:
        units = [str(code.get("CodeValue") or "") for code in item.get("MeasurementUnitsCodeSequence") or []]
        if any(unit.strip().upper() in _SUV_BODY_WEIGHT for unit in units):
            try:
                return float(item.RealWorldValueSlope), float(item.RealWorldValueIntercept)
            except PARSING_ERRORS:
                continue
    return None
