"""The simulated people, held against anatomy and uptake that others measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AMDiffLib.simulation.phantom import make_phantom
from AMDiffLib.simulation.shapes import Ellipsoid, Tube, rotation

# About the range among the 80 healthy adults of hedyPET, mL; lungs between free breathing and inspiration.
PLAUSIBLE_ML = {2: (700, 2600), 3: (1500, 7500), 4: (1800, 6500), 6: (130, 520), 7: (60, 450), 8: (90, 400)}


@pytest.fixture(scope="module")
def people():
    return [make_phantom([11, index], spacing_mm=(4.0, 4.0, 4.0)) for index in range(4)]


def test_organs_have_human_volumes(people):
    for phantom in people:
        volumes = {label: float((phantom.organs == label).sum()) * 0.064 for label in PLAUSIBLE_ML}
        for label, (low, high) in PLAUSIBLE_ML.items():
            assert low < volumes[label] < high, (label, volumes[label])


def test_uptake_is_that_of_healthy_adults(people):
    # 5th to 95th percentile of hedyPET's healthy adults, widened by 15 % for the few people here.
    for label, (low, high) in {2: (1.86, 3.08), 7: (1.50, 2.34), 5: (0.58, 0.86), 8: (1.70, 2.44)}.items():
        means = [p.suv[(p.organs == label) & (p.lesions == 0)].mean() for p in people]
        assert low / 1.15 < np.mean(means) < high * 1.15, label


def test_lesions_are_avid_and_inside_the_body(people):
    for phantom in people:
        for number in range(1, int(phantom.lesions.max()) + 1):
            lesion = phantom.lesions == number
            assert not lesion.any() or (phantom.attenuation[lesion] > 0.02).float().mean() > 0.9


def test_same_seed_gives_the_same_person():
    first, second = (make_phantom([5, 1], spacing_mm=(8.0, 8.0, 8.0)) for _ in range(2))
    assert torch.equal(first.suv, second.suv)
    assert torch.equal(first.lesions, second.lesions)


@pytest.mark.parametrize("turn", [None, rotation(about_x=30, about_z=70)])
def test_ellipsoid_fills_its_volume(turn):
    axis = torch.arange(-40, 41, dtype=torch.float32)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    depth = Ellipsoid((2.0, -3.0, 1.0), (20.0, 15.0, 10.0), turn).depth(x, y, z)
    assert float((depth + 0.5).clamp(0, 1).sum()) == pytest.approx(4 / 3 * np.pi * 20 * 15 * 10, rel=0.01)


def test_tube_fills_its_volume():
    axis = torch.arange(-40, 41, dtype=torch.float32)
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    depth = Tube(((0.0, 0.0, -15.0), (0.0, 0.0, 15.0)), (8.0, 8.0)).depth(x, y, z)
    capsule = np.pi * 64 * 30 + 4 / 3 * np.pi * 512
    assert float((depth + 0.5).clamp(0, 1).sum()) == pytest.approx(capsule, rel=0.01)
