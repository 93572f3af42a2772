"""The projector and its transpose, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AMDiffLib.simulation.projector import StripProjector


@pytest.fixture(scope="module")
def projector() -> StripProjector:
    return StripProjector(64, 4.0, 60)


def disc(
    size: int, pixel_mm: float, radius_mm: float, centre: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Share of each pixel inside a disc, by 8 x 8 samples a pixel."""
    fine = (np.arange(size * 8) + 0.5) / 8 * pixel_mm - size * pixel_mm / 2
    y, x = np.meshgrid(fine, fine, indexing="ij")
    inside = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 < radius_mm**2
    return inside.reshape(size, 8, size, 8).mean(axis=(1, 3)).astype(np.float32)


def test_transpose_is_the_adjoint(projector):
    generator = torch.Generator().manual_seed(0)
    for subset, subsets in ((0, 1), (2, 5)):
        x = torch.rand(64 * 64, 3, generator=generator)
        ax = projector.forward(x, subset=subset, subsets=subsets)
        y = torch.rand(ax.shape, generator=generator)
        aty = projector.transpose(y, subset=subset, subsets=subsets)
        assert float((ax.double() * y).sum() / (x.double() * aty).sum()) == pytest.approx(1.0, abs=1e-6)


def test_disc_projects_onto_its_chords(projector):
    radius = 60.0
    projected = projector.forward(torch.from_numpy(disc(64, 4.0, radius)).reshape(-1, 1)).reshape(60, 64)
    edges = (np.arange(65) - 32) * 4.0
    # The integral of the chord 2 sqrt(R^2 - s^2) over a bin, divided by the bin's width.
    s = np.clip(edges, -radius, radius)
    area = s * np.sqrt(radius**2 - s**2) + radius**2 * np.arcsin(s / radius)
    # Square pixels smear the outermost bins; elsewhere the disc's rim is sampled well enough.
    inner = np.abs((edges[1:] + edges[:-1]) / 2) < radius - 10
    expected = np.diff(area)[inner] / 4.0
    assert projected.numpy()[:, inner] == pytest.approx(np.tile(expected, (60, 1)), rel=0.015)


def test_every_angle_sees_the_same_total(projector):
    image = torch.from_numpy(disc(64, 4.0, 30.0, centre=(40.0, -25.0)))
    projected = projector.forward(image.reshape(-1, 1)).reshape(60, 64)
    assert projected.sum(dim=1).numpy() * 4.0 == pytest.approx(float(image.sum()) * 16.0, rel=1e-5)


def test_off_centre_disc_moves_as_a_sinusoid(projector):
    x, y = 48.0, -30.0
    projected = projector.forward(
        torch.from_numpy(disc(64, 4.0, 12.0, centre=(x, y))).reshape(-1, 1)
    ).reshape(60, 64)
    radial = (torch.arange(64) - 31.5) * 4.0
    centroid = (projected * radial).sum(dim=1) / projected.sum(dim=1)
    theta = np.pi * np.arange(60) / 60
    assert centroid.numpy() == pytest.approx(x * np.cos(theta) + y * np.sin(theta), abs=0.05)
