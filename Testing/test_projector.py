"""The projector and its transpose, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AMDiffLib.simulation.blur import gaussian_blur
from AMDiffLib.simulation.projector import ScanGeometry, StripProjector


@pytest.fixture(scope="module")
def projector() -> StripProjector:
    return StripProjector(64, 4.0, 60)


@pytest.fixture(scope="module")
def data_projector() -> StripProjector:
    """2 mm pixels on 4 mm bins."""
    geometry = ScanGeometry(image_size=32, pixel_mm=4.0, slice_mm=4.0, angles=30, bins=32, bin_mm=4.0)
    return geometry.data_projector("cpu")


def disc(
    size: int, pixel_mm: float, radius_mm: float, centre: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Share of each pixel inside a disc, by 8 x 8 samples a pixel."""
    fine = (np.arange(size * 8) + 0.5) / 8 * pixel_mm - size * pixel_mm / 2
    y, x = np.meshgrid(fine, fine, indexing="ij")
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius_mm**2
    return inside.reshape(size, 8, size, 8).mean(axis=(1, 3)).astype(np.float32)


def chords(radius_mm: float, *, bins: int, bin_mm: float) -> np.ndarray:
    """Mean over each bin of the chord 2 sqrt(R^2 - s^2) of a centred disc."""
    edges = (np.arange(bins + 1) - bins / 2) * bin_mm
    s = np.clip(edges, -radius_mm, radius_mm)
    return np.diff(s * np.sqrt(radius_mm**2 - s**2) + radius_mm**2 * np.arcsin(s / radius_mm)) / bin_mm


@pytest.mark.parametrize(("subset", "subsets"), [(0, 1), (2, 5)])
def test_transpose_is_the_adjoint(projector, data_projector, subset, subsets):
    generator = torch.Generator().manual_seed(0)
    for each in (projector, data_projector, StripProjector(40, 4.6875, 30, bins=57, bin_mm=3.31)):
        x = torch.rand(each.image_size**2, 3, generator=generator)
        ax = each.forward(x, subset=subset, subsets=subsets)
        y = torch.rand(ax.shape, generator=generator)
        aty = each.transpose(y, subset=subset, subsets=subsets)
        assert float((ax.double() * y).sum() / (x.double() * aty).sum()) == pytest.approx(1.0, abs=1e-6)


def test_transpose_is_the_adjoint_with_resolution_and_attenuation(projector):
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(6, 64, 64, generator=generator)
    survival = torch.rand(60 * 64, 6, generator=generator)
    y = torch.rand(60 * 64, 6, generator=generator)

    def blurred(volume: torch.Tensor) -> torch.Tensor:
        return gaussian_blur(volume, 7.0, 4.0, beyond="zero")

    ax = projector.forward(blurred(x).reshape(6, -1).T.contiguous()) * survival
    aty = blurred(projector.transpose(y * survival).T.reshape(6, 64, 64).contiguous())
    assert float((ax.double() * y).sum() / (x.double() * aty).sum()) == pytest.approx(1.0, abs=1e-6)


def test_subsets_are_the_rows_of_the_whole(projector):
    x = torch.rand(64 * 64, 2, generator=torch.Generator().manual_seed(2))
    whole = projector.forward(x).reshape(60, 64, 2)
    assert torch.allclose(projector.forward(x, subset=1, subsets=4).reshape(15, 64, 2), whole[1::4])


def test_disc_projects_onto_its_chords(projector):
    radius = 60.0
    projected = projector.forward(torch.from_numpy(disc(64, 4.0, radius)).reshape(-1, 1)).reshape(60, 64)
    # Square pixels smear the outermost bins; elsewhere the disc's rim is sampled well enough.
    inner = np.abs((np.arange(64) - 31.5) * 4.0) < radius - 10
    expected = chords(radius, bins=64, bin_mm=4.0)[inner]
    assert projected.numpy()[:, inner] == pytest.approx(np.tile(expected, (60, 1)), rel=0.015)


def test_fine_pixels_project_onto_wide_bins(data_projector):
    radius = 45.0
    image = torch.from_numpy(disc(64, 2.0, radius)).reshape(-1, 1)
    projected = data_projector.forward(image).reshape(30, 32)
    inner = np.abs((np.arange(32) - 15.5) * 4.0) < radius - 6
    expected = chords(radius, bins=32, bin_mm=4.0)[inner]
    assert projected.numpy()[:, inner] == pytest.approx(np.tile(expected, (30, 1)), rel=0.01)


@pytest.mark.parametrize(("pixel_mm", "bin_mm"), [(4.0, 4.0), (2.0, 4.0), (4.6875, 3.31)])
def test_every_angle_sees_the_same_total(pixel_mm, bin_mm):
    size = 64
    bins = int(np.ceil(size * pixel_mm / bin_mm))
    projector = StripProjector(size, pixel_mm, 60, bins=bins, bin_mm=bin_mm)
    image = torch.from_numpy(disc(size, pixel_mm, 8 * pixel_mm, centre=(9 * pixel_mm, -6 * pixel_mm)))
    projected = projector.forward(image.reshape(-1, 1)).reshape(60, bins)
    total = float(image.sum()) * pixel_mm**2
    assert projected.sum(dim=1).numpy() * bin_mm == pytest.approx(total, rel=1e-5)


def test_off_centre_disc_moves_as_a_sinusoid(projector):
    x, y = 48.0, -30.0
    projected = projector.forward(
        torch.from_numpy(disc(64, 4.0, 12.0, centre=(x, y))).reshape(-1, 1)
    ).reshape(60, 64)
    radial = (torch.arange(64) - 31.5) * 4.0
    centroid = (projected * radial).sum(dim=1) / projected.sum(dim=1)
    theta = np.pi * np.arange(60) / 60
    assert centroid.numpy() == pytest.approx(x * np.cos(theta) + y * np.sin(theta), abs=0.05)


def test_gaussian_blur_has_the_width_it_says():
    impulse = torch.zeros(41, 41, 41)
    impulse[20, 20, 20] = 1.0
    position = (torch.arange(41) - 20) * 4.0
    for fwhm_mm in (2.0, 12.0):
        blurred = gaussian_blur(impulse, fwhm_mm, 4.0)
        variance = (blurred.sum(dim=(1, 2)) * position**2).sum() / blurred.sum()
        assert float(blurred.sum()) == pytest.approx(1.0, abs=1e-5)
        assert float(variance.sqrt()) * 2.3548 == pytest.approx(fwhm_mm, rel=1e-3)


def test_gaussian_blur_leaves_what_is_uniform():
    assert torch.allclose(gaussian_blur(torch.ones(3, 8, 8), 30.0, 4.0), torch.ones(3, 8, 8), atol=1e-5)
