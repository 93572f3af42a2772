"""The studies read a real series' place, dose and counts as its header states them."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent / "studies"))

from real_series import box_around, describe, read_series

from AMDiffLib.image.volume import PetVolume


@pytest.fixture
def a_volume() -> PetVolume:
    return PetVolume(
        suv=np.zeros((10, 20, 30), np.float32),
        spacing=(2.0, 3.0, 4.0),
        origin=(-10.0, 5.0, 100.0),
        direction=tuple(np.eye(3).ravel()),
    )


def test_a_box_of_odd_size_is_centred_on_the_voxel_of_its_point(a_volume):
    # x: (10 + 10) / 2 = voxel 10; y: (35 - 5) / 3 = voxel 10; z: (120 - 100) / 4 = voxel 5.
    box = box_around(a_volume, (10.0, 35.0, 120.0), (3, 5, 7))
    assert box == (slice(4, 7), slice(8, 13), slice(7, 14))


def test_a_box_beyond_the_image_is_refused(a_volume):
    with pytest.raises(ValueError, match="not within the image"):
        box_around(a_volume, (10.0, 35.0, 134.0), (5, 3, 3))


def test_a_discovery_st_series_was_scanned_with_septa_at_so_many_prompts_a_slice(pet_data):
    volume, headers = read_series(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image")
    scan = describe(volume, headers, slice(136, 138))
    assert scan.collimator == "RING"
    assert scan.prompts_per_slice == (227_787 + 258_037) / 2
    assert scan.spacing_mm == pytest.approx((3.27, 4.6875, 4.6875), abs=0.001)
    # Injected at 10:35, scan started at 11:20:11, the fourth bed 12 min 9 s later.
    assert scan.uptake_minutes == pytest.approx(45 + 11 / 60 + 12 + 9 / 60)
    assert (scan.weight_kg, scan.height_cm, scan.minutes) == pytest.approx((71.0, 163.0, 4.0))
