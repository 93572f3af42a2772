"""Counts and their reconstruction: means, variances, nesting and likelihood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from AMDiffLib.simulation.acquisition import acquire, counts_per_projected_suv
from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.projector import StripProjector
from AMDiffLib.simulation.reconstruction import osem
from AMDiffLib.simulation.scanner import SCANNERS

SIZE, VOXEL, SLICES = 48, 4.0, 12
LEVELS = (100.0, 20.0, 5.0)


@pytest.fixture(scope="module")
def cylinder() -> tuple[torch.Tensor, torch.Tensor]:
    offset = (np.arange(SIZE) - (SIZE - 1) / 2) * VOXEL
    y, x = np.meshgrid(offset, offset, indexing="ij")
    body = np.repeat(((x**2 + y**2) < 70**2)[None], SLICES, axis=0)
    return torch.from_numpy(2.0 * body).float(), torch.from_numpy(0.096 * body).float()


@pytest.fixture(scope="module")
def scan(cylinder):
    projector = StripProjector(SIZE, VOXEL, 42)
    measurement = acquire(
        *cylinder,
        projector,
        SCANNERS["mct"],
        injected_mbq=256,
        weight_kg=70,
        levels_percent=LEVELS,
        generator=torch.Generator().manual_seed(3),
        background_error=0.0,
    )
    return projector, measurement


def test_expected_trues_are_decays_times_sensitivity():
    # 1 SUV in one 4 mm voxel: dose decayed over 60 min / weight * 0.064 mL * sensitivity * gain * 300 s.
    scanner = SCANNERS["mct"]
    becquerel = 256e6 * 0.5 ** (60 / 109.77) / 70e3 * 0.064
    events = becquerel * 0.031 * 2.3 * 300
    per_bin = counts_per_projected_suv(scanner, injected_mbq=256, weight_kg=70, angles=42, voxel_mm=VOXEL)
    # A voxel's strip integrals sum to one voxel width per angle.
    assert per_bin * 42 * VOXEL == pytest.approx(events, rel=1e-9)


def test_lower_levels_are_contained_in_higher_ones(scan):
    counts = scan[1].counts
    for higher, lower in pairwise(LEVELS):
        assert bool((counts[lower] <= counts[higher]).all())
        assert float(counts[lower].sum() / counts[higher].sum()) == pytest.approx(lower / higher, rel=0.01)


def test_thinned_counts_stay_poisson(scan):
    _, measurement = scan
    rows = measurement.counts[5.0].reshape(42, SIZE, SLICES)[:, SIZE // 2]
    mean, variance = rows[:, 2:-2].mean(dim=1), rows[:, 2:-2].var(dim=1)
    assert float((variance / mean).mean()) == pytest.approx(1.0, abs=0.15)


def test_scatter_and_randoms_have_their_shares(cylinder):
    scanner = replace(SCANNERS["mct"], scatter_fraction=0.4, randoms_to_trues=0.5)
    projector = StripProjector(SIZE, VOXEL, 42)
    arguments = {"injected_mbq": 256, "weight_kg": 70, "levels_percent": (100.0,), "background_error": 0.0}
    generator = torch.Generator().manual_seed(0)
    measurement = acquire(*cylinder, projector, scanner, generator=generator, **arguments)
    blurred = gaussian_blur(cylinder[0], scanner.resolution_mm, VOXEL).reshape(SLICES, -1).T.contiguous()
    trues = float((projector.forward(blurred) * measurement.sensitivity).sum())
    assert float(measurement.background.sum()) / trues == pytest.approx(0.4 / 0.6 + 0.5, rel=1e-4)


def test_osem_recovers_the_cylinder(scan, cylinder):
    projector, measurement = scan
    image = osem(measurement, projector, levels_percent=(100.0,), iterations=4, subsets=6, filter_mm=5.0)[
        100.0
    ]
    offset = (np.arange(SIZE) - (SIZE - 1) / 2) * VOXEL
    y, x = np.meshgrid(offset, offset, indexing="ij")
    inside = torch.from_numpy(x**2 + y**2 < 50**2)
    assert float(image[2:-2, inside].mean()) == pytest.approx(2.0, rel=0.02)


def test_one_subset_raises_the_likelihood_at_every_iteration(scan):
    projector, measurement = scan
    counts = measurement.counts[20.0]
    likelihoods = []
    for iterations in range(1, 6):
        image = osem(
            measurement, projector, levels_percent=(20.0,), iterations=iterations, subsets=1, filter_mm=0.0
        )
        columns = image[20.0].reshape(SLICES, -1).T.contiguous()
        expected = 0.2 * (projector.forward(columns) * measurement.sensitivity + measurement.background)
        likelihoods.append(float((counts * expected.clamp_min(1e-9).log() - expected).double().sum()))
    assert all(np.diff(likelihoods) > 0)


def test_noise_falls_with_the_square_root_of_counts(scan):
    projector, measurement = scan
    images = osem(measurement, projector, levels_percent=LEVELS, iterations=2, subsets=6, filter_mm=5.0)
    centre = slice(SIZE // 2 - 8, SIZE // 2 + 8)
    noise = {level: float(images[level][2:-2, centre, centre].std()) for level in (100.0, 5.0)}
    assert noise[5.0] / noise[100.0] == pytest.approx(20**0.5, rel=0.25)


def test_gaussian_blur_has_the_width_it_says():
    impulse = torch.zeros(41, 41, 41)
    impulse[20, 20, 20] = 1.0
    blurred = gaussian_blur(impulse, 12.0, 4.0)
    position = (torch.arange(41) - 20) * 4.0
    variance = (blurred.sum(dim=(1, 2)) * position**2).sum() / blurred.sum()
    assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(variance.sqrt()) * 2.3548 == pytest.approx(12.0, rel=0.02)
