"""Liver and blood pool as references: what is eroded, what is left out, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.quantification.grid import connected_to, distance_mm
from AMDiffLib.quantification.measurements import measure
from AMDiffLib.quantification.reference_regions import BLOOD_POOL, LIVER, find_references

SPACING = (4.0, 4.0, 4.0)
LIVER_LABEL, AORTA_LABEL = 2, 8
SHAPE = (40, 40, 40)


@pytest.fixture
def organs() -> np.ndarray:
    """A liver of 20 x 20 x 20 voxels (80 mm) and an aorta of 6 x 6 (24 mm) by 30 voxels."""
    organs = np.zeros(SHAPE, np.uint8)
    organs[5:25, 5:25, 5:25] = LIVER_LABEL
    organs[5:35, 30:36, 30:36] = AORTA_LABEL
    return organs


def no_lesions() -> np.ndarray:
    return np.zeros(SHAPE, bool)


def mask_of(found, name: str) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask.ravel()[found.indices[name]] = True
    return mask


def test_the_aorta_is_eroded_by_five_millimetres(organs):
    found = find_references(organs, no_lesions(), SPACING)
    # The centres of the outer layer are 4 mm from the outside, those of the next one 8 mm.
    expected = np.zeros(SHAPE, bool)
    expected[6:34, 31:35, 31:35] = True
    assert np.array_equal(mask_of(found, BLOOD_POOL), expected)
    assert found.missing == ()


def test_a_voxel_larger_than_the_erosion_still_loses_the_surface():
    organs = np.zeros((20, 20, 20), np.uint8)
    organs[4:16, 4:16, 4:16] = AORTA_LABEL
    found = find_references(organs, np.zeros(organs.shape, bool), (6.0, 6.0, 6.0))
    assert found.indices[BLOOD_POOL].size == 10**3


def test_lesions_and_ten_millimetres_around_them_are_left_out(organs):
    lesions = no_lesions()
    lesions[15, 32, 32] = True
    blood_pool = mask_of(find_references(organs, lesions, SPACING), BLOOD_POOL)
    from_lesion = ndimage.distance_transform_edt(~lesions, sampling=4.0)
    assert not blood_pool[from_lesion <= 10.0].any()
    inside = mask_of(find_references(organs, no_lesions(), SPACING), BLOOD_POOL)
    assert np.array_equal(blood_pool, inside & (from_lesion > 10.0))


def test_the_sphere_has_three_centimetres_and_lies_where_the_liver_is_deepest(organs):
    sphere = mask_of(find_references(organs, no_lesions(), SPACING), LIVER)
    z, y, x = np.nonzero(sphere)
    # The number of ways to write 0, 1, ... 14 (= 15 mm^2 / 16) as sums of three squares.
    assert sphere.sum() == 1 + 6 + 12 + 8 + 6 + 24 + 24 + 0 + 12 + 30 + 24 + 24 + 8 + 24 + 48
    assert [axis.max() - axis.min() for axis in (z, y, x)] == [6, 6, 6]
    assert all(abs(axis.mean() - 14.5) <= 0.5 for axis in (z, y, x))
    lesions = no_lesions()
    lesions[15, 15, 15] = True
    beside = mask_of(find_references(organs, lesions, SPACING), LIVER)
    away = ndimage.distance_transform_edt(~lesions, sampling=4.0)
    assert beside.sum() == sphere.sum()
    assert away[beside].min() > 10.0
    assert (organs[beside] == LIVER_LABEL).all()


def test_an_organ_at_the_edge_of_the_image_keeps_its_sphere_inside():
    organs = np.zeros((12, 12, 12), np.uint8)
    organs[:, :, :] = LIVER_LABEL
    found = find_references(organs, np.zeros(organs.shape, bool), SPACING)
    assert found.indices[LIVER].size > 0


def test_without_liver_and_aorta_there_is_no_reference_and_it_says_why():
    found = find_references(np.zeros(SHAPE, np.uint8), no_lesions(), SPACING)
    assert all(indices.size == 0 for indices in found.indices.values())
    assert len(found.missing) == 2
    assert "0.0 mL of the aorta" in found.missing[1]


def test_a_liver_too_thin_for_a_sphere_has_none(organs):
    organs[organs == LIVER_LABEL] = 0
    organs[5:11, 5:35, 5:35] = LIVER_LABEL  # 24 mm
    found = find_references(organs, no_lesions(), SPACING)
    assert found.indices[LIVER].size == 0
    assert any("sphere of 3 cm" in reason for reason in found.missing)


def test_ratios_are_of_suv_max_to_the_means_of_liver_and_aorta(organs):
    suv = np.ones(SHAPE)
    suv[organs == LIVER_LABEL] = 2.0
    suv[organs == AORTA_LABEL] = 1.6
    lesions = np.zeros(SHAPE, np.int32)
    lesions[30:33, 10:13, 10:13] = 1
    suv[lesions > 0] = 6.0
    suv[31, 11, 11] = 8.0
    volume = PetVolume(suv=suv, spacing=SPACING, origin=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    measured = measure(suv, lesions, organs, volume=volume)
    assert measured.lesions[0].suv_max_to_liver == pytest.approx(4.0)
    assert measured.lesions[0].suv_max_to_blood_pool == pytest.approx(5.0)
    nothing = measure(suv, lesions, np.zeros_like(organs), volume=volume)
    assert nothing.lesions[0].suv_max_to_liver is None
    assert nothing.lesions[0].suv_max_to_blood_pool is None
    assert len(nothing.remarks) == 2


@pytest.mark.parametrize(("level", "said"), [(1.2, True), (1.3, False), (3.0, False), (3.1, True)])
def test_a_liver_outside_the_usual_range_is_remarked_upon(organs, level, said):
    suv = np.where(organs == LIVER_LABEL, level, 1.0)
    volume = PetVolume(suv=suv, spacing=SPACING, origin=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    remarks = measure(suv, np.zeros(SHAPE, np.int32), organs, volume=volume).remarks
    assert any("1.3 to 3 is usual" in remark for remark in remarks) == said


@pytest.mark.parametrize("spacing", [(4.0, 4.0, 4.0), (4.69, 4.69, 3.27), (1.0, 2.0, 3.0)])
def test_distances_are_those_of_scipy_up_to_the_limit(spacing):
    mask = np.random.default_rng(5).random((14, 15, 16)) > 0.995
    expected = ndimage.distance_transform_edt(~mask, sampling=spacing[::-1])
    found = distance_mm(mask, spacing, 12.0)
    near = expected <= 12.0
    assert found[near] == pytest.approx(expected[near])
    assert np.isinf(found[~near]).all()


def test_connection_is_by_faces_and_edges_as_in_scipy():
    mask = np.random.default_rng(6).random((12, 13, 14)) > 0.8
    labels, count = ndimage.label(mask, structure=ndimage.generate_binary_structure(3, 2))
    assert count > 10
    for label in (1, 2, 3):
        seeds = np.zeros(mask.shape, bool)
        seeds[tuple(np.argwhere(labels == label)[0])] = True
        assert np.array_equal(connected_to(seeds, mask), labels == label)
    assert not connected_to(~mask, mask).any()
