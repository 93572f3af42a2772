"""A lesion mask becomes numbered lesions."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.inference.lesions import label_lesions

SPACING = (4.0, 4.0, 4.0)  # 0.064 mL a voxel


def a_mask(*boxes) -> np.ndarray:
    mask = np.zeros((12, 14, 16), bool)
    for box in boxes:
        mask[box] = True
    return mask


def test_lesions_are_numbered_by_falling_volume():
    mask = a_mask(np.s_[1:3, 1:3, 1:3], np.s_[6:10, 6:10, 6:10], np.s_[1:4, 9:12, 9:12])
    labels = label_lesions(mask, spacing=SPACING)
    assert [int((labels == n).sum()) for n in range(1, 5)] == [64, 27, 8, 0]
    assert labels[7, 7, 7] == 1
    assert np.array_equal(labels > 0, mask)


def test_with_suv_lesions_are_numbered_by_falling_tlg():
    mask = a_mask(np.s_[1:3, 1:3, 1:3], np.s_[6:10, 6:10, 6:10])
    suv = np.ones(mask.shape, np.float32)
    suv[1:3, 1:3, 1:3] = 9.0  # TLG 8 x 9 = 72 voxels against 64 x 1
    assert label_lesions(mask, spacing=SPACING, suv=suv)[1, 1, 1] == 1


def test_voxels_that_share_an_edge_are_one_lesion_and_those_that_share_a_corner_are_two():
    edge, corner = a_mask(np.s_[2, 2, 2], np.s_[2, 3, 3]), a_mask(np.s_[2, 2, 2], np.s_[3, 3, 3])
    assert label_lesions(edge, spacing=SPACING, minimum_ml=0).max() == 1
    assert label_lesions(corner, spacing=SPACING, minimum_ml=0).max() == 2


@pytest.mark.parametrize(("minimum_ml", "kept"), [(0.0, 3), (0.1, 2), (0.128, 2), (0.13, 1)])
def test_components_below_the_smallest_volume_are_left_out(minimum_ml, kept):
    mask = a_mask(np.s_[0, 0, 0], np.s_[5, 5, 5:7], np.s_[9:12, 9:12, 9:12])  # 0.064, 0.128 and 1.728 mL
    assert label_lesions(mask, spacing=SPACING, minimum_ml=minimum_ml).max() == kept


def test_blobs_agree_with_simpleitk():
    noise = np.random.default_rng(0).random((20, 20, 20)).astype(np.float32)
    field = sitk.GetArrayFromImage(sitk.DiscreteGaussian(sitk.GetImageFromArray(noise), 2.0))
    blobs = field > np.quantile(field, 0.97)
    image = sitk.GetImageFromArray(blobs.astype(np.uint8))
    labels = label_lesions(blobs, spacing=(1, 1, 1), minimum_ml=0)
    # SimpleITK joins by faces only, or by faces, edges and corners; where the two agree, so must we.
    by_faces, by_corners = (
        sitk.GetArrayFromImage(sitk.RelabelComponent(sitk.ConnectedComponent(image, corners)))
        for corners in (False, True)
    )
    assert by_faces.max() == by_corners.max() > 3
    assert np.array_equal(np.bincount(labels.ravel()), np.bincount(by_faces.ravel()))


def test_an_empty_mask_has_no_lesion():
    assert label_lesions(a_mask(), spacing=SPACING).max() == 0


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="shape"):
        label_lesions(a_mask(), spacing=SPACING, suv=np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="-1"):
        label_lesions(a_mask(), spacing=SPACING, minimum_ml=-1)
