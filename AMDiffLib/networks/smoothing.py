"""A Gaussian filter in torch, for what the denoiser is given beside the scan."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

_FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_RADIUS_IN_SIGMAS = 3.0


def gaussian(image: Tensor, fwhm_voxels: float) -> Tensor:
    """Return `image` (B, 1, D, H, W) filtered with an isotropic Gaussian; edge voxels go on beyond the edge.

    Always in the image's own precision: half precision would round away small counts.
    """
    sigma = fwhm_voxels / _FWHM_PER_SIGMA
    radius = max(1, math.ceil(_RADIUS_IN_SIGMAS * sigma))
    offsets = torch.arange(-radius, radius + 1, device=image.device, dtype=image.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    with torch.autocast(device_type=image.device.type, enabled=False):
        for axis in range(3):
            shape, padding = [1] * 5, [0] * 6
            shape[2 + axis] = len(kernel)
            padding[2 * (2 - axis)] = padding[2 * (2 - axis) + 1] = radius
            padded = functional.pad(image, padding, mode="replicate")
            image = functional.conv3d(padded, kernel.view(shape))
    return image
