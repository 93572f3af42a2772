"""Volumes by threshold, SUL, PERCIST and the Deauville score against values worked out by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.lean_body_mass import BodyMeasures
from AMDiffLib.quantification.lesion_regions import regions_of
from AMDiffLib.quantification.measurements import MeasureOptions, measure, measure_anatomy
from AMDiffLib.quantification.response_criteria import (
    deauville_score,
    patient_deauville,
    percist_threshold,
)

SPACING = (2.0, 2.0, 2.0)
VOXEL_ML = 0.008
SHAPE = (60, 60, 60)
LIVER_LABEL, AORTA_LABEL = 2, 8
MAN = BodyMeasures(height_m=1.78, weight_kg=110.0, sex="M")


def a_volume(suv: np.ndarray) -> PetVolume:
    return PetVolume(suv=suv, spacing=SPACING, origin=(0, 0, 0), direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))


@pytest.fixture
def suv() -> np.ndarray:
    """A liver of SUV 2 +- 0.2 (every other voxel 1.8 and 2.2), an aorta of 1.5, tissue of 1."""
    suv = np.ones(SHAPE)
    chequered = np.indices((26, 26, 26)).sum(axis=0) % 2
    suv[2:28, 2:28, 2:28] = np.where(chequered, 1.8, 2.2)
    suv[2:42, 44:54, 44:54] = 1.5
    return suv


@pytest.fixture
def organs() -> np.ndarray:
    organs = np.zeros(SHAPE, np.uint8)
    organs[2:28, 2:28, 2:28] = LIVER_LABEL
    organs[2:42, 44:54, 44:54] = AORTA_LABEL
    return organs


def lesions_at(*boxes) -> np.ndarray:
    lesions = np.zeros(SHAPE, np.int32)
    for number, box in enumerate(boxes, start=1):
        lesions[box] = number
    return lesions


def measured(suv, lesions, organs, **options):
    return measure(suv, lesions, organs, volume=a_volume(suv), options=MeasureOptions(**options))


def test_the_volumes_at_suv_4_and_at_41_percent_hold_the_voxels_that_reach_them(suv, organs):
    # Shells of a cube: 4^3 voxels of 10 in 8^3 of 5 in 12^3 of 3.
    suv[40:52, 10:22, 10:22] = 3.0
    suv[42:50, 12:20, 12:20] = 5.0
    suv[44:48, 14:18, 14:18] = 10.0
    lesion = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs).lesions[0]
    hot, warm = 4**3, 8**3 - 4**3
    assert lesion.mtv_ml == pytest.approx(hot * VOXEL_ML)
    # The threshold volumes may be larger than the segment: 41 % of 10 is 4.1.
    assert lesion.mtv_suv_4_ml == pytest.approx((hot + warm) * VOXEL_ML)
    assert lesion.mtv_41_percent_ml == pytest.approx((hot + warm) * VOXEL_ML)
    assert lesion.tlg_suv_4_g == pytest.approx((hot * 10 + warm * 5) * VOXEL_ML)
    suv[44:48, 14:18, 14:18] = 20.0  # 41 % of 20 is 8.2
    lesion = measured(suv, lesions_at(np.s_[42:50, 12:20, 12:20]), organs).lesions[0]
    assert lesion.mtv_41_percent_ml == pytest.approx(hot * VOXEL_ML)
    assert lesion.tlg_41_percent_g == pytest.approx(hot * 20 * VOXEL_ML)
    assert lesion.mtv_suv_4_ml == pytest.approx((hot + warm) * VOXEL_ML)


def test_a_lesion_below_suv_4_has_no_volume_there_and_all_of_it_at_41_percent(suv, organs):
    suv[44:48, 14:18, 14:18] = 3.0
    lesion = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs).lesions[0]
    assert (lesion.mtv_suv_4_ml, lesion.tlg_suv_4_g) == (0.0, 0.0)
    assert lesion.mtv_41_percent_ml == pytest.approx(64 * VOXEL_ML)


def test_a_contour_ends_ten_millimetres_from_the_lesion_and_at_the_next_one(suv, organs):
    suv[44:46, 14:16, 2:58] = 8.0  # a rod along x
    alone = measured(suv, lesions_at(np.s_[44:46, 14:16, 20:24]), organs).lesions[0]
    # Five voxels of 2 mm on either side.
    assert alone.mtv_suv_4_ml == pytest.approx(2 * 2 * (4 + 10) * VOXEL_ML)
    boxes = np.s_[44:46, 14:16, 20:24], np.s_[44:46, 14:16, 26:30]
    first, second = measured(suv, lesions_at(*boxes), organs).lesions
    # The gap of two voxels belongs to both contours, the other lesion's voxels to neither's neighbour.
    assert first.mtv_suv_4_ml == pytest.approx(2 * 2 * (5 + 4 + 2) * VOXEL_ML)
    assert second.mtv_suv_4_ml == pytest.approx(2 * 2 * (2 + 4 + 5) * VOXEL_ML)


def test_what_is_not_connected_to_the_lesion_is_not_counted(suv, organs):
    suv[44:46, 14:16, 20:24] = 8.0
    suv[44:46, 14:16, 26:28] = 8.0  # 4 mm away, beyond a gap
    lesion = measured(suv, lesions_at(np.s_[44:46, 14:16, 20:24]), organs).lesions[0]
    assert lesion.mtv_suv_4_ml == pytest.approx(16 * VOXEL_ML)


def test_a_maximum_that_is_not_positive_has_no_41_percent(suv, organs):
    suv[44:48, 14:18, 14:18] = -0.5
    found = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs)
    assert found.lesions[0].mtv_41_percent_ml is None
    assert found.total.mtv_41_percent_ml is None
    assert found.total.mtv_ml == pytest.approx(64 * VOXEL_ML)


def test_the_lean_body_mass_is_that_of_janmahasatian():
    # By hand: BMI 110 / 1.78^2 = 34.718; 9270 * 110 / (6680 + 216 * 34.718) = 71.916 kg.
    assert MAN.lean_body_mass_kg() == pytest.approx(71.916, abs=0.005)
    # A woman of 1.60 m and 60 kg: BMI 23.4375; 9270 * 60 / (8780 + 244 * 23.4375) = 38.366 kg.
    woman = BodyMeasures(height_m=1.60, weight_kg=60.0, sex="F")
    assert woman.lean_body_mass_kg() == pytest.approx(38.366, abs=0.005)
    assert woman.sul_per_suv() == pytest.approx(0.63944, abs=1e-4)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"height_m": None}, "height"),
        ({"weight_kg": None}, "weight"),
        ({"sex": None}, "sex"),
        ({"sex": "O"}, "sex"),
        ({"height_m": 178.0}, "178 m"),
        ({"weight_kg": 110000.0}, "kg"),
    ],
)
def test_sul_is_refused_with_the_reason(missing, said, suv, organs):
    body = dataclasses.replace(MAN, **missing)
    assert said in body.reason_no_sul()
    with pytest.raises(ValueError, match=r"height|weight|sex"):
        body.lean_body_mass_kg()
    suv[44:48, 14:18, 14:18] = 9.0
    found = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs, percist=True, body=body)
    assert found.lesions[0].sul_peak is None
    assert found.lesions[0].percist_measurable is None
    assert any("No PERCIST" in remark and said in remark for remark in found.remarks)


def test_percist_compares_sul_peak_with_the_liver(suv, organs):
    suv[38:52, 8:22, 8:22] = 3.6  # holds the whole 1 mL sphere
    suv[38:52, 24:38, 8:22] = 3.2
    boxes = np.s_[41:48, 11:18, 11:18], np.s_[41:48, 27:34, 11:18]
    found = measured(suv, lesions_at(*boxes), organs, percist=True, body=MAN)
    factor = 71.916 / 110.0
    # Liver 2.0 +- 0.2: 1.5 x 2.0 + 2 x 0.2 = 3.4; the sphere holds a few voxels more of one kind.
    assert found.total.percist_threshold_sul == pytest.approx(3.4 * factor, rel=5e-3)
    hot, cool = found.lesions
    assert hot.sul_peak == pytest.approx(3.6 * factor, rel=1e-3)
    assert (hot.percist_measurable, cool.percist_measurable) == (True, False)
    assert found.total.sul_peak == hot.sul_peak
    assert percist_threshold(2.0, 0.2) == pytest.approx(3.4)
    assert percist_threshold(None, None) is None


def test_percist_without_a_liver_gives_sul_but_no_threshold(suv, organs):
    suv[44:48, 14:18, 14:18] = 9.0
    organs[organs == LIVER_LABEL] = 0
    found = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs, percist=True, body=MAN)
    assert found.lesions[0].sul_peak is not None
    assert found.lesions[0].percist_measurable is None
    assert any("sphere of 3 cm" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("suv_max", "score"), [(1.0, 2), (1.5, 2), (1.6, 3), (2.2, 3), (2.3, 4), (4.4, 4), (4.5, 5), (20.0, 5)]
)
def test_the_deauville_score_follows_blood_pool_and_liver(suv_max, score, suv, organs):
    assert deauville_score(suv_max, blood_pool_max=1.5, liver_max=2.2) == score
    suv[44:48, 14:18, 14:18] = suv_max
    found = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs, deauville=True)
    assert found.lesions[0].deauville == found.total.deauville == score


def test_a_blood_pool_above_the_liver_gives_way_to_the_liver():
    assert deauville_score(1.9, blood_pool_max=2.4, liver_max=2.0) == 2
    assert deauville_score(2.0, blood_pool_max=2.4, liver_max=2.0) == 3
    assert deauville_score(2.1, blood_pool_max=2.4, liver_max=2.0) == 4


def test_the_patients_score_is_the_highest_and_1_without_lesions(suv, organs):
    assert patient_deauville([2, 4, 3]) == 4
    assert patient_deauville([]) == 1
    assert patient_deauville([2, None]) is None
    assert measured(suv, lesions_at(), organs, deauville=True).total.deauville == 1
    assert measured(suv, lesions_at(), organs).total.deauville is None


def test_the_score_needs_both_references(suv, organs):
    suv[44:48, 14:18, 14:18] = 9.0
    organs[organs == AORTA_LABEL] = 0
    found = measured(suv, lesions_at(np.s_[44:48, 14:18, 14:18]), organs, deauville=True)
    assert found.lesions[0].deauville is found.total.deauville is None
    assert any("blood pool" in remark for remark in found.remarks)


def test_a_rejected_lesion_is_measured_but_leaves_the_totals(suv, organs):
    suv[44:48, 14:18, 14:18] = 9.0
    suv[44:48, 30:34, 14:18] = 5.0
    lesions = lesions_at(np.s_[44:48, 14:18, 14:18], np.s_[44:48, 30:34, 14:18])
    first, second = regions_of(lesions)
    rejected = dataclasses.replace(first, rejected_as="bladder")
    anatomy = Anatomy.of((rejected, second), organs, a_volume(suv))
    found = measure_anatomy(suv, anatomy, MeasureOptions(deauville=True))
    assert [lesion.rejected_as for lesion in found.lesions] == ["bladder", None]
    assert found.lesions[0].tlg_g == pytest.approx(64 * 9.0 * VOXEL_ML)
    assert (found.total.lesion_count, found.total.rejected_count) == (1, 1)
    assert found.total.tlg_g == pytest.approx(64 * 5.0 * VOXEL_ML)
    assert found.total.mtv_suv_4_ml == pytest.approx(64 * VOXEL_ML)
    assert found.total.suv_max == 5.0


def test_two_lesions_of_one_number_are_refused(suv, organs):
    regions = regions_of(lesions_at(np.s_[44:48, 14:18, 14:18]))
    with pytest.raises(ValueError, match="same number"):
        Anatomy.of((*regions, *regions), organs, a_volume(suv))
