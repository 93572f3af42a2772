"""The NEMA NU 2 image-quality phantom and its analysis."""

import math

import pytest
import torch
from scipy import integrate

from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.nema_image_quality import BACKGROUND_CENTRES_MM, analyse_image_quality
from AMDiffLib.simulation.blur import FWHM_PER_SIGMA, gaussian_blur
from AMDiffLib.simulation.nema import (
    COLD_SPHERES_UNTIL_2012,
    SPHERES_MM,
    depth_in_body,
    make_nema_phantom,
    sphere_centre,
    sphere_plane_mm,
)

SPACING = (2.0, 1.0, 1.0)


@pytest.fixture(scope="module")
def a_phantom():
    return make_nema_phantom(spacing_mm=SPACING, field_of_view_mm=320.0, sphere_wall_mm=0.0)


def analyse(suv, **options):
    return analyse_image_quality(suv, SPACING, sphere_plane_mm=sphere_plane_mm(4.0), **options)


def test_the_spheres_hold_their_volume_of_activity(a_phantom):
    voxel_ml = math.prod(SPACING) / 1000
    for number, diameter in enumerate(SPHERES_MM, start=1):
        x, y = sphere_centre(diameter)
        i, j = round(x + 159.5), round(y + 159.5)
        box = a_phantom.suv[:, j - 20 : j + 21, i - 20 : i + 21]
        plane = round(sphere_plane_mm(4.0) / 2)
        excess = float((box[plane - 12 : plane + 12] - 1).clamp_min(0).sum()) * voxel_ml / 3

        assert excess == pytest.approx(math.pi * diameter**3 / 6000, rel=0.02), diameter
        assert number in a_phantom.lesions


def test_the_body_has_the_area_of_the_standard(a_phantom):
    # Half a circle of 147 mm, and two quarters of 77 mm beside a flat of 140 mm.
    area = math.pi * 147**2 / 2 + math.pi * 77**2 / 2 + 140 * 77
    water = a_phantom.suv[20].sum()

    assert float(water) == pytest.approx(area - math.pi * 25**2, rel=1e-3)


def test_background_regions_keep_the_distances_of_the_standard():
    x, y = torch.tensor(BACKGROUND_CENTRES_MM, dtype=torch.float32).T
    assert (depth_in_body(x, y) >= 37 / 2 + 15).all()
    for diameter in SPHERES_MM:
        a, b = sphere_centre(diameter)
        assert (torch.hypot(x - a, y - b) - 37 / 2 - diameter / 2 >= 15).all()
    assert (torch.hypot(x, y) - 37 / 2 - 25 >= 15).all()


def test_a_perfect_image_recovers_everything(a_phantom):
    found = analyse(a_phantom.suv)

    for diameter, recovery in found.contrast_recovery.items():
        assert recovery == pytest.approx(_sharp_recovery(diameter), abs=70 / diameter)
        assert recovery <= _sharp_recovery(diameter)
    assert found.lung_residual == pytest.approx(0, abs=1e-6)
    assert max(found.background_variability.values()) < 1e-3


def test_cold_spheres_are_empty_in_a_perfect_image():
    cold = make_nema_phantom(
        spacing_mm=SPACING, field_of_view_mm=320.0, sphere_wall_mm=0.0, cold_mm=COLD_SPHERES_UNTIL_2012
    )
    found = analyse(cold.suv, cold_mm=COLD_SPHERES_UNTIL_2012)

    for diameter in COLD_SPHERES_UNTIL_2012:
        recovery = found.contrast_recovery[diameter]
        assert recovery == pytest.approx(_sharp_recovery(diameter), abs=70 / diameter)


def test_a_blurred_sphere_recovers_what_the_convolution_says(a_phantom):
    fwhm = 6.0
    blurred = gaussian_blur(a_phantom.suv, fwhm, SPACING)
    found = analyse(blurred).contrast_recovery

    for diameter in SPHERES_MM:
        assert found[diameter] == pytest.approx(_recovery(diameter, fwhm), abs=2.0), diameter


def _sharp_recovery(diameter: float) -> float:
    """Percent of the circle's cylinder that the sphere fills in the 2 mm above its centre: 1 - h^2 / (3 R^2).

    Pixels of 1 mm blur the circle's edge, which costs some more: in proportion to circumference over area.
    """
    return 100 * (1 - 2.0**2 / (3 * (diameter / 2) ** 2))


def _recovery(diameter: float, fwhm: float) -> float:
    """Mean, in percent, over the middle 2 mm of a sphere convolved with a Gaussian, in closed form."""
    radius, sigma = diameter / 2, fwhm / FWHM_PER_SIGMA
    root = math.sqrt(2) * sigma

    def value(r):
        r = max(r, 1e-6)
        edge = math.exp(-((r - radius) ** 2) / root**2) - math.exp(-((r + radius) ** 2) / root**2)
        bulk = math.erf((r + radius) / root) - math.erf((r - radius) / root)
        return bulk / 2 - sigma / (r * math.sqrt(2 * math.pi)) * edge

    def ring(height, rho):
        return rho * value(math.hypot(rho, height))

    total, _ = integrate.dblquad(ring, 0, radius, 0, 2.0, epsabs=1e-4)
    return 100 * total / 2.0 * 2 / radius**2


def test_what_is_not_there_is_said():
    with pytest.raises(BadInput, match="no sphere of"):
        make_nema_phantom(cold_mm=(30,))
    with pytest.raises(BadInput, match="does not hold"):
        make_nema_phantom(field_of_view_mm=200.0)
    with pytest.raises(BadInput, match="scan the whole phantom"):
        analyse(torch.ones(20, 320, 320))
