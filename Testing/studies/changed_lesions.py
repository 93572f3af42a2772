"""Denoised images with a lesion too many or one too few, for what checks them against the counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

PSF_FWHM_MM = 6.0
APART_MM = 50.0
_ERASED_MARGIN_MM = 8.0
_FILL_FWHM_MM = 24.0


@dataclass(frozen=True, kw_only=True)
class AddedLesion:
    """A sphere of `diameter_mm` under the scanner's resolution, `ratio` times the SUV that was there.

    `mask` is where it has half of its height or more, (z, y, x) bool on the image.
    """

    diameter_mm: float
    ratio: float
    mask: np.ndarray


def places(
    allowed: np.ndarray, spacing: tuple[float, float, float], count: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Return up to `count` random voxels of `allowed` (z, y, x) that lie 50 mm apart."""
    candidates = np.argwhere(allowed)
    chosen: list[np.ndarray] = []
    for place in candidates[rng.permutation(len(candidates))[: 100 * count]]:
        away = [np.linalg.norm((place - other) * spacing[::-1]) for other in chosen]
        if min(away, default=np.inf) >= APART_MM:
            chosen.append(place)
        if len(chosen) == count:
            break
    return chosen


def with_added_lesion(
    denoised: np.ndarray,
    spacing: tuple[float, float, float],
    place: np.ndarray,
    *,
    diameter_mm: float,
    ratio: float,
) -> tuple[np.ndarray, AddedLesion]:
    """Return the image with a lesion painted at `place` (z, y, x), and the lesion."""
    size = np.array(spacing[::-1])
    reach = np.ceil((diameter_mm / 2 + PSF_FWHM_MM) / size).astype(int)
    box = tuple(slice(max(0, p - r), p + r + 1) for p, r in zip(place, reach, strict=True))
    box = tuple(slice(side.start, min(side.stop, n)) for side, n in zip(box, denoised.shape, strict=True))
    axes = np.meshgrid(
        *[(np.arange(s.start, s.stop) - p) * d for s, p, d in zip(box, place, size, strict=True)],
        indexing="ij",
    )
    edge = 0.5 + (diameter_mm / 2 - np.sqrt(sum(axis**2 for axis in axes))) / size.mean()
    sphere = ndimage.gaussian_filter(edge.clip(0.0, 1.0), PSF_FWHM_MM / 2.355 / size, mode="constant")
    local = float(denoised[box].mean())
    changed = denoised.copy()
    # `ratio` is that of the lesion itself: a small one loses height to the resolution, as a real one does.
    changed[box] += ((ratio - 1.0) * local * sphere).astype(np.float32)
    mask = np.zeros(denoised.shape, bool)
    mask[box] = sphere >= 0.5 * sphere.max()
    return changed, AddedLesion(diameter_mm=diameter_mm, ratio=ratio, mask=mask)


def with_erased_lesions(
    denoised: np.ndarray, spacing: tuple[float, float, float], lesions: np.ndarray
) -> np.ndarray:
    """Return the image with `lesions` (bool) and 8 mm around them filled from their surroundings."""
    size = spacing[::-1]
    distance = ndimage.distance_transform_edt(~lesions, sampling=size)
    gone = distance <= _ERASED_MARGIN_MM
    kept = (~gone & (denoised > 0)).astype(np.float32)
    sigma = [_FILL_FWHM_MM / 2.355 / step for step in size]
    weight = ndimage.gaussian_filter(kept, sigma)
    fill = ndimage.gaussian_filter(denoised * kept, sigma) / np.maximum(weight, 1e-6)
    return np.where(gone & (denoised > 0), fill, denoised).astype(np.float32)
