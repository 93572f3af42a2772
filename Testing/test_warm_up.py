"""Eq. (11): the weight of the segmentation-side losses over the epochs."""

from __future__ import annotations

import pytest

from AMDiffLib.training.losses import WarmUp


@pytest.mark.parametrize(
    ("epoch", "weight"),
    [
        (0, 0.0),
        (99, 0.0),
        (100, 0.0218),
        (200, 0.060),
        (300, 0.142),
        (400, 0.287),
        (600, 0.732),
        (700, 0.925),
    ],
)
def test_the_published_schedule_has_its_values(epoch, weight):
    assert WarmUp()(epoch) == pytest.approx(weight, abs=5e-4)


def test_it_ends_at_one_and_stays_there():
    short = WarmUp(first_epoch=2, last_epoch=20)
    assert WarmUp()(800) == 1.0
    assert short(20) == short(80) == 1.0


def test_it_has_the_same_shape_whatever_the_length():
    assert WarmUp(first_epoch=1, last_epoch=8)(4) == pytest.approx(WarmUp()(400))
