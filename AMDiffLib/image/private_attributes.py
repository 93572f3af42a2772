"""The private attributes of Philips and GE that SUVbw may need."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from pydicom.dataset import Dataset

from AMDiffLib.image.dicom_files import PARSING_ERRORS
from AMDiffLib.image.dicom_times import local_date_time

PHILIPS_SUV_FACTOR = 0x00
PHILIPS_ACTIVITY_FACTOR = 0x09


def philips_factor(header: Dataset, offset: int) -> float | None:
    """Return the factor (7053,10xx) from rescaled counts to SUVbw or to Bq/mL; None where Philips left it
    out."""
    value = _private_value(header, 0x7053, "Philips PET Private Group", offset)
    try:
        factor = float(value) if value not in (None, "") else 0.0
    except (TypeError, ValueError):
        return None
    # Philips writes 0 where the factor could not be computed.
    return factor if 0 < factor < math.inf else None


def ge_scan_date_time(header: Dataset) -> datetime | None:
    """Return GE's "PET scan_datetime" (0009,xx0D), the start of the scan, or None."""
    return local_date_time(header, _private_value(header, 0x0009, "GEMS_PETD_01", 0x0D))


def _private_value(header: Dataset, group: int, creator: str, offset: int) -> Any:
    try:
        value = header.private_block(group, creator)[offset].value
    except PARSING_ERRORS:
        return None
    # Private attributes come as bytes where the transfer syntax does not state their type.
    return value.decode("ascii", errors="replace").strip(" \0") if isinstance(value, bytes) else value
