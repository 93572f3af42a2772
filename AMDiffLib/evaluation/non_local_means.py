"""Non-local means, the filter without training that keeps edges: scikit-image's, set up for PET.

SimpleITK's PatchBasedDenoising takes minutes a volume; scikit-image's is maintained, works in 3D and takes
seconds with the integral images of Darbon et al. (2008).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AMDiffLib.evaluation.cases import body_region

STRENGTHS = (0.3, 0.6, 0.9, 1.2, 1.6)
"""Filter strengths h that are tried, in standard deviations of the noise."""

_PATCH, _SEARCH = 3, 2  # voxels: patches of 3^3, compared within 5^3
_MARGIN = 4
_SD_PER_MEDIAN = 1.4826  # of a normal distribution: standard deviation over median absolute deviation


def non_local_means(suv: np.ndarray, spacing: Sequence[float], strength: float) -> np.ndarray:
    """Filter the body's bounding box; the air around it, as in the model's output, becomes 0.

    The square root of the image is filtered, whose noise is even, and the sum of all SUV is brought back to
    what it was: roots averaged and squared again would lose counts.

    Args:
        suv: (z, y, x) SUVbw.
        spacing: (x, y, z) in mm.
        strength: h over the standard deviation of the noise.

    Returns:
        (z, y, x) float32.
    """
    from skimage.restoration import denoise_nl_means

    body = body_region(suv, tuple(float(size) for size in spacing))
    filtered = np.zeros(suv.shape, np.float32)
    if not body.any():
        return filtered
    box = tuple(
        slice(max(0, int(places.min()) - _MARGIN), int(places.max()) + _MARGIN + 1)
        for places in np.nonzero(body)
    )
    root = np.sqrt(np.maximum(suv[box], 0.0)).astype(np.float32)
    sd = _noise_sd(root, body[box])
    smooth = denoise_nl_means(
        root,
        patch_size=_PATCH,
        patch_distance=_SEARCH,
        h=strength * sd,
        sigma=sd,
        fast_mode=True,
        preserve_range=True,
    )
    filtered[box] = smooth * smooth
    kept = filtered.sum(dtype=np.float64)
    return filtered * np.float32(suv[box].sum(dtype=np.float64) / kept) if kept > 0 else filtered


def _noise_sd(image: np.ndarray, body: np.ndarray) -> float:
    """Standard deviation of the noise in the body, from how voxels differ from their two neighbours' mean."""
    inner = body[..., 1:-1]
    rough = (image[..., 1:-1] - 0.5 * (image[..., :-2] + image[..., 2:]))[inner]
    # The variance of x_0 - (x_-1 + x_1) / 2 is 3/2 of a voxel's.
    sd = _SD_PER_MEDIAN * float(np.median(np.abs(rough))) / 1.5**0.5
    return max(sd, 1e-6)
