"""What must hold of the measurements of any lesion in any image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.quantification.measurements import measure
from AMDiffLib.quantification.suv_metrics import suv_peak, tlg

SPACINGS = st.tuples(*[st.floats(1.0, 7.0)] * 3)
SEEDS = st.integers(0, 2**32 - 1)
SHAPE = (12, 14, 16)
VALUES = ("suv_max", "suv_peak", "suv_mean", "mtv_ml", "tlg_g")


def a_case(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Random SUV, and one to three lesions of random boxes with random holes; (z, y, x)."""
    rng = np.random.default_rng(seed)
    suv = rng.gamma(2.0, 1.0, SHAPE).astype(np.float32)
    lesions = np.zeros(SHAPE, np.int32)
    for number in range(1, int(rng.integers(1, 4)) + 1):
        low = [int(rng.integers(0, n - 3)) for n in SHAPE]
        box = tuple(slice(a, a + int(rng.integers(1, 5))) for a in low)
        lesions[box] = np.where(rng.uniform(size=lesions[box].shape) < 0.8, number, lesions[box])
    return suv, lesions


def measured(suv, lesions, spacing, direction=(1, 0, 0, 0, 1, 0, 0, 0, 1)):
    volume = PetVolume(suv=suv, spacing=spacing, origin=(3.0, -5.0, 7.0), direction=direction)
    return measure(suv, lesions, np.zeros(suv.shape, np.uint8), volume=volume)


@given(SEEDS, SPACINGS)
def test_the_maximum_bounds_the_peak_and_the_mean_and_volumes_add_up(seed, spacing):
    suv, lesions = a_case(seed)
    found = measured(suv, lesions, spacing)
    voxel_ml = np.prod(spacing) / 1000
    for lesion in found.lesions:
        inside = suv[lesions == lesion.number]
        assert inside.min() - 1e-6 <= lesion.suv_mean <= lesion.suv_max + 1e-6
        assert lesion.suv_peak <= suv.max() + 1e-6
        assert lesion.mtv_ml == pytest.approx(inside.size * voxel_ml)
        assert lesion.tlg_g == pytest.approx(lesion.suv_mean * lesion.mtv_ml)
        # A contour by a share of the maximum never leaves out the maximum itself.
        assert lesion.mtv_41_percent_ml >= voxel_ml * 0.999
    assert found.total.mtv_ml == pytest.approx((lesions > 0).sum() * voxel_ml)
    assert found.total.tlg_g == pytest.approx(suv[lesions > 0].sum(dtype=float) * voxel_ml, rel=1e-6)
    assert found.total.suv_max == max(lesion.suv_max for lesion in found.lesions)


@given(SEEDS, SPACINGS)
def test_a_lesion_hotter_than_its_surroundings_has_maximum_peak_and_mean_in_this_order(seed, spacing):
    """Where uptake falls from one hottest voxel in all directions, a 1 mL sphere averages less."""
    rng = np.random.default_rng(seed)
    z, y, x = np.indices(SHAPE)
    top = [int(rng.integers(4, n - 4)) for n in SHAPE]
    squared = (
        ((z - top[0]) * spacing[2]) ** 2 + ((y - top[1]) * spacing[1]) ** 2 + ((x - top[2]) * spacing[0]) ** 2
    )
    suv = (0.5 + 9.5 * np.exp(-squared / (2 * 9.0**2))).astype(np.float32)
    lesions = (suv >= 0.41 * suv.max()).astype(np.int32)
    (lesion,) = measured(suv, lesions, spacing).lesions
    assert lesion.suv_max >= lesion.suv_peak >= lesion.suv_mean or lesion.mtv_ml < 1.0


@settings(max_examples=40)
@given(SEEDS, SPACINGS, st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3))
def test_turning_or_mirroring_the_array_with_its_voxels_changes_no_value(seed, spacing, order, mirrored):
    suv, lesions = a_case(seed)
    before = measured(suv, lesions, spacing)
    flips = tuple(slice(None, None, -1 if m else 1) for m in mirrored)
    turned = [np.ascontiguousarray(a.transpose(order)[flips]) for a in (suv, lesions)]
    after = measured(*turned, tuple(spacing[::-1][axis] for axis in order)[::-1])
    for one, other in zip(before.lesions, after.lesions, strict=True):
        for name in VALUES:
            assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-5), name


@given(SEEDS, SPACINGS, st.floats(0.01, 100.0))
def test_scaling_the_image_scales_every_suv_and_no_volume(seed, spacing, scale):
    suv, lesions = a_case(seed)
    plain, scaled = (
        measured(suv, lesions, spacing),
        measured((suv * scale).astype(np.float32), lesions, spacing),
    )
    for one, other in zip(plain.lesions, scaled.lesions, strict=True):
        assert other.mtv_ml == one.mtv_ml
        for name in ("suv_max", "suv_peak", "suv_mean", "tlg_g"):
            assert getattr(other, name) == pytest.approx(scale * getattr(one, name), rel=1e-5)


@given(SEEDS, SPACINGS)
def test_splitting_a_lesion_keeps_total_volume_and_glycolysis(seed, spacing):
    suv, lesions = a_case(seed)
    mask = lesions == 1
    half = mask & (np.indices(SHAPE)[2] % 2 == 0)
    total = tlg(suv, mask, spacing)
    assert tlg(suv, half, spacing) + tlg(suv, mask & ~half, spacing) == pytest.approx(total, rel=1e-9)


@given(SEEDS, SPACINGS)
def test_the_peak_of_a_larger_lesion_is_never_lower(seed, spacing):
    suv, lesions = a_case(seed)
    small, large = lesions == 1, lesions >= 1
    if small.any():
        assert suv_peak(suv, large, spacing) >= suv_peak(suv, small, spacing) - 1e-9
