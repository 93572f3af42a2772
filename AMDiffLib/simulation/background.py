"""Scatter and randoms: what is measured, and the scanner's imperfect estimate of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.projector import ScanGeometry
from AMDiffLib.simulation.scanner import Scanner

_SCATTER_RADIAL_MM = 180.0


@dataclass(frozen=True, kw_only=True)
class BackgroundErrors:
    """Factors by which the estimates of one patient differ from the truth, in amount and in width."""

    scatter_scale: float = 1.0
    scatter_width: float = 1.0
    randoms_scale: float = 1.0
    randoms_width: float = 1.0


NO_ERRORS = BackgroundErrors()


def draw_errors(scanner: Scanner, rng: np.random.Generator) -> BackgroundErrors:
    """Draw one patient's errors with the scanner's standard deviations."""
    return BackgroundErrors(
        scatter_scale=float(np.clip(rng.normal(1, scanner.scatter_scale_error), 0.5, 1.5)),
        scatter_width=float(np.exp(rng.normal(0, scanner.scatter_width_error))),
        randoms_scale=float(np.clip(rng.normal(1, scanner.randoms_scale_error), 0.5, 1.5)),
        randoms_width=float(np.exp(rng.normal(0, scanner.randoms_width_error))),
    )


def scatter(
    trues: torch.Tensor, geometry: ScanGeometry, scanner: Scanner, *, scale: float = 1.0, width: float = 1.0
) -> torch.Tensor:
    """Return scatter of the scanner's fraction of `trues` (rows, slices): a broad blur of the trues.

    `width` widens the blur, `scale` the amount; both are 1 for the scatter that is measured.
    """
    sinogram = trues.reshape(geometry.angles, geometry.bins, -1).movedim(-1, 1)
    widths = (0.0, scanner.scatter_axial_mm * width, _SCATTER_RADIAL_MM * width)
    blurred = gaussian_blur(sinogram, widths, (1.0, geometry.slice_mm, geometry.bin_mm))
    ratio = scanner.scatter_fraction / (1 - scanner.scatter_fraction)
    amount = scale * ratio * _total(trues) / max(_total(blurred), 1e-9)
    return blurred.movedim(1, -1).reshape(trues.shape).mul_(amount)


def randoms(
    trues: torch.Tensor,
    geometry: ScanGeometry,
    scanner: Scanner,
    *,
    injected_mbq: float,
    scale: float = 1.0,
    width: float = 1.0,
) -> torch.Tensor:
    """Return randoms (1, slices) per bin of each slice; all bins of a slice have the same.

    Their axial profile is that of the trues within reach of the axial field of view. The ratio to the trues
    is proportional to the injected activity.
    """
    profile = trues.mean(dim=0).double()
    reach = scanner.axial_field_mm / 2 * width
    spread = gaussian_blur(profile[None, None].float(), (0.0, 0.0, reach), (1.0, 1.0, geometry.slice_mm))
    spread = spread[0].double()
    ratio = scale * scanner.randoms_to_trues * injected_mbq / scanner.injected_mbq
    return (spread * (ratio * profile.sum() / spread.sum().clamp_min(1e-12))).float()


def _total(tensor: torch.Tensor) -> float:
    return float(tensor.sum(dtype=torch.float64))
