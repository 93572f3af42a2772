"""From a phantom to counts: attenuated projections, scatter, randoms, Poisson noise, binomial thinning."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.background import BackgroundErrors, draw_errors, randoms, scatter
from AMDiffLib.simulation.blur import FWHM_PER_SIGMA, blur_axis, gaussian_blur
from AMDiffLib.simulation.phantom import Phantom
from AMDiffLib.simulation.projector import ScanGeometry
from AMDiffLib.simulation.scanner import Scanner

F18_HALF_LIFE_MINUTES = 109.77
_SLICES_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One scan; sinograms are (angles * bins, slices), all at 100 % but for `counts`.

    `expected` is the mean of the prompts that are counted. `sensitivity` turns projections of SUV (g/mL mm)
    into expected trues, as the reconstruction models it: with the attenuation of its own grid;
    `unattenuated` is the same factor without attenuation. `scatter` (as `expected`) and `randoms` (1, slices)
    are the scanner's estimates, which are not quite the truth. `counts[level]` are nested: each level's
    events are a subset of every higher level's. Time of flight is a gain in counts: the scanner would have
    recorded 1 / `tof_gain` of them.
    """

    geometry: ScanGeometry
    expected: torch.Tensor
    sensitivity: torch.Tensor
    unattenuated: float
    scatter: torch.Tensor
    randoms: torch.Tensor
    counts: dict[float, torch.Tensor]
    tof_gain: float

    @property
    def slices(self) -> int:
        """Number of reconstructed slices."""
        return self.expected.shape[1]

    def effective_counts(self, level_percent: float) -> int:
        """Return the events counted at a level, in which time of flight is a gain."""
        return int(self.counts[level_percent].sum(dtype=torch.float64))

    def prompts(self, level_percent: float) -> int:
        """Return the prompts that the scanner itself would have recorded at a level."""
        return round(self.effective_counts(level_percent) / self.tof_gain)


def counts_per_projected_suv(
    scanner: Scanner, geometry: ScanGeometry, *, injected_mbq: float, weight_kg: float
) -> float:
    """Return the expected unattenuated trues per bin, at 100 %, for one unit (g/mL mm) of projected SUV.

    Decay runs from injection through the scan. All activity stays in the body.
    """
    decay_rate = math.log(2) / F18_HALF_LIFE_MINUTES
    decay = math.exp(-decay_rate * scanner.uptake_minutes)
    decay *= -math.expm1(-decay_rate * scanner.minutes) / (decay_rate * scanner.minutes)
    bq_per_ml = injected_mbq * 1e6 * decay / (weight_kg * 1e3)
    ml_per_mm = geometry.bin_mm * geometry.slice_mm / 1e3
    events_per_decay = scanner.sensitivity * scanner.tof_gain / geometry.angles
    return bq_per_ml * ml_per_mm * events_per_decay * scanner.minutes * 60


def acquire(
    phantom: Phantom,
    scanner: Scanner,
    *,
    levels_percent: Sequence[float],
    seed: int | Sequence[int],
    injected_mbq: float | None = None,
    errors: BackgroundErrors | None = None,
) -> Measurement:
    """Scan `phantom` for a reconstruction on voxels twice the phantom's, on the phantom's device.

    Levels are percent of the scan's duration: thinning stands for a shorter scan, not for a lower dose.
    `injected_mbq` defaults to the scanner's mean; `errors` of the background estimates are drawn from `seed`
    unless given. The same seed gives the same counts on the same kind of device.

    Raises:
        BadInput: the phantom's grid cannot be halved.
    """
    injected_mbq = scanner.injected_mbq if injected_mbq is None else injected_mbq
    geometry = _geometry(phantom, scanner)
    rng = np.random.default_rng(seed)
    errors = errors or draw_errors(scanner, rng)
    scale = counts_per_projected_suv(
        scanner, geometry, injected_mbq=injected_mbq, weight_kg=phantom.weight_kg
    )
    trues, survival = _attenuated_projections(phantom, scanner, geometry)
    trues *= scale
    measured = scatter(trues, geometry, scanner)
    estimate = scatter(trues, geometry, scanner, scale=errors.scatter_scale, width=errors.scatter_width)
    measured += randoms(trues, geometry, scanner, injected_mbq=injected_mbq)
    measured += trues
    measurement = Measurement(
        geometry=geometry,
        expected=measured,
        sensitivity=survival.mul_(scale),
        unattenuated=scale,
        scatter=estimate,
        randoms=randoms(
            trues,
            geometry,
            scanner,
            injected_mbq=injected_mbq,
            scale=errors.randoms_scale,
            width=errors.randoms_width,
        ),
        counts={},
        tof_gain=scanner.tof_gain,
    )
    return counted(measurement, levels_percent=levels_percent, seed=int(rng.integers(2**62)))


def counted(measurement: Measurement, *, levels_percent: Sequence[float], seed: int) -> Measurement:
    """Return `measurement` with counts drawn anew: one more noise realisation of the same scan."""
    generator = torch.Generator(measurement.expected.device).manual_seed(seed)
    counts, previous, previous_level = {}, None, None
    for level in sorted({float(level) for level in levels_percent}, reverse=True):
        if previous is None:
            previous = torch.poisson(measurement.expected * (level / 100), generator=generator)
        else:
            share = torch.full_like(previous, level / previous_level)
            previous = torch.binomial(previous, share, generator=generator)
        counts[level], previous_level = previous, level
    return replace(measurement, counts=counts)


def _geometry(phantom: Phantom, scanner: Scanner) -> ScanGeometry:
    depth, height, width = phantom.suv.shape
    if depth % 2 or height % 2 or height != width:
        raise BadInput(
            f"The phantom has {depth} x {height} x {width} voxels. Data are made on a grid of half the "
            "reconstruction's voxel, so all three must be even, and the last two equal."
        )
    return scanner.geometry(height // 2, tuple(2 * spacing for spacing in phantom.spacing_mm))


def _attenuated_projections(
    phantom: Phantom, scanner: Scanner, geometry: ScanGeometry
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return attenuated projections of SUV (g/mL mm), and survival as the reconstruction sees it.

    Projections are made on the phantom's grid slice by slice, blurred by the scanner's resolution, and the
    two fine slices of a reconstructed one averaged. The reconstruction knows attenuation on its own grid.
    """
    device = phantom.suv.device
    fine, coarse = geometry.data_projector(device), geometry.projector(device)
    depth = phantom.suv.shape[0] // 2
    axial, transaxial = scanner.blur_mm
    halo = math.ceil(5 * axial / FWHM_PER_SIGMA / phantom.spacing_mm[0])
    trues = torch.empty(geometry.rows, depth, device=device)
    survival = torch.empty_like(trues)
    by_angle = survival.unflatten(0, (geometry.angles, geometry.bins))
    for start in range(0, depth, _SLICES_AT_ONCE):
        block = slice(start, min(start + _SLICES_AT_ONCE, depth))
        first, last = 2 * block.start, 2 * block.stop
        outer = slice(max(first - halo, 0), last + halo)
        blurred = blur_axis(phantom.suv[outer], 0, fwhm_voxels=axial / phantom.spacing_mm[0])
        blurred = blurred[first - outer.start :][: last - first]
        blurred = gaussian_blur(blurred, (0.0, transaxial, transaxial), phantom.spacing_mm)
        attenuation = phantom.attenuation[first:last]
        survives = torch.exp(fine.forward(_columns(attenuation)).div_(-10))
        attenuated = fine.forward(_columns(blurred)).mul_(survives)
        trues[:, block] = attenuated.reshape(geometry.rows, -1, 2).mean(dim=2)
        size = geometry.image_size
        on_coarse_grid = attenuation.reshape(-1, 2, size, 2, size, 2).mean(dim=(1, 3, 5))
        attenuation = _columns(on_coarse_grid)
        for subset in range(scanner.subsets):  # the reconstruction's own matrices, so that none is made twice
            projected = coarse.forward(attenuation, subset=subset, subsets=scanner.subsets).div_(-10).exp_()
            by_angle[subset :: scanner.subsets, :, block] = projected.unflatten(0, (-1, geometry.bins))
    return trues, survival


def _columns(volume: torch.Tensor) -> torch.Tensor:
    return volume.reshape(volume.shape[0], -1).T.contiguous()
