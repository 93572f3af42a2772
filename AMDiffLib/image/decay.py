"""The moment that the values of a PET series are decay-corrected to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
from pydicom.dataset import Dataset

from AMDiffLib.errors import BadInput
from AMDiffLib.image.dicom_times import moment_of, uptake_seconds
from AMDiffLib.image.private_attributes import ge_scan_date_time
from AMDiffLib.image.radionuclides import positive_number

LONGEST_UPTAKE = timedelta(hours=12)


def decay_reference(headers: Sequence[Dataset], half_life: float) -> tuple[datetime, str, list[str]]:
    """Return the moment that values with Decay Correction START are corrected to, its name, and warnings.

    The series time, unless it is later than the earliest acquisition: then the series was post-processed,
    and the scan's start is GE's private one, or for Siemens the one the frame reference times lead back
    to, or the earliest acquisition.
    """
    moments = {moment_of(header, "Series") for header in headers}
    series = min((moment for moment in moments if moment), default=None)
    # The start of a series is one attribute of all its images, DICOM PS3.3 C.7.3.1.
    uneven = []
    if len(moments) > 1:
        uneven = ["The slices differ in Series Date or Time, or not all have one; the earliest was used."]
    acquisitions = [moment for header in headers if (moment := moment_of(header, "Acquisition", series))]
    earliest = min(acquisitions, default=None)
    if series is not None and (earliest is None or series <= earliest):
        return series, "series time", uneven
    if earliest is None:
        raise BadInput(
            "The header has neither series time nor acquisition time, so the SUV cannot be computed."
        )

    private = ge_scan_date_time(headers[0])
    if private is not None and earliest - LONGEST_UPTAKE <= private <= earliest + timedelta(seconds=1):
        return private, "GE scan date-time", uneven
    if "SIEMENS" in str(headers[0].get("Manufacturer") or "").upper() and len(acquisitions) == len(headers):
        starts = [
            _scan_start(header, moment, half_life)
            for header, moment in zip(headers, acquisitions, strict=True)
        ]
        known = [start for start in starts if start is not None]
        if len(known) == len(headers) and max(known) - min(known) <= timedelta(seconds=5):
            return min(known), "frame reference time", uneven
    warning = (
        "The series was made or changed after the acquisition; its values were taken to be decay-corrected "
        "to the earliest acquisition time found in it."
    )
    return earliest, "earliest acquisition time", [warning, *uneven]


def _scan_start(header: Dataset, acquisition: datetime, half_life: float) -> datetime | None:
    """Go back from a frame's start to the scan's.

    The Frame Reference Time is that of the average count rate: with rate exp(-k t) over a frame of length
    T, the average rate (1 - exp(-kT)) / (kT) is reached at ln(kT / (1 - exp(-kT))) / k.
    """
    reference_ms = positive_number(header, "FrameReferenceTime")
    duration_ms = positive_number(header, "ActualFrameDuration")
    if reference_ms is None or duration_ms is None:
        return None
    decay_constant = math.log(2) / half_life
    during_frame = decay_constant * duration_ms / 1000
    average = math.log(during_frame / -math.expm1(-during_frame)) / decay_constant
    return acquisition + timedelta(seconds=average - reference_ms / 1000)


def decayed_by_frame(
    headers: Sequence[Dataset], item: Dataset, half_life: float, longest: timedelta
) -> tuple[np.ndarray, float, list[str]]:
    """Return, for a series without decay correction, what is left of the dose in each slice's frame.

    Returns:
        (slices,) fraction of the injected activity left, averaged over the frame; the uptake time of the
        first frame in seconds; warnings.

    Raises:
        BadInput: the time of a frame is missing or contradictory.
    """
    decay_constant = math.log(2) / half_life
    left, uptakes, starts, warnings = [], [], [], []
    for header in headers:
        begin, duration_ms = moment_of(header, "Acquisition"), positive_number(header, "ActualFrameDuration")
        if begin is None or duration_ms is None:
            raise BadInput(
                "The series is not decay-corrected, and not every slice has its Acquisition Time and Actual "
                "Frame Duration, so its SUV cannot be computed. Reconstruct it with decay correction."
            )
        if (reference_ms := positive_number(header, "FrameReferenceTime")) is not None:
            starts.append(begin - timedelta(milliseconds=reference_ms))
        uptake, warnings = uptake_seconds(header, item, begin, longest)
        during_frame = decay_constant * duration_ms / 1000
        uptakes.append(uptake)
        left.append(math.exp(-decay_constant * uptake) * -math.expm1(-during_frame) / during_frame)
    # Some scanners write the scan's start as acquisition time of every bed position.
    if starts and (max(starts) - min(starts)).total_seconds() * decay_constant > 0.005:
        raise BadInput(
            "The series is not decay-corrected, and its acquisition times disagree with its frame reference "
            "times, so the time of each bed position is unknown. Reconstruct it with decay correction."
        )
    return np.asarray(left), min(uptakes), warnings
