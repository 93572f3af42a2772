"""Slice order, spacing and direction come from positions in space."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from dicom_builder import DEFAULT_FACTOR, ramp, write_series

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet


def test_slices_are_sorted_by_position_not_by_name_or_number(tmp_path: Path):
    stored = ramp()
    write_series(tmp_path, stored)
    volume = read_pet(tmp_path)
    assert volume.suv == pytest.approx(stored * DEFAULT_FACTOR, rel=1e-6)
    assert volume.suv.dtype == np.float32
    # Pixel Spacing is between rows, then between columns; SimpleITK's is along x first.
    assert volume.spacing == pytest.approx((5.0, 4.0, 3.0))
    assert volume.origin == (-20.0, -30.0, -100.0)
    assert volume.direction == (1, 0, 0, 0, 1, 0, 0, 0, 1)
    assert volume.voxel_volume_ml == pytest.approx(0.06)
    assert volume.warnings == ()
    assert volume.source["largest_slice_position_error_mm"] == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    "orientation",
    [
        (0, 1, 0, 0, 0, -1),
        (math.cos(0.3), math.sin(0.3), 0, -math.sin(0.3), math.cos(0.3), 0),
        (1, 0, 0, 0, math.cos(0.4), -math.sin(0.4)),
    ],
    ids=["sagittal", "turned", "oblique"],
)
def test_any_direction_is_kept_and_right_handed(tmp_path: Path, orientation: tuple[float, ...]):
    stored = ramp()
    write_series(tmp_path, stored, orientation=orientation)
    volume = read_pet(tmp_path)
    direction = np.array(volume.direction).reshape(3, 3)
    assert direction[:, 0] == pytest.approx(orientation[:3])
    assert direction[:, 1] == pytest.approx(orientation[3:])
    assert np.linalg.det(direction) == pytest.approx(1)
    assert volume.suv == pytest.approx(stored * DEFAULT_FACTOR, rel=1e-6)
    # Voxel (x=2, y=1, z=3) lies where DICOM's own formula puts it.
    expected = (
        np.array([-20, -30, -100]) + 2 * 5 * direction[:, 0] + 4 * direction[:, 1] + 9 * direction[:, 2]
    )
    image = volume.with_array(volume.suv)
    assert image.TransformIndexToPhysicalPoint((2, 1, 3)) == pytest.approx(tuple(expected))


def test_uneven_gaps_are_accepted_with_the_error_they_cause(tmp_path: Path):
    positions = [3.0 * index for index in range(10)]
    positions[4] += 0.2
    write_series(tmp_path, ramp(), positions=positions)
    volume = read_pet(tmp_path)
    assert volume.spacing[2] == pytest.approx(3.0)
    assert volume.source["largest_slice_position_error_mm"] == pytest.approx(0.2)
    assert "2.800 to 3.200 mm" in volume.warnings[0]
    assert "0.200 mm at most" in volume.warnings[0]


@pytest.mark.parametrize("shift", [0.31, 1.5])
def test_gaps_more_uneven_than_a_tenth_are_refused(tmp_path: Path, shift: float):
    positions = [3.0 * index for index in range(10)]
    positions[4] += shift
    write_series(tmp_path, ramp(), positions=positions)
    with pytest.raises(BadInput, match="Slices are missing"):
        read_pet(tmp_path)


def test_a_hole_is_refused_and_located(tmp_path: Path):
    write_series(tmp_path, ramp(), positions=[3.0 * index + (3 if index >= 6 else 0) for index in range(10)])
    with pytest.raises(BadInput, match=r"after slice 6 of 10 is 6\.00 mm, while the gaps are 3\.00 mm"):
        read_pet(tmp_path)


def test_fewer_slices_than_announced_are_warned_of(tmp_path: Path):
    write_series(tmp_path, ramp(), NumberOfSlices=14)
    assert "announces 14 slices, but the series has 10" in read_pet(tmp_path).warnings[0]


def test_several_images_at_one_place_are_refused_as_dynamic(tmp_path: Path):
    positions = [3.0 * (index % 10) for index in range(20)]
    write_series(tmp_path, ramp(20), positions=positions, SeriesType=["DYNAMIC", "IMAGE"])
    with pytest.raises(BadInput, match=r"20 images at 10 positions. It is 4-D, dynamic or gated \(dynamic"):
        read_pet(tmp_path)


def test_slices_sheared_against_each_other_are_refused(tmp_path: Path):
    def tilt(header, index):
        x, y, z = header.ImagePositionPatient
        header.ImagePositionPatient = [x, f"{float(y) + 0.5 * index}", z]

    write_series(tmp_path, ramp(), each=tilt)
    with pytest.raises(BadInput, match="tilted gantry"):
        read_pet(tmp_path)


def test_slices_of_differing_orientation_are_refused(tmp_path: Path):
    def turn(header, index):
        if index == 5:
            header.ImageOrientationPatient = [0, 1, 0, -1, 0, 0]

    write_series(tmp_path, ramp(), each=turn)
    with pytest.raises(BadInput, match="differ in ImageOrientationPatient"):
        read_pet(tmp_path)


def test_slices_of_differing_size_are_refused(tmp_path: Path):
    uid = write_series(tmp_path, ramp(9))
    write_series(tmp_path / "more", ramp(1, 12, 12), positions=[27.0], SeriesInstanceUID=uid)
    with pytest.raises(BadInput, match="differ in size"):
        read_pet(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "PixelSpacing", "ImageOrientationPatient"])
def test_a_slice_without_its_place_is_refused(tmp_path: Path, keyword: str):
    def remove(header, index):
        if index == 3:
            delattr(header, keyword)

    write_series(tmp_path, ramp(), each=remove)
    with pytest.raises(BadInput, match=f"no valid {keyword}"):
        read_pet(tmp_path)


def test_a_single_slice_is_refused(tmp_path: Path):
    write_series(tmp_path, ramp(1))
    with pytest.raises(BadInput, match="single slice"):
        read_pet(tmp_path)
