"""Ordered-subsets expectation maximisation (Hudson and Larkin 1994), attenuation and background modelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.acquisition import Measurement
from AMDiffLib.simulation.blur import blur_axis, gaussian_blur
from AMDiffLib.simulation.projector import ScanGeometry, StripProjector
from AMDiffLib.simulation.scanner import Reconstruction

_COLUMNS_AT_ONCE = {"cpu": 96, "cuda": 512}
_Piece = tuple[int, slice]


def osem(
    measurement: Measurement,
    settings: Reconstruction,
    *,
    levels_percent: Sequence[float] | None = None,
    attenuation_corrected: bool = True,
) -> dict[float, torch.Tensor]:
    """Reconstruct SUV volumes (D, H, W), g/mL, one per count level (default: all that were counted).

    With `attenuation_corrected` False neither attenuation nor scatter is corrected, only randoms.
    """
    return osem_batch(
        [measurement], [settings], levels_percent=levels_percent, attenuation_corrected=attenuation_corrected
    )[0]


def osem_batch(
    measurements: Sequence[Measurement],
    settings: Sequence[Reconstruction],
    *,
    levels_percent: Sequence[float] | None = None,
    attenuation_corrected: bool = True,
) -> list[dict[float, torch.Tensor]]:
    """Reconstruct several patients at once, as `osem` does each.

    Levels and patients share each product with the matrix. Slices go through in blocks, which on a processor
    fit its cache; where the resolution is modelled, which couples slices, a block is a patient.

    Raises:
        BadInput: the patients' geometries, iterations, subsets or resolution models differ.
    """
    geometry, protocol = measurements[0].geometry, replace(settings[0], filter_mm=0.0)
    if any(m.geometry != geometry for m in measurements) or any(
        replace(own, filter_mm=0.0) != protocol for own in settings
    ):
        raise BadInput(
            "Patients reconstructed together must share geometry, iterations, subsets and resolution model; "
            "only their post-filters may differ. Reconstruct these apart."
        )
    device = measurements[0].expected.device
    projector = geometry.projector(device)
    levels = [float(level) for level in levels_percent or measurements[0].counts]
    size = geometry.image_size
    volumes = [torch.empty(len(levels), m.slices, size, size, device=device) for m in measurements]
    at_once = None if protocol.psf_mm else max(_COLUMNS_AT_ONCE[device.type] // len(levels), 1)
    for pieces in _blocks([measurement.slices for measurement in measurements], at_once):
        image = _osem_block(measurements, pieces, projector, protocol, levels, attenuation_corrected)
        done = 0
        for index, span in pieces:
            part = image[:, :, done : done + span.stop - span.start]
            volumes[index][:, span] = part.permute(1, 2, 0).unflatten(2, (size, size))
            done += span.stop - span.start
    return [
        {level: _filtered(volume, own, geometry) for level, volume in zip(levels, patient, strict=True)}
        for patient, own in zip(volumes, settings, strict=True)
    ]


def _blocks(depths: Sequence[int], at_once: int | None) -> Iterator[list[_Piece]]:
    """Yield runs of slices of one or more patients, `at_once` in all; None: one whole patient each."""
    pieces: list[_Piece] = []
    room = at_once
    for index, depth in enumerate(depths):
        if at_once is None:
            yield [(index, slice(0, depth))]
            continue
        start = 0
        while start < depth:
            stop = min(start + room, depth)
            pieces.append((index, slice(start, stop)))
            room, start = room - (stop - start), stop
            if room == 0:
                yield pieces
                pieces, room = [], at_once
    if pieces:
        yield pieces


def _osem_block(
    measurements: Sequence[Measurement],
    pieces: Sequence[_Piece],
    projector: StripProjector,
    settings: Reconstruction,
    levels: Sequence[float],
    attenuation_corrected: bool,
) -> torch.Tensor:
    """Return the estimate (image_size ** 2, levels, slices) of one block of slices."""
    subsets, geometry = settings.subsets, measurements[0].geometry

    def gathered(part: Callable[[Measurement, slice], torch.Tensor]) -> list[torch.Tensor]:
        block = torch.cat([part(measurements[index], span) for index, span in pieces], dim=1)
        by_angle = block.reshape(geometry.angles, geometry.bins, -1)
        return [by_angle[s::subsets].reshape(-1, 1, by_angle.shape[-1]) for s in range(subsets)]

    if attenuation_corrected:
        factors = gathered(lambda m, span: m.sensitivity[:, span])
        backgrounds = gathered(lambda m, span: m.scatter[:, span] + m.randoms[:, span])
    else:
        factors = gathered(lambda m, span: torch.full_like(m.expected[:, span], m.unattenuated))
        backgrounds = gathered(lambda m, span: m.randoms[:, span].expand_as(m.expected[:, span]))
    by_level = [gathered(lambda m, span, level=level: m.counts[level][:, span]) for level in levels]
    # Counts are brought to 100 %, so that one model of the scan serves all levels.
    counts = [
        torch.cat([part * (100 / level) for part, level in zip(parts, levels, strict=True)], dim=1)
        for parts in zip(*by_level, strict=True)
    ]

    def modelled(image: torch.Tensor) -> torch.Tensor:
        return _resolution(image, settings.psf_mm, geometry) if settings.psf_mm else image

    def backprojected(sinogram: torch.Tensor, s: int) -> torch.Tensor:
        image = projector.transpose(sinogram.flatten(1), subset=s, subsets=subsets)
        return modelled(image.unflatten(1, sinogram.shape[1:]))

    norms = [backprojected(factor, s) for s, factor in enumerate(factors)]
    gains = [torch.where(norm > 1e-6 * norm.max(), 1 / norm, 0) for norm in norms]
    del norms
    image = torch.ones(geometry.image_size**2, *counts[0].shape[1:], device=counts[0].device)
    for _ in range(settings.iterations):
        for s in range(subsets):
            expected = projector.forward(modelled(image).flatten(1), subset=s, subsets=subsets)
            expected = expected.reshape(counts[s].shape).mul_(factors[s]).add_(backgrounds[s])
            ratio = (counts[s] / expected.clamp_min_(1e-9)).mul_(factors[s])
            image.mul_(backprojected(ratio, s)).mul_(gains[s])
    return image


def _resolution(image: torch.Tensor, psf_mm: float, geometry: ScanGeometry) -> torch.Tensor:
    """Blur an estimate (image_size ** 2, levels, slices) in 3D; zero-padded, the blur is its own adjoint."""
    volume = image.unflatten(0, (geometry.image_size, geometry.image_size))
    for axis, spacing in ((0, geometry.pixel_mm), (1, geometry.pixel_mm), (3, geometry.slice_mm)):
        volume = blur_axis(volume, axis, fwhm_voxels=psf_mm / spacing, beyond="zero")
    return volume.flatten(0, 1)


def _filtered(volume: torch.Tensor, settings: Reconstruction, geometry: ScanGeometry) -> torch.Tensor:
    spacing = (geometry.slice_mm, geometry.pixel_mm, geometry.pixel_mm)
    if settings.axial_weights is None:
        return gaussian_blur(volume, settings.filter_mm, spacing)
    across = gaussian_blur(volume, (0.0, settings.filter_mm, settings.filter_mm), spacing)
    centre, neighbour = settings.axial_weights
    below = torch.cat([across[:1], across[:-1]])
    above = torch.cat([across[1:], across[-1:]])
    return (centre * across + neighbour * (below + above)) / (centre + 2 * neighbour)
