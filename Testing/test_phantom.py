"""The simulated people, held against anatomy and uptake that others measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AMDiffLib.errors import BadInput
from AMDiffLib.simulation.phantom import Phantom, make_phantom

# About the range among the 80 healthy adults of hedyPET, mL; lungs between free breathing and inspiration.
PLAUSIBLE_ML = {2: (700, 2600), 3: (1500, 7500), 4: (1800, 6500), 6: (130, 520), 7: (60, 450), 8: (90, 400)}
# 5th to 95th percentile of hedyPET's healthy adults, widened by 15 % for the few people here.
USUAL_SUV = {
    "liver": (1.86, 3.08),
    "spleen": (1.50, 2.34),
    "skeletal muscle": (0.58, 0.86),
    "aorta": (1.70, 2.44),
}


def volume_ml(phantom: Phantom, mask: torch.Tensor) -> float:
    return float(mask.sum()) * float(np.prod(phantom.spacing_mm)) / 1000


@pytest.fixture(scope="module")
def people() -> list[Phantom]:
    return [make_phantom([11, index], spacing_mm=(5.0, 5.0, 5.0)) for index in range(2)]


def test_organs_have_human_volumes(people):
    for phantom in people:
        for label, (low, high) in PLAUSIBLE_ML.items():
            assert low < volume_ml(phantom, phantom.organs == label) < high, label


def test_uptake_is_that_of_healthy_adults(people):
    for name, (low, high) in USUAL_SUV.items():
        means = []
        for phantom in people:
            mask = (phantom.structures == phantom.structure_names.index(name)) & (phantom.lesions == 0)
            means.append(float(phantom.suv[mask].mean()))
        assert low / 1.15 < np.mean(means) < high * 1.15, name


def test_most_of_the_tracer_that_stays_in_the_body_is_in_the_picture(people):
    # SUV weighs activity by body weight: a body that keeps all of it has a mean of 1 g/mL. Trunk, head and
    # upper thighs are some 75 % of the weight and hold more than their share; urine leaves.
    for phantom in people:
        grams = float(phantom.suv.sum()) * float(np.prod(phantom.spacing_mm)) / 1000
        assert 0.5 < grams / (1000 * phantom.weight_kg) < 1.1


def test_lesions_are_avid_and_inside_the_body(people):
    for phantom in people:
        for number in range(1, int(phantom.lesions.max()) + 1):
            lesion = phantom.lesions == number
            assert lesion.any(), number
            assert (phantom.attenuation[lesion] > 0.02).float().mean() > 0.9


def test_every_structure_has_a_name(people):
    for phantom in people:
        assert phantom.structure_names[0] == ""
        assert int(phantom.structures.max()) < len(phantom.structure_names)
        assert len(set(phantom.structure_names)) == len(phantom.structure_names)


def test_the_size_of_the_grid_is_even_and_as_asked(people):
    for phantom in people:
        assert phantom.suv.shape[0] % 2 == 0
        assert phantom.suv.shape[1:] == (116, 116)
        assert phantom.spacing_mm == (5.0, 5.0, 5.0)


def test_same_seed_gives_the_same_person(people):
    again = make_phantom([11, 0], spacing_mm=(5.0, 5.0, 5.0))
    assert torch.equal(people[0].suv, again.suv)
    assert torch.equal(people[0].lesions, again.lesions)


def test_a_person_is_the_same_on_every_grid(people):
    coarse, fine = people[0], make_phantom([11, 0], spacing_mm=(3.5, 4.0, 4.0))
    assert (coarse.weight_kg, coarse.height_cm, coarse.female) == (
        fine.weight_kg,
        fine.height_cm,
        fine.female,
    )
    grams = [float(p.suv.sum()) * float(np.prod(p.spacing_mm)) / 1000 for p in (coarse, fine)]
    assert grams[0] == pytest.approx(grams[1], rel=0.01)
    for label in PLAUSIBLE_ML:
        volumes = [volume_ml(p, p.organs == label) for p in (coarse, fine)]
        assert volumes[0] == pytest.approx(volumes[1], rel=0.03), label
    assert int(coarse.lesions.max()) == int(fine.lesions.max()) > 0


def test_the_healthy_twin_differs_in_the_lesions_only(people):
    ill, well = people[0], make_phantom([11, 0], spacing_mm=(5.0, 5.0, 5.0), healthy_share=1.0)
    assert ill.lesions.any()
    assert not well.lesions.any()
    assert torch.equal(ill.organs, well.organs)
    changed = ill.suv != well.suv
    assert changed[ill.lesions > 0].all()
    assert changed.float().mean() < 0.01


def test_coarsening_keeps_activity_and_small_lesions():
    suv = torch.rand(4, 6, 8)
    lesions = torch.zeros(4, 6, 8, dtype=torch.uint8)
    lesions[0, 0, 0], lesions[2:, 2:4, 2:4] = 1, 2
    organs = torch.full((4, 6, 8), 5, dtype=torch.uint8)
    organs[:2, :2, 0] = 2
    phantom = Phantom(
        suv=suv, attenuation=suv / 10, organs=organs, lesions=lesions, structures=organs,
        structure_names=tuple("abcdef"), spacing_mm=(2.0, 1.0, 1.0), weight_kg=70.0,
    )  # fmt: skip
    coarse = phantom.coarsened(2)
    assert coarse.spacing_mm == (4.0, 2.0, 2.0)
    assert float(coarse.suv.sum()) * 8 == pytest.approx(float(suv.sum()), rel=1e-5)
    # One eighth of a voxel is still a lesion; the one that fills its voxel keeps it.
    assert coarse.lesions[0, 0, 0] == 1
    assert coarse.lesions[1, 1, 1] == 2
    assert int((coarse.lesions > 0).sum()) == 2
    # Of two labels with four voxels each, the smaller.
    assert coarse.organs[0, 0, 0] == 2
    assert coarse.organs[1, 1, 1] == 5
    with pytest.raises(BadInput, match="multiple of the factor"):
        phantom.coarsened(4)
