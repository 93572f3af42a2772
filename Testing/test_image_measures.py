"""Contrast recovery, SUV of lesions, liver noise, NMAE and filters, against closed forms and libraries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from AMDiffLib.evaluation.filters import FAMILIES, FAMILY_OF, GAUSSIAN
from AMDiffLib.evaluation.lesion_uptake import (
    MeasuredLesions,
    contrast_recovery_percent,
    inner_liver,
    mean_error_percent,
    neighbour_correlation,
    noise_percent,
)
from AMDiffLib.evaluation.metrics import nmae
from AMDiffLib.evaluation.non_local_means import non_local_means
from AMDiffLib.quantification.suv_metrics import tlg

SPACING = (4.0, 4.0, 4.0)


def two_lesions() -> tuple[np.ndarray, np.ndarray]:
    """Cubes of 5 voxels (20 mm) of SUV 9 and 5, 24 voxels apart, on a background of SUV 1."""
    lesions = np.zeros((24, 24, 48), np.int32)
    lesions[10:15, 10:15, 8:13] = 1
    lesions[10:15, 10:15, 32:37] = 2
    return np.array([1.0, 9.0, 5.0], np.float32)[lesions], lesions


def test_contrast_recovery_is_the_share_of_the_references_contrast():
    reference, lesions = two_lesions()
    measured = MeasuredLesions(lesions, np.ones(lesions.shape, bool), SPACING)
    true = measured.measure(reference)
    assert true.contrast == pytest.approx([8.0, 4.0])
    half = measured.measure(1.0 + 0.5 * (reference - 1.0))
    assert contrast_recovery_percent(half, true) == pytest.approx(50.0)
    # A rise of everything is no contrast; 9 to 6 and 5 to 4 leave 5 + 3 of 8 + 4.
    assert contrast_recovery_percent(measured.measure(reference + 2.0), true) == pytest.approx(100.0)
    flat = np.array([1.0, 6.0, 4.0], np.float32)[lesions]
    assert contrast_recovery_percent(measured.measure(flat), true) == pytest.approx(100 * 8 / 12)


def test_the_texture_of_noise_is_the_correlation_that_a_filter_gives_it():
    noise = np.random.default_rng(0).normal(5.0, 1.0, (40, 64, 64))
    region = np.zeros(noise.shape, bool)
    region[4:36, 4:60, 4:60] = True
    assert neighbour_correlation(noise, region) == pytest.approx(0.0, abs=0.01)
    # The mean of two transaxial neighbours shares one of two summands with the next one, along x alone.
    pairs = (noise + np.roll(noise, 1, axis=2)) / 2
    assert neighbour_correlation(pairs, region) == pytest.approx((0.0 + 0.5) / 2, abs=0.01)
    axial = (noise + np.roll(noise, 1, axis=0)) / 2
    assert neighbour_correlation(axial, region) == pytest.approx(0.0, abs=0.01)
    assert math.isnan(neighbour_correlation(np.ones(noise.shape), region))
    assert math.isnan(neighbour_correlation(noise, np.zeros_like(region)))


def test_errors_of_suv_count_every_lesion_once():
    reference, lesions = two_lesions()
    measured = MeasuredLesions(lesions, np.ones(lesions.shape, bool), SPACING)
    image = reference.copy()
    image[lesions == 1] = 4.5  # half
    image[12, 12, 34] = 10.0  # one voxel of the other, twice
    true, found = measured.measure(reference), measured.measure(image)
    assert mean_error_percent(found.suv_max, true.suv_max) == pytest.approx((-50 + 100) / 2)
    assert mean_error_percent(found.suv_mean, true.suv_mean) == pytest.approx((-50 + 100 / 125) / 2)
    # SUVpeak of the first: a sphere of 6.2 mm lies wholly within the cube of 20 mm.
    assert (found.suv_peak[0], true.suv_peak[0]) == (pytest.approx(4.5), pytest.approx(9.0))
    assert math.isnan(mean_error_percent(np.array([]), np.array([])))


def test_a_lesions_background_is_a_shell_in_the_body_without_other_lesions():
    reference, lesions = two_lesions()
    lesions[:, :, 40:] = 3
    image = np.where(lesions == 3, 50.0, reference).astype(np.float32)
    body = np.ones(lesions.shape, bool)
    body[:, :, :20] = False  # the first lesion's surroundings are air
    found = MeasuredLesions(lesions, body, SPACING).measure(image)
    assert math.isnan(found.contrast[0])
    assert found.contrast[1] == pytest.approx(4.0)


def test_liver_noise_is_that_of_the_voxels_12_mm_inside():
    random = np.random.default_rng(0)
    liver = np.zeros((30, 30, 30), bool)
    liver[5:25, 5:25, 5:25] = True
    inner = inner_liver(liver, SPACING)
    assert inner.sum() == (20 - 2 * 2) ** 3  # the third voxel from the edge is 12 mm from the first outside
    image = np.where(liver, random.normal(2.0, 0.3, liver.shape), 50.0)
    values = image[7:23, 7:23, 7:23]
    assert noise_percent(image, inner) == pytest.approx(100 * values.std(ddof=1) / values.mean())
    assert noise_percent(image, inner) == pytest.approx(15.0, abs=0.7)
    assert not inner_liver(np.zeros_like(liver), SPACING).any()
    assert math.isnan(noise_percent(image, np.zeros_like(liver)))


def test_nmae_agrees_with_monais_mean_absolute_error():
    torch = pytest.importorskip("torch")
    from monai.metrics import MAEMetric

    random = np.random.default_rng(1)
    estimate, reference = random.random((2, 6, 7, 8)).astype(np.float32)
    mae = MAEMetric()(torch.from_numpy(estimate)[None, None], torch.from_numpy(reference)[None, None])
    assert nmae(estimate, reference) == pytest.approx(float(mae) / reference.mean(), rel=1e-5)
    assert math.isnan(nmae(estimate, np.zeros_like(reference)))


def test_tlg_is_suvmean_times_volume_by_hand_and_by_simpleitk():
    import SimpleITK as sitk

    random = np.random.default_rng(2)
    suv = random.gamma(2.0, 2.0, (12, 13, 14)).astype(np.float32)
    mask = (random.random(suv.shape) > 0.7).astype(np.uint8)
    images = [sitk.GetImageFromArray(array) for array in (suv, mask)]
    for image in images:
        image.SetSpacing((2.0, 3.0, 5.0))
    statistics = sitk.LabelIntensityStatisticsImageFilter()
    statistics.Execute(images[1], images[0])
    expected = statistics.GetMean(1) * statistics.GetPhysicalSize(1) / 1000.0  # g/mL x mm3 / 1000
    assert tlg(suv, mask, (2.0, 3.0, 5.0)) == pytest.approx(expected, rel=1e-5)


def a_noisy_sphere() -> tuple[np.ndarray, np.ndarray]:
    """A warm body of SUV 2 with a hot sphere of SUV 8, and a copy with counting noise."""
    z, y, x = np.mgrid[:32, :32, :32] - 15.5
    truth = np.where(x**2 + y**2 + (z / 1.1) ** 2 < 13**2, 2.0, 0.0)
    truth[x**2 + y**2 + z**2 < 4**2] = 8.0
    return truth, np.random.default_rng(3).poisson(10 * truth).astype(np.float32) / 10


def test_non_local_means_removes_noise_keeps_edges_and_counts():
    truth, noisy = a_noisy_sphere()
    smooth = non_local_means(noisy, SPACING, 0.9)
    assert smooth.sum(dtype=float) == pytest.approx(noisy.sum(dtype=float), rel=1e-3)
    flat = (truth == 2.0) & (np.roll(truth, 5, 2) == 2.0) & (np.roll(truth, -5, 2) == 2.0)
    assert smooth[flat].std() < 0.5 * noisy[flat].std()

    def error(image: np.ndarray) -> float:
        return float(np.sqrt(np.square(image - truth).mean()))

    gaussians = [error(GAUSSIAN.apply(noisy, SPACING, width)) for width in GAUSSIAN.strengths]
    assert error(smooth) < min(gaussians) < error(noisy)
    assert not non_local_means(np.zeros((16, 16, 16), np.float32), SPACING, 0.9).any()


def test_every_filter_has_a_name_of_its_own_that_says_its_strength():
    assert len(FAMILY_OF) == sum(len(family.strengths) for family in FAMILIES)
    assert GAUSSIAN.member(6.0) == "gaussian_6mm"
    assert {family.best for family in FAMILIES}.isdisjoint(FAMILY_OF)
