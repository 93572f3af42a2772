"""NRMSE, Dice, biases and detection against hand-made numbers and other libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from AMDiffLib.evaluation.detection import detect
from AMDiffLib.evaluation.metrics import dice, mean_bias_percent, nrmse, relative_percent, volume_ml


def two_images() -> tuple[np.ndarray, np.ndarray]:
    reference = np.array([[[0.0, 1.0], [2.0, 5.0]]])
    estimate = np.array([[[1.0, 1.0], [0.0, 7.0]]])  # errors 1, 0, -2, 2
    return estimate, reference


def test_nrmse_of_four_voxels_by_hand():
    estimate, reference = two_images()
    assert nrmse(estimate, reference) == pytest.approx(1.5 / 5.0)  # sqrt(9/4) over the range 5
    assert nrmse(estimate, reference, by="mean") == pytest.approx(1.5 / 2.0)


def test_nrmse_of_a_region_uses_the_range_and_mean_of_the_reference_in_that_region():
    estimate, reference = two_images()
    mask = np.array([[[0, 1], [1, 0]]])  # errors 0, -2; reference 1, 2
    assert nrmse(estimate, reference, mask) == pytest.approx(math.sqrt(2.0) / 1.0)
    assert nrmse(estimate, reference, mask, by="mean") == pytest.approx(math.sqrt(2.0) / 1.5)


def test_nrmse_agrees_with_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import RMSEMetric

    random = np.random.default_rng(0)
    estimate, reference = random.random((2, 6, 7, 8)).astype(np.float32)
    rmse = RMSEMetric()(torch.from_numpy(estimate)[None, None], torch.from_numpy(reference)[None, None])
    expected = float(rmse) / float(reference.max() - reference.min())
    assert nrmse(estimate, reference) == pytest.approx(expected, rel=1e-5)


def test_nrmse_grows_with_the_error_and_not_with_the_unit():
    estimate, reference = two_images()
    assert nrmse(reference, reference) == 0.0
    assert nrmse(10 * estimate, 10 * reference) == pytest.approx(nrmse(estimate, reference))


def test_nrmse_without_voxels_or_range_is_not_a_number():
    estimate, reference = two_images()
    assert math.isnan(nrmse(estimate, reference, np.zeros(reference.shape)))
    assert math.isnan(nrmse(estimate, np.ones_like(reference)))
    with pytest.raises(ValueError, match="shape"):
        nrmse(estimate[:, :1], reference)
    with pytest.raises(ValueError, match="median"):
        nrmse(estimate, reference, by="median")


def test_dice_agrees_with_monai():
    torch = pytest.importorskip("torch")
    from monai.metrics import DiceMetric

    random = np.random.default_rng(0)
    found, true = random.random((2, 8, 9, 10)) > [[[[0.6]]], [[[0.7]]]]
    expected = DiceMetric()(
        torch.from_numpy(found)[None, None].float(), torch.from_numpy(true)[None, None].float()
    )
    assert dice(found, true) == pytest.approx(float(expected))


def test_dice_of_equal_disjoint_and_missing_masks():
    a = np.zeros((2, 2, 2), bool)
    a[0] = True
    assert (dice(a, a), dice(a, ~a), dice(np.zeros_like(a), a)) == (1.0, 0.0, 0.0)
    assert math.isnan(dice(a, np.zeros_like(a)))


def test_biases_in_percent():
    estimate, reference = two_images()
    assert mean_bias_percent(estimate, reference) == pytest.approx(100 * (9 - 8) / 8)
    assert relative_percent(3.0, 4.0) == -25.0
    assert math.isnan(relative_percent(3.0, 0.0))
    assert volume_ml(np.ones((2, 5, 5)), (4, 4, 5)) == pytest.approx(4.0)


def test_detection_counts_lesions_by_size_and_marks_that_touch_none():
    true = np.zeros((30, 30, 30), np.int32)
    true[1:4, 1:4, 1:4] = 1  # 27 voxels of 0.064 mL: 1.7 mL, found
    true[10:20, 10:20, 10:20] = 2  # 64 mL, found by one voxel
    true[25:27, 25:27, 25:27] = 4  # 0.5 mL, missed; number 3 is not used
    marked = np.zeros_like(true)
    marked[2:5, 2:5, 2:5] = 1
    marked[19:21, 19:21, 19:21] = 2
    marked[0:2, 25:27, 0:5] = 3  # touches nothing: 20 voxels
    result = detect(marked, true, (4, 4, 4))
    assert result.true == (1, 1, 1)
    assert result.found == (0, 1, 1)
    assert result.false_positives == 1
    assert result.false_positive_ml == pytest.approx(20 * 0.064)
    assert result.false_negative_ml == pytest.approx(8 * 0.064)


def test_detection_without_true_or_marked_lesions():
    nothing, something = np.zeros((4, 4, 4), np.int32), np.ones((4, 4, 4), np.int32)
    assert detect(nothing, nothing, (4, 4, 4)).true == (0, 0, 0)
    assert detect(something, nothing, (4, 4, 4)).false_positive_ml == pytest.approx(64 * 0.064)
    assert detect(nothing, something, (4, 4, 4)).false_negative_ml == pytest.approx(64 * 0.064)
