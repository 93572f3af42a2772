"""A validated scan as a picture: low-count, denoised, lesions and organs, and the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from AMDiffLib.image.overview import write_overview
from AMDiffLib.inference.pipeline import Result
from AMDiffLib.training.validation import HeldOutScan


class ValidationPicture:
    """Takes the results of a validation and draws that of the first scan with a lesion, else the first."""

    def __init__(self, path: Path, scans: Sequence[HeldOutScan]) -> None:
        self.path = path
        self._scan = next((scan for scan in scans if scan.lesions.any()), scans[0])

    def __call__(self, scan: HeldOutScan, result: Result, marked: np.ndarray) -> None:
        """Draw the scan if it is the chosen one; `marked` are the numbered lesions of `result`."""
        if scan is self._scan:
            write_overview(
                self.path,
                scan.low_count.suv,
                result.denoised,
                marked,
                result.organs,
                scan.low_count.spacing,
                truth_suv=scan.high_count,
                title=scan.name,
                truth_lesions=scan.lesions,
            )
