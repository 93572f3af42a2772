"""OSEM: likelihood, quantification, noise, resolution, missing corrections, several patients at once."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from cylinder import ATTENUATION, RADIUS_MM, SUV, a_cylinder, within

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.acquisition import Measurement, acquire, counted
from AMDiffLib.simulation.background import NO_ERRORS
from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.reconstruction import osem, osem_batch
from AMDiffLib.simulation.scanner import SCANNERS, Reconstruction

SPACING = (4.0, 4.0, 4.0)
MCT = replace(SCANNERS["mct"], angles=42)


@pytest.fixture(scope="module")
def scan() -> Measurement:
    return acquire(a_cylinder(), MCT, levels_percent=(100, 5), seed=3, errors=NO_ERRORS)


def noise_free(measurement: Measurement) -> Measurement:
    return replace(measurement, counts={100.0: measurement.expected})


@pytest.mark.parametrize("psf_mm", [0.0, 5.0])
def test_one_subset_raises_the_likelihood_at_every_iteration(scan, psf_mm):
    projector, counts = scan.geometry.projector("cpu"), scan.counts[5.0]
    likelihoods = []
    for iterations in range(1, 6):
        settings = Reconstruction(iterations=iterations, subsets=1, filter_mm=0.0, psf_mm=psf_mm)
        image = osem(scan, settings, levels_percent=(5,))[5.0]
        modelled = gaussian_blur(image, psf_mm, 4.0, beyond="zero")
        projected = projector.forward(modelled.reshape(12, -1).T.contiguous())
        mean = (0.05 * (projected * scan.sensitivity + scan.scatter + scan.randoms)).double()
        likelihoods.append(float((counts * mean.clamp_min(1e-9).log() - mean).sum()))
    assert all(np.diff(likelihoods) > 0)


def test_data_of_half_the_voxel_give_back_the_cylinder(scan):
    image = osem(scan, Reconstruction(iterations=4, subsets=6, filter_mm=5.0), levels_percent=(100,))[100.0]
    assert float(image[2:-2, within(50)].mean()) == pytest.approx(SUV, rel=0.02)


def test_noise_of_realisations_falls_with_the_square_root_of_counts(scan):
    settings = Reconstruction(iterations=2, subsets=6, filter_mm=5.0)
    noise = {}
    for level in (100.0, 5.0):
        images = [
            osem(counted(scan, levels_percent=(level,), seed=seed), settings)[level] for seed in range(5)
        ]
        noise[level] = float(torch.stack(images).var(dim=0)[2:-2, within(50)].mean().sqrt())
    assert noise[5.0] / noise[100.0] == pytest.approx(20**0.5, rel=0.1)


def test_without_corrections_the_depth_is_lost_to_attenuation(scan):
    settings = Reconstruction(iterations=4, subsets=6, filter_mm=5.0)
    image = osem(noise_free(scan), settings, attenuation_corrected=False)[100.0]
    centre = float(image[4:8, within(15)].mean()) / SUV
    rim = float(image[4:8, within(66) & ~within(60)].mean()) / SUV
    # Through the centre, all lines lose exp(-2 mu R); scatter that is left in adds about half as much.
    survival = math.exp(-2 * ATTENUATION * RADIUS_MM / 10)
    assert 0.8 * survival < centre < 2 * survival
    assert rim > 1.5 * centre


def test_modelling_the_resolution_recovers_a_small_hot_sphere():
    phantom = a_cylinder(slices=32)
    z, y, x = torch.meshgrid(*((torch.arange(n) - (n - 1) / 2) * 2.0 for n in (32, 96, 96)), indexing="ij")
    sphere = x**2 + y**2 + z**2 < 10**2
    phantom = replace(phantom, suv=phantom.suv + 6.0 * sphere)
    scanner = replace(MCT, resolution_mm=(8.0, 8.0))
    data = noise_free(acquire(phantom, scanner, levels_percent=(100,), seed=0, errors=NO_ERRORS))
    plain = Reconstruction(iterations=8, subsets=6, filter_mm=0.0)
    core = phantom.coarsened(2).suv > 7.9
    recovery = [
        (float(osem(data, settings)[100.0][core].mean()) - SUV) / 6.0
        for settings in (plain, replace(plain, psf_mm=8.0))
    ]
    assert recovery[0] < 0.85
    assert recovery[0] + 0.1 < recovery[1] < 1.2  # its known overshoot (Gibbs) stays small


def test_several_patients_at_once_are_as_each_alone(scan):
    short = acquire(a_cylinder(slices=14), MCT, levels_percent=(100, 5), seed=8)
    for psf_mm in (0.0, 4.0):
        protocols = [
            Reconstruction(iterations=2, subsets=6, filter_mm=width, psf_mm=psf_mm) for width in (5.0, 4.0)
        ]
        together = osem_batch([scan, short], protocols)
        for images, measurement, settings in zip(together, (scan, short), protocols, strict=True):
            alone = osem(measurement, settings)
            for level in (100.0, 5.0):
                assert images[level].shape == (measurement.slices, 48, 48)
                assert torch.allclose(images[level], alone[level], rtol=1e-4, atol=1e-5)


def test_patients_of_different_protocols_are_not_reconstructed_at_once(scan):
    protocols = [Reconstruction(iterations=i, subsets=6, filter_mm=5.0) for i in (1, 2)]
    with pytest.raises(BadInput, match="iterations"):
        osem_batch([scan, scan], protocols)


def test_axial_weights_filter_along_z(scan):
    plain = Reconstruction(iterations=1, subsets=6, filter_mm=0.0)
    image = osem(scan, plain)[5.0]
    smooth = osem(scan, replace(plain, axial_weights=(4.0, 1.0)))[5.0]
    by_hand = (4 * image[5] + image[4] + image[6]) / 6
    assert torch.allclose(smooth[5], by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", list(SCANNERS))
def test_every_preset_gives_back_the_cylinder(name):
    scanner = SCANNERS[name]
    measurement = acquire(a_cylinder(slices=12), scanner, levels_percent=(100,), seed=1, errors=NO_ERRORS)
    image = osem(measurement, scanner.reconstruction_on(SPACING))[100.0]
    assert float(image[:, within(45)].mean()) == pytest.approx(SUV, rel=0.03)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU here")
def test_a_gpu_gives_what_the_processor_gives(scan):
    phantom = a_cylinder()
    tensors = ("suv", "attenuation", "organs", "lesions", "structures")
    on_gpu = replace(phantom, **{name: getattr(phantom, name).cuda() for name in tensors})
    measurement = acquire(on_gpu, MCT, levels_percent=(100, 5), seed=3, errors=NO_ERRORS)
    assert torch.allclose(measurement.expected.cpu(), scan.expected, rtol=1e-4)
    assert bool((measurement.counts[5.0] <= measurement.counts[100.0]).all())
    settings = Reconstruction(iterations=2, subsets=6, filter_mm=5.0)
    images = [osem(noise_free(each), settings)[100.0].cpu() for each in (measurement, scan)]
    assert torch.allclose(images[0], images[1], rtol=1e-3, atol=1e-4)
