"""Simulated lesions: their number, sizes and uptake, held against Table 1 of the AMDiff paper."""

from __future__ import annotations

import numpy as np
import pytest

from AMDiffLib.simulation.canvas import Canvas
from AMDiffLib.simulation.lesions import SITES, Lesion, draw_lesions, paint_lesions


@pytest.fixture(scope="module")
def patients() -> list[list[Lesion]]:
    places = {name: np.random.default_rng(0).uniform(-150, 150, (200, 3)) for name in SITES}
    return [draw_lesions(places, np.random.default_rng([7, i]), healthy_share=0.12) for i in range(300)]


def test_lesion_volumes_are_of_the_order_of_the_papers_groups(patients):
    volumes = np.array([lesion.volume_ml for lesions in patients for lesion in lesions])
    # Table 1, mL: 7.95 +- 74.2, 12.95 +- 39.7, 6.34 +- 17.3, 0.69 +- 0.78; from 0.009 to 2,543.
    assert 2 < volumes.mean() < 13
    assert 10 < volumes.std() < 90
    assert 0.009 < volumes.min() < 0.05
    assert 200 < volumes.max() < 2600


def test_lesion_uptake_spans_faint_to_intense(patients):
    # Over the 51 patients of the soft-tissue sarcoma collection the hottest lesion's SUVmax is 10.4 (3.4-30).
    uptakes = np.array([lesion.suv_max for lesions in patients for lesion in lesions])
    assert uptakes.min() >= 2
    assert uptakes.max() <= 30
    assert 6 < np.median(uptakes) < 10
    hottest = [max(lesion.suv_max for lesion in lesions) for lesions in patients if lesions]
    assert 8 < np.median(hottest) < 13


def test_some_people_are_healthy_and_some_have_many_lesions(patients):
    counts = np.array([len(lesions) for lesions in patients])
    assert 0.07 < (counts == 0).mean() < 0.17
    assert (counts > 15).any()
    assert counts.max() <= 255


def test_some_lesions_are_necrotic(patients):
    cores = [lesion.core > 0 for lesions in patients for lesion in lesions if lesion.volume_ml > 8]
    assert 0.2 < np.mean(cores) < 0.7


def test_lesions_do_not_overlap(patients):
    for lesions in patients:
        for i, one in enumerate(lesions):
            for other in lesions[i + 1 :]:
                away = np.linalg.norm(np.subtract(one.centre, other.centre))
                assert away > one.radius_mm + other.radius_mm


def a_lesion(volume_ml: float) -> Lesion:
    return Lesion(
        site="liver", centre=(1.0, 2.0, 41.0), volume_ml=volume_ml, suv_max=10.0, stretch=(1.0, 1.0, 1.0),
        turn=np.eye(3), core=0.0, core_uptake=0.2, seed=4,
    )  # fmt: skip


def in_soft_tissue(spacing_mm: float) -> Canvas:
    side = int(80 / spacing_mm)
    canvas = Canvas((side, side, side), (spacing_mm,) * 3)
    canvas.attenuation.fill_(0.096)
    return canvas


@pytest.mark.parametrize(("volume_ml", "spacing_mm"), [(0.02, 4.0), (0.2, 8.0)])
def test_a_lesion_below_a_voxel_is_painted_by_its_share_and_labelled(volume_ml, spacing_mm):
    canvas = in_soft_tissue(spacing_mm)
    paint_lesions(canvas, [a_lesion(volume_ml)])
    assert int((canvas.lesions == 1).sum()) == 1
    activity = float(canvas.suv.sum()) * spacing_mm**3 / 1000
    # The mean uptake is some 84 % of the maximum.
    assert activity == pytest.approx(8.4 * volume_ml, rel=0.3)


@pytest.mark.parametrize("spacing_mm", [2.0, 4.0])
def test_a_large_lesion_has_its_volume_on_every_grid(spacing_mm):
    canvas = in_soft_tissue(spacing_mm)
    paint_lesions(canvas, [a_lesion(20.0)])
    assert float((canvas.lesions == 1).sum()) * spacing_mm**3 / 1000 == pytest.approx(20.0, rel=0.12)
    assert 8.5 < float(canvas.suv.max()) <= 10.0
