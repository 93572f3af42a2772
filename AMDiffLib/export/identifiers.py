"""UIDs and series numbers of what is exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import generate_uid

if TYPE_CHECKING:
    from AMDiffLib.export.source_series import SourceSeries

_FIRST_SERIES_NUMBER = 9001
SEGMENTATION_SERIES, PET_SERIES, REPORT_SERIES = range(3)


def tracking_uid(source: SourceSeries, identifier: str) -> str:
    """Return the UID of a lesion or organ of this scan: the same in every object and in every export."""
    return generate_uid(entropy_srcs=["AMDiff", source.series_uid, identifier])


def series_number(source: SourceSeries, which: int) -> int:
    """Return the Series Number of a new series, apart from those that scanners give.

    Series from different sources of one study get different numbers, up to source number 99.
    """
    return _FIRST_SERIES_NUMBER + which + 10 * (int(source.headers[0].get("SeriesNumber") or 0) % 100)
