"""The noise read off a liver-like region against noise that was put in, and against a simulated liver."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from AMDiffLib.description.noise import estimate_noise
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.volume import PetVolume

LIVER_CENTRE_MM = (-45.0, 5.0, -20.0)


def a_torso(coefficient_of_variation: float, spacing=(4.0, 4.0, 3.0)) -> PetVolume:
    """Soft tissue of SUV 0.7 with liver, kidney, heart and brain; white noise relative to the SUV."""
    shape = tuple(round(length / step) for length, step in zip((640, 250, 340), spacing[::-1], strict=True))
    z, y, x = np.meshgrid(
        *((np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing[::-1], strict=True)),
        indexing="ij",
    )
    suv = np.where((x / 160) ** 2 + (y / 110) ** 2 < 1, 0.7, 0.0)

    def organ(centre, half_axes, value):
        inside = sum(((p - c) / a) ** 2 for p, c, a in zip((x, y, z), centre, half_axes, strict=True)) < 1
        suv[inside] = value

    organ(LIVER_CENTRE_MM, (75, 60, 65), 2.2)
    organ((70, 30, -60), (28, 28, 50), 3.5)
    organ((20, -30, 90), (40, 40, 40), 2.4)
    organ((0, 0, 270), (70, 85, 60), 8.0)
    noisy = suv * (1.0 + coefficient_of_variation * np.random.default_rng(2).standard_normal(shape))
    return PetVolume(
        suv=noisy.astype(np.float32),
        spacing=spacing,
        origin=tuple(-(n - 1) / 2 * step for n, step in zip(shape[::-1], spacing, strict=True)),
        direction=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


@pytest.mark.parametrize("noise", [0.05, 0.15, 0.40])
@pytest.mark.parametrize("spacing", [(4.0, 4.0, 3.0), (2.0, 2.0, 2.0)])
def test_the_noise_that_was_put_in_is_found_in_the_liver(noise, spacing):
    estimate = estimate_noise(a_torso(noise, spacing))
    # The standard error of a standard deviation from n voxels is 1 / sqrt(2 n) of it: three of them.
    tolerance = 3.0 * noise / np.sqrt(2.0 * estimate.voxels)
    assert estimate.coefficient_of_variation == pytest.approx(noise, abs=tolerance)
    assert estimate.mean_suv == pytest.approx(2.2, rel=0.05)
    from_centre = (np.array(estimate.centre_lps_mm) - LIVER_CENTRE_MM) / (75, 60, 65)
    assert np.linalg.norm(from_centre) < 0.75  # 15 mm and more within its surface


def test_a_sphere_of_15_mm_is_measured():
    estimate = estimate_noise(a_torso(0.1, spacing=(2.0, 2.0, 2.0)))
    assert estimate.voxels * 0.008 == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.03)


def test_a_scan_without_a_liver_has_no_estimate():
    torso = a_torso(0.1)
    legs = dataclasses.replace(torso, suv=np.ascontiguousarray(torso.suv[:60]))  # the lowest 18 cm
    assert estimate_noise(legs) is None


def test_where_the_patient_lies_does_not_matter():
    torso = a_torso(0.1)
    moved = dataclasses.replace(
        torso,
        suv=np.ascontiguousarray(torso.suv[::-1, :, ::-1]),
        direction=(-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, -1.0),
        origin=(-torso.origin[0], torso.origin[1], -torso.origin[2]),
    )
    there, here = estimate_noise(moved), estimate_noise(torso)
    assert there.coefficient_of_variation == pytest.approx(here.coefficient_of_variation, rel=0.3)
    assert np.linalg.norm(np.subtract(there.centre_lps_mm, LIVER_CENTRE_MM) / (75, 60, 65)) < 0.75


def test_the_real_scan_has_a_plausible_liver(pet_data):
    """Liver of 18F-FDG: SUV 1.5 to 3 (PERCIST: 2.2 +- 0.4), on the patient's right, noise of 5 to 20 %."""
    estimate = estimate_noise(read_pet(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image"))
    assert 1.5 < estimate.mean_suv < 3.0
    assert estimate.centre_lps_mm[0] < -20.0
    assert 0.05 < estimate.coefficient_of_variation < 0.20
