"""Hot spots of the low-count image that the denoised one has lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.grid import Box, Grid, connected_to, index_to_lps, voxel_volume_ml

REMOVED_Z = 5.5
"""In standard errors. On 13 simulated scans of 3 to 25 % counts (mCT, Vision, uExplorer, Discovery ST) one
false spot was listed at this threshold, about five at 5. The study in Testing/studies has the curve."""

HOTTER_THAN_SURROUNDINGS = 1.4
"""Least ratio of a hot spot to its surroundings in the low-count image."""

LEAST_SUV = 1.0
"""A colder one is no finding: muscle, lung and fat lie below."""

LOST_SHARE = 0.5
"""A hot spot that keeps more than this share of its excess over the surroundings has not been lost."""

SURROUNDINGS_MM = (14.0, 24.0)
_APART_MM = 15.0


@dataclass(frozen=True, kw_only=True)
class RemovedHotSpot:
    """A hot spot of the low-count image that the denoised one lacks.

    SUV are of its voxels, g/mL; `count_z`, below 0, is that of the denoised less the low-count regional mean.
    """

    centroid_lps_mm: tuple[float, float, float]
    volume_ml: float
    low_count_suv_max: float
    low_count_suv_mean: float
    suv_max: float
    suv_mean: float
    count_z: float

    def to_dict(self) -> dict[str, float]:
        """Return the values under the names of the columns of the measurements."""
        return {
            "volume_ml": self.volume_ml,
            "low_count_suv_max_g_per_ml": self.low_count_suv_max,
            "low_count_suv_mean_g_per_ml": self.low_count_suv_mean,
            "suv_max_g_per_ml": self.suv_max,
            "suv_mean_g_per_ml": self.suv_mean,
            "count_z": self.count_z,
            "centroid_l_mm": self.centroid_lps_mm[0],
            "centroid_p_mm": self.centroid_lps_mm[1],
            "centroid_s_mm": self.centroid_lps_mm[2],
        }


def removed_hot_spots(
    consistency: CountConsistency,
    low_count: np.ndarray,
    denoised: np.ndarray,
    grid: Grid,
    *,
    threshold: float = REMOVED_Z,
) -> tuple[RemovedHotSpot, ...]:
    """Return the hot spots that were removed, the surest first.

    `low_count`, `denoised`: the images (z, y, x), SUV, that `consistency` compares, on `grid`.

    A hot spot is a local maximum of low-count minus denoised regional means, in standard errors, that is at
    least `threshold`; hotter than its surroundings in the low-count image, and no longer in the denoised one.
    """
    z = -consistency.z_blocks
    peaks = _local_maxima(z, threshold)
    if not len(peaks):
        return ()
    before, after = consistency.regional_low_count, consistency.regional_denoised
    missing = before - after
    size = np.array(consistency.grid.spacing[::-1])
    spots, taken = [], []
    for peak in peaks:
        if any(np.sum(((peak - other) * size) ** 2) < _APART_MM**2 for other in taken):
            continue
        surroundings = _surroundings(consistency, peak, size)
        if surroundings is None or not _lost(before[tuple(peak)], after[tuple(peak)], surroundings):
            continue
        taken.append(peak)
        box, mask = _voxels(consistency, peak, missing)
        voxels = np.argwhere(mask) + [side.start for side in box]
        spots.append(
            RemovedHotSpot(
                centroid_lps_mm=index_to_lps(tuple(voxels.mean(axis=0)[::-1]), grid),
                volume_ml=len(voxels) * voxel_volume_ml(grid.spacing),
                low_count_suv_max=float(low_count[box][mask].max()),
                low_count_suv_mean=float(low_count[box][mask].mean(dtype=np.float64)),
                suv_max=float(denoised[box][mask].max()),
                suv_mean=float(denoised[box][mask].mean(dtype=np.float64)),
                count_z=-float(z[tuple(peak)]),
            )
        )
    return tuple(spots)


def removal_warning(spots: tuple[RemovedHotSpot, ...]) -> str:
    """Say in one sentence what was removed; empty where nothing was."""
    if not spots:
        return ""
    first = spots[0]
    where = ", ".join(f"{place:.0f}" for place in first.centroid_lps_mm)
    return (
        f"Of the low-count image, {'1 hot spot' if len(spots) == 1 else f'{len(spots)} hot spots'} cannot be "
        f"found in the denoised one; the surest has a mean SUV of {first.low_count_suv_mean:.1f} in the "
        f"low-count image and of {first.suv_mean:.1f} in the denoised one, at ({where}) mm (LPS). Look at "
        "the low-count image there."
    )


def _local_maxima(z: np.ndarray, threshold: float) -> np.ndarray:
    """Indices of blocks of at least `threshold` that none of the 26 neighbours exceeds, highest first."""
    found = np.argwhere(z >= threshold)
    padded = np.pad(z, 1, constant_values=-np.inf)
    highest = [padded[a : a + 3, b : b + 3, c : c + 3].max() <= z[a, b, c] for a, b, c in found]
    peaks = found[np.array(highest, bool)]
    return peaks[np.argsort(-z[tuple(peaks.T)], kind="stable")]


def _surroundings(consistency: CountConsistency, peak: np.ndarray, size: np.ndarray) -> float | None:
    """Mean of the denoised image 14 to 24 mm around a block; None where that is outside the body."""
    nearest, farthest = SURROUNDINGS_MM
    reach = (farthest / size).astype(int)
    box = tuple(
        slice(max(0, p - r), min(n, p + r + 1))
        for p, r, n in zip(peak, reach, consistency.body.shape, strict=True)
    )
    axes = [(np.arange(side.start, side.stop) - p) * s for side, p, s in zip(box, peak, size, strict=True)]
    away = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2
    ring = (away >= nearest**2) & (away <= farthest**2) & consistency.body[box]
    return float(consistency.denoised[box][ring].mean()) if ring.any() else None


def _lost(low_count: float, denoised: float, surroundings: float) -> bool:
    excess = low_count - surroundings
    return (
        low_count >= max(LEAST_SUV, HOTTER_THAN_SURROUNDINGS * surroundings)
        and denoised - surroundings <= LOST_SHARE * excess
    )


def _voxels(consistency: CountConsistency, peak: np.ndarray, missing: np.ndarray) -> tuple[Box, np.ndarray]:
    """The hot spot around a peak: connected blocks where half of what is missing at the peak is missing.

    Returns a box of the image and the mask of the voxels in it.
    """
    reach = (SURROUNDINGS_MM[0] / np.array(consistency.grid.spacing[::-1])).astype(int)
    blocks = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(peak, reach, strict=True))
    seed = np.zeros(missing[blocks].shape, bool)
    seed[tuple(p - side.start for p, side in zip(peak, blocks, strict=True))] = True
    region = connected_to(seed, (missing[blocks] >= 0.5 * missing[tuple(peak)]) & consistency.body[blocks])
    box, sides = [], zip(blocks, consistency.grid.factors, consistency.grid.image_shape, strict=True)
    for axis, (side, factor, n) in enumerate(sides):
        box.append(slice(side.start * factor, min(n, (side.start + region.shape[axis]) * factor)))
        region = np.repeat(region, factor, axis=axis)
        region = region[(slice(None),) * axis + (slice(box[-1].stop - box[-1].start),)]
    return tuple(box), region
