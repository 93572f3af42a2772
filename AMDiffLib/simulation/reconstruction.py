"""Ordered-subsets expectation maximisation (Hudson and Larkin 1994), attenuation and background modelled."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from AMDiffLib.simulation.acquisition import Measurement
from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.projector import StripProjector

_SLICES_AT_ONCE = 32


def osem(
    measurement: Measurement,
    projector: StripProjector,
    *,
    levels_percent: Sequence[float],
    iterations: int,
    subsets: int,
    filter_mm: float,
) -> dict[float, torch.Tensor]:
    """Reconstruct SUV volumes (D, H, W), g/mL, one per count level.

    All levels share each product with the matrix; slices go through in blocks that fit a processor's cache.
    """
    depth, size = measurement.sensitivity.shape[1], projector.size
    volumes = torch.empty(len(levels_percent), depth, size, size, device=measurement.sensitivity.device)
    for start in range(0, depth, _SLICES_AT_ONCE):
        block = slice(start, min(start + _SLICES_AT_ONCE, depth))
        image = _osem_block(measurement, projector, block, levels_percent, iterations, subsets)
        volumes[:, block] = image.T.reshape(len(levels_percent), -1, size, size)
    return {
        level: gaussian_blur(volume, filter_mm, projector.pixel_mm)
        for level, volume in zip(levels_percent, volumes, strict=True)
    }


def _osem_block(
    measurement: Measurement,
    projector: StripProjector,
    block: slice,
    levels_percent: Sequence[float],
    iterations: int,
    subsets: int,
) -> torch.Tensor:
    """Return the estimate (size * size, levels * slices) of one block of slices."""
    shares = torch.tensor([level / 100 for level in levels_percent], device=measurement.sensitivity.device)

    def by_subset(sinogram: torch.Tensor) -> list[torch.Tensor]:
        by_angle = sinogram[:, block].reshape(projector.angles, projector.bins, -1)
        return [by_angle[s::subsets].reshape(-1, by_angle.shape[-1]) for s in range(subsets)]

    def per_level(values: torch.Tensor) -> torch.Tensor:
        return (values[:, None, :] * shares[None, :, None]).flatten(1)

    factors = [per_level(part) for part in by_subset(measurement.sensitivity)]
    backgrounds = [per_level(part) for part in by_subset(measurement.background)]
    by_level = [by_subset(measurement.counts[level]) for level in levels_percent]
    counts = [torch.cat(parts, dim=1) for parts in zip(*by_level, strict=True)]
    norms = [projector.transpose(factor, subset=s, subsets=subsets) for s, factor in enumerate(factors)]

    image = torch.ones(projector.size**2, counts[0].shape[1], device=shares.device)
    for _ in range(iterations):
        for s in range(subsets):
            expected = (
                projector.forward(image, subset=s, subsets=subsets).mul_(factors[s]).add_(backgrounds[s])
            )
            ratio = (counts[s] / expected.clamp_min_(1e-9)).mul_(factors[s])
            update = projector.transpose(ratio, subset=s, subsets=subsets)
            image.mul_(update).div_(norms[s].clamp_min(1e-9)).masked_fill_(norms[s] <= 1e-9, 0.0)
    return image
