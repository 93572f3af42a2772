"""Lesions, totals and organs are measured, and written with their units."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.image.volume import PetVolume
from AMDiffLib.quantification.column_definitions import INTERVALS
from AMDiffLib.quantification.location import locate
from AMDiffLib.quantification.measurements import measure

LIVER, LUNG, KIDNEY = 2, 3, 6
SPACING = (4.0, 4.0, 5.0)
VOXEL_ML = 0.08
# Turned by 90 degrees about z and with slices from head to feet, as some series are stored.
DIRECTION = (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)


@pytest.fixture
def a_volume() -> PetVolume:
    suv = np.random.default_rng(1).uniform(0.5, 1.5, (20, 24, 28)).astype(np.float32)
    return PetVolume(suv=suv, spacing=SPACING, origin=(10.0, -20.0, 30.0), direction=DIRECTION)


@pytest.fixture
def organs(a_volume) -> np.ndarray:
    organs = np.zeros(a_volume.suv.shape, np.uint8)
    organs[2:10, 2:10, 2:12] = LIVER
    organs[12:18, 2:10, 2:12] = LUNG
    return organs


@pytest.fixture
def lesions(a_volume) -> np.ndarray:
    """1 mostly in the liver, 2 in nothing and 3 voxels (12 mm) from the liver, 3 half in the lung."""
    lesions = np.zeros(a_volume.suv.shape, np.int32)
    lesions[4:7, 4:7, 9:13] = 1
    lesions[4:6, 4:6, 14:16] = 2
    lesions[11:13, 3, 3] = 3
    return lesions


def test_lesion_values_agree_with_simpleitk(a_volume, lesions, organs):
    statistics = sitk.LabelIntensityStatisticsImageFilter()
    statistics.Execute(a_volume.with_array(lesions), a_volume.with_array(a_volume.suv))
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume).lesions
    assert [lesion.number for lesion in measured] == list(statistics.GetLabels()) == [1, 2, 3]
    for lesion in measured:
        n = lesion.number
        assert lesion.suv_max == pytest.approx(statistics.GetMaximum(n))
        assert lesion.suv_mean == pytest.approx(statistics.GetMean(n))
        assert lesion.mtv_ml == pytest.approx(statistics.GetPhysicalSize(n) / 1000)
        assert lesion.tlg_g == pytest.approx(statistics.GetSum(n) * VOXEL_ML)
        assert lesion.centroid_lps_mm == pytest.approx(statistics.GetCentroid(n))
        assert lesion.suv_mean <= lesion.suv_max


def test_centroid_index_and_position_are_of_one_point(a_volume, lesions, organs):
    lesion = measure(a_volume.suv, lesions, organs, volume=a_volume).lesions[1]
    assert lesion.centroid_index == (14.5, 4.5, 4.5)
    image = a_volume.with_array(a_volume.suv)
    assert lesion.centroid_lps_mm == pytest.approx(
        image.TransformContinuousIndexToPhysicalPoint(lesion.centroid_index)
    )


def test_a_lesion_lies_in_the_organ_that_holds_most_of_it_or_in_the_nearest(a_volume, lesions, organs):
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume).lesions
    first, second, third = (lesion.location for lesion in measured)
    assert (first.organ, first.distance_mm, first.inside_percent) == ("liver", 0.0, 75.0)
    assert (second.organ, second.distance_mm, second.inside_percent) == ("liver", 12.0, 0.0)
    assert (third.organ, third.distance_mm, third.inside_percent) == ("lung", 0.0, 50.0)


def test_a_lesion_far_from_the_only_organ_is_still_located():
    organs = np.zeros((60, 30, 30), np.uint8)
    organs[58, 1, 1] = KIDNEY
    found = locate(np.array([[2, 1, 1], [3, 1, 1]]), organs, (4, 4, 4))
    assert (found.organ, found.distance_mm) == ("kidney", 220.0)


def test_the_nearest_organ_is_found_although_another_lies_in_the_corner_of_the_first_box():
    organs = np.zeros((40, 40, 40), np.uint8)
    organs[20 - 7, 20 - 7, 20 - 7] = LUNG  # 48 mm away, inside the box of 30 mm around the lesion
    organs[20, 20, 20 + 9] = LIVER  # 36 mm away, outside that box
    found = locate(np.array([[20, 20, 20]]), organs, (4, 4, 4))
    assert (found.organ, found.distance_mm) == ("liver", 36.0)


def test_without_any_organ_the_location_is_unknown(a_volume, lesions, tmp_path):
    measured = measure(a_volume.suv, lesions, np.zeros_like(lesions), volume=a_volume)
    assert {(lesion.location.organ, lesion.location.distance_mm) for lesion in measured.lesions} == {
        ("unknown", None)
    }
    found = {(organ.suv_mean, organ.suv_max, organ.volume_ml) for organ in measured.organs}
    assert found == {(None, None, 0.0)}
    measured.to_csv(tmp_path / "measurements.csv")
    measured.to_json(tmp_path / "measurements.json")


def test_totals_are_sums_and_maxima_of_the_lesions(a_volume, lesions, organs):
    total = measure(a_volume.suv, lesions, organs, volume=a_volume).total
    values = a_volume.suv[lesions > 0].astype(float)
    assert total.lesion_count == 3
    assert total.mtv_ml == pytest.approx(values.size * VOXEL_ML)
    assert total.tlg_g == pytest.approx(values.sum() * VOXEL_ML)
    assert total.suv_max == pytest.approx(values.max())
    assert total.suv_mean == pytest.approx(values.mean())


def test_lesion_voxels_are_left_out_of_organ_values(a_volume, lesions, organs):
    suv = np.where(lesions > 0, 50.0, 2.0)
    liver = next(o for o in measure(suv, lesions, organs, volume=a_volume).organs if o.name == "liver")
    assert (liver.suv_mean, liver.suv_max) == (2.0, 2.0)
    assert liver.volume_ml == pytest.approx((8 * 8 * 10 - 27) * VOXEL_ML)


def test_peak_of_a_lesion_uses_the_tissue_around_it(a_volume, lesions, organs):
    suv = np.full(a_volume.suv.shape, 4.0)
    peaks = [lesion.suv_peak for lesion in measure(suv, lesions, organs, volume=a_volume).lesions]
    assert peaks == pytest.approx([4.0, 4.0, 4.0])


def test_a_patient_without_lesions_has_empty_totals(a_volume, organs):
    measured = measure(a_volume.suv, np.zeros(organs.shape, np.int32), organs, volume=a_volume)
    assert measured.lesions == ()
    assert (measured.total.lesion_count, measured.total.tlg_g, measured.total.suv_max) == (0, 0.0, None)


def test_csv_is_one_table_with_units_in_its_names(a_volume, lesions, organs, tmp_path):
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume)
    measured.to_csv(tmp_path / "measurements.csv")
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["kind"] for row in rows] == ["lesion"] * 3 + ["total"] + ["organ"] * 7 + ["reference"] * 2
    assert all("Not for diagnosis" in row["notice"] for row in rows)
    assert float(rows[0]["tlg_g"]) == pytest.approx(measured.lesions[0].tlg_g, rel=1e-5)
    assert rows[0]["name"] == "Lesion 1"
    assert float(rows[3]["mtv_ml"]) == pytest.approx(sum(float(row["mtv_ml"]) for row in rows[:3]), rel=1e-5)
    assert rows[3]["lesion_count"] == "3"
    assert (rows[6]["name"], rows[6]["suv_mean_g_per_ml"], rows[6]["volume_ml"]) == ("bone", "", "0")
    assert rows[4]["name"] == "liver"


def test_json_holds_the_same_values_and_says_what_they_mean(a_volume, lesions, organs, tmp_path):
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume)
    beside = measure(2.0 * a_volume.suv, lesions, organs, volume=a_volume)
    measured.to_json(tmp_path / "measurements.json", beside)
    content = json.loads((tmp_path / "measurements.json").read_text(encoding="utf-8"))
    assert content["lesions"][1]["suv_peak_g_per_ml"] == measured.lesions[1].suv_peak
    assert content["lesions"][1]["low_count_suv_peak_g_per_ml"] == beside.lesions[1].suv_peak
    assert content["total"]["lesion_count"] == 3
    assert len(content["organs"]) == 7
    assert "Not for diagnosis" in content["notice"]
    everything = (*content["lesions"], content["total"], *content["organs"], *content["references"])
    of_intervals = {column for columns in INTERVALS.values() for column in columns}
    assert {key for row in everything for key in row} == set(content["definitions"]) - of_intervals
    assert "1 mL sphere" in content["definitions"]["suv_peak_g_per_ml"]
    assert "denoised" in content["definitions"]["suv_peak_g_per_ml"]
    assert "low-count" in content["definitions"]["low_count_suv_peak_g_per_ml"]


def test_low_count_and_denoised_values_stand_side_by_side(a_volume, lesions, organs, tmp_path):
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume)
    beside = measure(2.0 * a_volume.suv, lesions, organs, volume=a_volume)
    measured.to_csv(tmp_path / "measurements.csv", beside)
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    # Lesions, total, the three lowest organs of which two are there: twice the SUV, twice the TLG, one MTV.
    for row in (*rows[:4], rows[4], rows[5]):
        for name in ("suv_max_g_per_ml", "suv_mean_g_per_ml"):
            assert float(row[f"low_count_{name}"]) == pytest.approx(2 * float(row[name]), rel=1e-4)
    assert float(rows[0]["low_count_tlg_g"]) == pytest.approx(2 * float(rows[0]["tlg_g"]), rel=1e-4)
    assert "low_count_mtv_ml" not in rows[0]


def test_measurements_of_other_lesions_do_not_stand_side_by_side(a_volume, lesions, organs, tmp_path):
    measured = measure(a_volume.suv, lesions, organs, volume=a_volume)
    fewer = measure(a_volume.suv, np.where(lesions == 3, 0, lesions), organs, volume=a_volume)
    with pytest.raises(ValueError, match="same lesions"):
        measured.to_csv(tmp_path / "measurements.csv", fewer)


def test_values_that_are_not_numbers_and_other_shapes_are_refused(a_volume, lesions, organs):
    with pytest.raises(ValueError, match="shape"):
        measure(a_volume.suv[1:], lesions, organs, volume=a_volume)
    suv = a_volume.suv.copy()
    suv[0, 0, 0] = np.nan
    with pytest.raises(ValueError, match="finite"):
        measure(suv, lesions, organs, volume=a_volume)
