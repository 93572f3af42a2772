"""From a phantom to counts: attenuated projections, scatter, randoms, Poisson noise, binomial thinning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.projector import StripProjector
from AMDiffLib.simulation.scanner import Scanner

F18_HALF_LIFE_MINUTES = 109.77


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """Expected and counted coincidences; sinograms are (angles * bins, slices).

    `sensitivity` turns projections of SUV (g/mL mm) into expected trues at 100 % counts. `background` is the
    estimate of scatter and randoms at 100 % that a scanner would have, which is not quite the truth.
    `counts[level]` are nested: each level's events are a subset of every higher level's.
    """

    sensitivity: torch.Tensor
    background: torch.Tensor
    counts: dict[float, torch.Tensor]


def counts_per_projected_suv(
    scanner: Scanner, *, injected_mbq: float, weight_kg: float, angles: int, voxel_mm: float
):
    """Return the expected unattenuated trues per bin, at 100 %, for one unit (g/mL mm) of projected SUV."""
    decay = 0.5 ** (scanner.uptake_minutes / F18_HALF_LIFE_MINUTES)
    bq_per_ml = injected_mbq * 1e6 * decay / (weight_kg * 1e3)
    events_per_voxel = (
        bq_per_ml * (voxel_mm / 10) ** 3 * scanner.sensitivity * scanner.tof_gain * scanner.minutes * 60
    )
    return events_per_voxel / (angles * voxel_mm)


def acquire(
    suv: torch.Tensor,
    attenuation: torch.Tensor,
    projector: StripProjector,
    scanner: Scanner,
    *,
    injected_mbq: float,
    weight_kg: float,
    levels_percent: Sequence[float],
    generator: torch.Generator,
    background_error: float = 0.03,
) -> Measurement:
    """Simulate a scan of `suv` (D, H, W), g/mL, behind `attenuation` (D, H, W), 1/cm.

    Levels are percent of the scan's duration: thinning stands for a shorter scan, not for a lower dose.
    """
    voxel_mm, depth = projector.pixel_mm, suv.shape[0]
    blurred = gaussian_blur(suv, scanner.resolution_mm, voxel_mm)

    def columns(volume: torch.Tensor) -> torch.Tensor:
        return volume.reshape(depth, -1).T.contiguous()

    survival = torch.exp(-projector.forward(columns(attenuation)) / 10)
    scale = counts_per_projected_suv(
        scanner, injected_mbq=injected_mbq, weight_kg=weight_kg, angles=projector.angles, voxel_mm=voxel_mm
    )
    sensitivity = survival * scale
    trues = projector.forward(columns(blurred)) * sensitivity
    scatter = _scatter(trues, projector, voxel_mm) * (
        scanner.scatter_fraction / (1 - scanner.scatter_fraction)
    )
    randoms = trues.mean(dim=0, keepdim=True).expand_as(trues) * scanner.randoms_to_trues
    expected = trues + scatter + randoms

    highest = max(levels_percent)
    counts, previous, previous_level = {}, None, None
    for level in sorted(levels_percent, reverse=True):
        if previous is None:
            previous = torch.poisson(expected * (highest / 100), generator=generator)
        else:
            share = torch.full_like(previous, level / previous_level)
            previous = torch.binomial(previous, share, generator=generator)
        counts[level], previous_level = previous, level

    error = 1 + background_error * torch.randn(2, generator=generator, device="cpu").to(suv.device)
    return Measurement(
        sensitivity=sensitivity, background=scatter * error[0] + randoms * error[1], counts=counts
    )


def _scatter(trues: torch.Tensor, projector: StripProjector, voxel_mm: float) -> torch.Tensor:
    """Return single scatter's usual shape, a broad blur of the trues, of the same total."""
    sinogram = trues.T.reshape(-1, projector.angles, projector.bins).movedim(1, 0)
    # (angles, slices, bins): the blur runs along slices and bins only.
    blurred = gaussian_blur(sinogram, (0.0, 60.0, 180.0), voxel_mm)
    scatter = blurred.movedim(0, 1).reshape(trues.shape[1], -1).T
    return scatter * (trues.sum() / scatter.sum().clamp_min(1e-6))
