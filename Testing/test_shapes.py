"""Solids and fields of the phantom, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.profile import Profile
from AMDiffLib.simulation.random_fields import smooth_field
from AMDiffLib.simulation.shapes import Ellipsoid, Tube, rotation, shell, smooth_union, union

BALL_ML = 4 / 3 * np.pi * 12**3 / 1000


def painted_ml(shape, spacing_mm: tuple[float, float, float], detail_mm: float = 4.0) -> float:
    """Return the activity, at SUV 1, of `shape` painted on a grid of this spacing."""
    canvas = Canvas(tuple(int(120 / s) for s in spacing_mm), spacing_mm)
    canvas.paint(shape, 1.0, "liver", detail_mm=detail_mm)
    return float(canvas.suv.sum()) * float(np.prod(spacing_mm)) / 1000


@pytest.mark.parametrize("turn", [None, rotation(about_x=30, about_z=70)])
@pytest.mark.parametrize("spacing_mm", [(2.0, 2.0, 2.0), (1.635, 2.34, 2.34)])
def test_ellipsoid_fills_its_volume(turn, spacing_mm):
    volume = painted_ml(Ellipsoid((2.0, -3.0, 61.0), (20.0, 15.0, 10.0), turn), spacing_mm)
    assert volume == pytest.approx(4 / 3 * np.pi * 20 * 15 * 10 / 1000, rel=0.015)


def test_tube_fills_its_volume():
    tube = Tube(((0.0, 0.0, 45.0), (0.0, 0.0, 75.0)), (8.0, 8.0))
    assert painted_ml(tube, (2.0, 2.0, 2.0)) == pytest.approx(
        (np.pi * 64 * 30 + 4 / 3 * np.pi * 512) / 1000, rel=0.015
    )


def test_a_shape_below_a_voxel_is_painted_by_its_share():
    ball = Ellipsoid((0.7, -0.4, 60.9), (2.0, 2.0, 2.0))
    assert painted_ml(ball, (4.0, 4.0, 4.0), detail_mm=1.0) == pytest.approx(
        4 / 3 * np.pi * 8 / 1000, rel=0.15
    )


def test_shell_and_union_have_the_volumes_that_set_theory_gives():
    ball = Ellipsoid((0.0, 0.0, 60.0), (12.0, 12.0, 12.0))
    hollow = painted_ml(shell(ball, 4.0), (1.5, 1.5, 1.5))
    assert hollow == pytest.approx(BALL_ML * (1 - (8 / 12) ** 3), rel=0.02)
    apart = Ellipsoid((40.0, 0.0, 60.0), (12.0, 12.0, 12.0))
    assert painted_ml(union(ball, apart), (2.0, 2.0, 2.0)) == pytest.approx(2 * BALL_ML, rel=0.02)
    # Far apart there is no crease to fill; where they meet there is.
    assert painted_ml(smooth_union((ball, apart), 6.0), (2.0, 2.0, 2.0)) == pytest.approx(
        2 * BALL_ML, rel=0.02
    )
    touching = Ellipsoid((22.0, 0.0, 60.0), (12.0, 12.0, 12.0))
    assert painted_ml(smooth_union((ball, touching), 6.0), (2.0, 2.0, 2.0)) > painted_ml(
        union(ball, touching), (2.0, 2.0, 2.0)
    )


def test_paint_keeps_to_the_structures_it_is_told():
    canvas = Canvas((30, 30, 30), (2.0, 2.0, 2.0))
    canvas.paint(Ellipsoid((0.0, 0.0, 30.0), (10.0, 10.0, 10.0)), 1.0, "liver")
    canvas.paint(Ellipsoid((0.0, 0.0, 30.0), (20.0, 20.0, 20.0)), 5.0, "spleen", only=("liver",))
    assert not (canvas.structures == canvas.structure("liver")).any()
    # Only what was liver by half or more is spleen now.
    assert float((canvas.organs == 7).sum()) * 8 / 1000 == pytest.approx(4 / 3 * np.pi, rel=0.08)


def test_fields_have_zero_mean_and_unit_variance_and_do_not_know_the_grid():
    rng = np.random.default_rng(3)
    field = smooth_field(((-200.0,) * 3, (200.0,) * 3), 16.0, rng)
    axes = tuple(torch.arange(-190.0, 190.0, 4.0) for _ in range(3))
    values = field.on_grid(axes)
    assert float(values.mean()) == pytest.approx(0.0, abs=0.05)
    assert float(values.var()) == pytest.approx(1.0, rel=0.1)
    coarse = field.on_grid(tuple(axis[::3] for axis in axes))
    assert torch.allclose(coarse, values[::3, ::3, ::3], atol=1e-5)
    points = [axis[5:9] for axis in axes]
    scattered = field.at(*points)
    assert torch.allclose(scattered, torch.stack([values[i, i, i] for i in range(5, 9)]), atol=1e-4)


def test_profile_passes_through_its_knots_and_stays_between_them():
    profile = Profile((0.0, 10.0, 30.0, 40.0), (1.0, 5.0, 5.0, 2.0))
    heights = torch.linspace(-10, 60, 141)
    values = profile(heights)
    assert float(profile(torch.tensor(10.0))) == pytest.approx(5.0, abs=1e-5)
    assert float(values.min()) >= 1.0
    assert float(values.max()) <= 5.0 + 1e-5
    assert profile.at(60.0) == pytest.approx(2.0)
