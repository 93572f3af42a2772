"""How far an image or a mask is from its reference.

NRMSE is the root mean square error over a region divided by the range (largest minus smallest value) or by
the mean of the *reference* over the same region. The AMDiff paper normalises "by the range of the observed
data"; its organ figures are only possible with the range inside the organ, so that is what is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AMDiffLib.quantification.suv_metrics import voxel_volume_ml

NAN = float("nan")


def nrmse(
    estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None, *, by: str = "range"
) -> float:
    """Return the normalised root mean square error; NaN for an empty region or a reference without range.

    Args:
        estimate, reference: SUVbw in g/mL, of one shape.
        mask: where to look, non-zero inside; None for the whole image.
        by: "range" or "mean" of the reference in that region.

    Raises:
        ValueError: shapes differ, or `by` is neither.
    """
    estimate, reference = _inside(estimate, reference, mask)
    if by not in ("range", "mean"):
        raise ValueError(f"NRMSE can be normalised by 'range' or 'mean', not by {by!r}")
    if reference.size == 0:
        return NAN
    scale = np.ptp(reference) if by == "range" else reference.mean()
    error = np.sqrt(np.mean(np.square(estimate - reference)))
    return float(error / scale) if scale > 0 else NAN


def mean_bias_percent(estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None = None) -> float:
    """Return 100 (mean estimate - mean reference) / mean reference over a region; NaN where undefined."""
    estimate, reference = _inside(estimate, reference, mask)
    if reference.size == 0:
        return NAN
    return relative_percent(float(estimate.mean()), float(reference.mean()))


def dice(found: np.ndarray, true: np.ndarray) -> float:
    """Return 2 |found and true| / (|found| + |true|); NaN where there is nothing true to be found.

    Raises:
        ValueError: shapes differ.
    """
    found, true = np.asarray(found) != 0, np.asarray(true) != 0
    _same_shape(found, true)
    if not true.any():
        return NAN
    return float(2.0 * np.count_nonzero(found & true) / (np.count_nonzero(found) + np.count_nonzero(true)))


def volume_ml(mask: np.ndarray, spacing: Sequence[float]) -> float:
    """Return the volume of a mask in mL; `spacing` is (x, y, z) in mm."""
    return float(np.count_nonzero(mask)) * voxel_volume_ml(spacing)


def relative_percent(found: float, true: float) -> float:
    """Return 100 (found - true) / true, as for the bias of TLG or MTV; NaN where `true` is not positive."""
    return 100.0 * (found - true) / true if true > 0 else NAN


def _inside(
    estimate: np.ndarray, reference: np.ndarray, mask: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    _same_shape(estimate, reference)
    if mask is not None:
        _same_shape(estimate, mask)
        mask = np.asarray(mask) != 0
        estimate, reference = estimate[mask], reference[mask]
    return estimate.astype(np.float64), reference.astype(np.float64)


def _same_shape(first: np.ndarray, second: np.ndarray) -> None:
    if np.shape(first) != np.shape(second):
        raise ValueError(f"arrays of shape {np.shape(first)} and {np.shape(second)} cannot be compared")
