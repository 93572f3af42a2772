"""The benchmarks count windows and multiplications as the published figures and closed forms have them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "benchmarks"))
from work import gmac, windows

from AMDiffLib.networks.config import COMPACT, DenoiserConfig, SegmenterConfig


# 440 x 440 x 620 voxels in windows of 128: without overlap 4 x 4 x 5; 32 apart 11 x 11 x 17.
@pytest.mark.parametrize(("stride", "count"), [(128, 80), (32, 2057)])
def test_windows_are_counted_as_the_published_cost_needs(stride, count):
    assert windows((620, 440, 440), 128, stride) == count


def test_a_volume_smaller_than_a_window_is_one_window():
    assert windows((100, 100, 129), 128, 32) == 2


def test_multiplications_of_plain_convolutions_are_counted_in_closed_form():
    small = replace(
        COMPACT,
        denoiser=DenoiserConfig(channels=(8, 8, 8, 32)),
        segmenter=SegmenterConfig(channels=4, blocks=2, d_state=4),
    )
    counted = gmac(small, (32, 32, 32))
    # 3 x 3 x 3 voxels, from 2 channels to 12, 12 and at last 2, or 1 in the uncertainty head.
    voxels = 32**3 / 1e9
    assert counted["revise"] == pytest.approx(27 * (2 * 12 + 12 * 12 + 12 * 2) * voxels, rel=1e-9)
    assert counted["uncertainty"] == pytest.approx(27 * (2 * 12 + 12 * 12 + 12 * 1) * voxels, rel=1e-9)
    assert gmac(small, (32, 64, 64))["segment"] == pytest.approx(4 * counted["segment"], rel=0.01)
