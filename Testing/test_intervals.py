"""Intervals hold the truth as often as they say, and say where they do not apply."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from calibration_cases import observed_people

from AMDiffLib.calibration.coverage import measure_coverage
from AMDiffLib.calibration.fit import conformal_quantiles, fit_error_models
from AMDiffLib.calibration.observations import match_lesions, observe_case
from AMDiffLib.errors import BadInput
from AMDiffLib.evaluation.cases import EvaluationCase
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.calibration import Calibration, ErrorModel, Features
from AMDiffLib.quantification.column_definitions import INTERVALS
from AMDiffLib.quantification.interval_features import lesion_features
from AMDiffLib.quantification.intervals import LESION, ORGAN, QUANTITIES, TOTAL, Uncertainty, calibrated_name
from AMDiffLib.quantification.lesion_regions import regions_of
from AMDiffLib.quantification.measurements import measure_anatomy

SHAPE, SPACING, VOXEL_ML = (24, 24, 24), (4.0, 4.0, 4.0), 0.064
LIVER = 2


def an_error_model(**changes) -> ErrorModel:
    """The truth lies between half and twice the measured value, whatever the features."""
    values = {
        "location": (0.0, 0.0, 0.0, 0.0),
        "log_scale": (math.log(math.log(2.0)), 0.0, 0.0, 0.0),
        "lowest": (-5.0, -5.0, -5.0),
        "highest": (5.0, 5.0, 5.0),
        "quantiles": {"all": {0.05: -1.0, 0.95: 1.0}},
    }
    return ErrorModel(**{**values, **changes})


def a_calibration(model: ErrorModel | None = None) -> Calibration:
    models = {
        calibrated_name(kind, q): model or an_error_model() for kind in QUANTITIES for q in QUANTITIES[kind]
    }
    return Calibration(
        model_sha256="0" * 64,
        reference="high_count",
        references={"high_count": models},
        cohort={"subjects": []},
    )


def lesions_and_organs() -> tuple[np.ndarray, np.ndarray]:
    """Two lesions of 27 and 8 voxels, one of them in a liver of 1000."""
    lesions, organs = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.uint8)
    organs[2:12, 2:12, 2:12] = LIVER
    lesions[4:7, 4:7, 4:7] = 1
    lesions[18:20, 18:20, 18:20] = 2
    return lesions, organs


def a_volume(suv: np.ndarray) -> PetVolume:
    identity = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    return PetVolume(
        suv=suv.astype(np.float32), spacing=SPACING, origin=(0.0, 0.0, 0.0), direction=identity, source={}
    )


def test_a_conformal_quantile_is_an_order_statistic_of_the_finite_sample():
    z = np.random.default_rng(0).permutation(np.arange(1.0, 40.0))
    quantiles = conformal_quantiles(z, np.ones(39))
    # Of 39 values that of rank 40 x 0.95 = 38 from below, and from above.
    assert (quantiles[0.95], quantiles[0.05]) == (pytest.approx(38.0), pytest.approx(2.0))
    few = conformal_quantiles(z[:10], np.ones(10))
    assert (few[0.95], few[0.05]) == (z[:10].max(), z[:10].min())
    # Values of no weight are not there.
    with_another = conformal_quantiles(np.append(z, 1000.0), np.append(np.ones(39), 0.0))
    assert with_another[0.95] == pytest.approx(38.0)


def test_intervals_of_18_people_hold_the_truth_of_others_as_often_as_they_say():
    covered = {}
    for seed in range(3):
        models = fit_error_models(observed_people(seed, 18))
        calibration = Calibration(model_sha256="", reference="high_count", references=models, cohort={})
        others = observed_people(100 + seed, 150)
        for coverage in measure_coverage(others, calibration, confidences=(0.5, 0.9)):
            if coverage.by in ("all", "counts"):
                key = coverage.confidence, coverage.quantity, coverage.group
                covered.setdefault(key, []).append(coverage.covered)
    assert len(covered) == 2 * 5 * 4
    for (confidence, *share), shares in covered.items():
        assert np.mean(shares) == pytest.approx(confidence, abs=0.08 if confidence == 0.5 else 0.05), share


def test_intervals_are_wider_where_the_map_is():
    models = fit_error_models(observed_people(1, 40))["high_count"]
    model = models[calibrated_name(LESION, "suv_max")]

    def width(**changes) -> float:
        features = replace(Features(volume_ml=2.0, relative_sd=0.1, rim=0.3), **changes)
        low, high = model.factors(features, "none")
        return math.log(high / low)

    assert width(relative_sd=0.2) > 1.3 * width()
    assert width(volume_ml=0.5) > 1.1 * width()
    # The simulated bias, exp(0.3 - 0.1 ln V), is in the middle of the 10 % interval.
    low, high = model.factors(Features(volume_ml=2.0, relative_sd=0.1, rim=0.3), "none", confidence=0.1)
    assert math.log(low * high) / 2 == pytest.approx(0.3 - 0.1 * math.log(2.0), abs=0.06)


def test_a_line_is_not_followed_beyond_what_was_seen():
    model = an_error_model(location=(0.0, -1.0, 0.0, 0.0), lowest=(0.0, -5.0, -5.0))
    seen, beyond = (Features(volume_ml=v, relative_sd=0.1, rim=0.5) for v in (1.0, 0.01))
    assert model.factors(beyond, "all") == model.factors(seen, "all")


def test_too_few_people_make_no_intervals():
    with pytest.raises(BadInput, match=r"at least 20 of 4 people"):
        fit_error_models(observed_people(0, 3))


def test_merged_and_split_lesions_have_a_truth_and_false_positives_have_none():
    true, marked = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    true[2:4, 2:4, 2:4], true[2:4, 2:4, 6:8] = 1, 2  # merged by mark 1
    marked[2:4, 2:4, 2:8] = 1
    true[10:12, 2:4, 2:20] = 3  # split into marks 2 and 3, nearer to 2 up to x = 8
    marked[10:12, 2:4, 2:4] = 2
    marked[10:12, 2:4, 14:20] = 3
    marked[20:22, 20:22, 20:22] = 4  # false positive
    true[20:22, 2:4, 2:4] = 4  # missed
    regions, share = match_lesions(marked, true, SPACING)
    assert [region.number for region in regions] == [1, 2, 3]
    assert (share == 1).sum() == 16
    assert (share[10:12, 2:4, 2:9] == 2).all()
    assert (share[10:12, 2:4, 9:20] == 3).all()
    assert not share[20:22].any()


def test_a_case_is_observed_with_its_measured_and_true_values():
    lesions, organs = lesions_and_organs()
    true = np.where(lesions == 1, 1, 0)
    true[7, 4:7, 4:7] = 1  # the true lesion is a third larger
    truth = np.where(true > 0, 8.0, 1.0)
    truth[4, 4, 4] = 10.0
    case = EvaluationCase(
        subject="someone",
        scanner="mct",
        counts_percent=10.0,
        low_count=a_volume(truth),
        references={"truth": truth},
        organs=organs,
        lesions=true,
    )
    denoised = np.where(lesions > 0, 6.0, 1.5)
    sd = np.full(SHAPE, 0.3)
    found = observe_case(case, denoised, sd, lesions, organs)
    lesion, total, liver = found
    assert (lesion.kind, lesion.group, total.kind, liver.group) == (LESION, "1 to 5 mL", TOTAL, "liver")
    assert lesion.measured["mtv_ml"] == pytest.approx(27 * VOXEL_ML)
    assert lesion.true["truth"]["mtv_ml"] == lesion.true_ml == pytest.approx(36 * VOXEL_ML)
    assert lesion.true["truth"]["suv_max"] == 10.0
    assert lesion.true["truth"]["tlg_g"] == pytest.approx((35 * 8.0 + 10.0) * VOXEL_ML)
    assert total.measured["mtv_ml"] == lesion.measured["mtv_ml"]
    assert lesion.features.relative_sd == pytest.approx(0.3 / 6.0)
    assert lesion.features.rim == pytest.approx(1.5 / 6.0)
    assert liver.measured == {"suv_mean": 1.5}
    assert liver.true["truth"]["suv_mean"] == 1.0


def test_the_rim_does_not_reach_further_than_8_mm():
    lesions, _ = lesions_and_organs()
    suv = np.full(SHAPE, 2.0)
    suv[lesions == 1] = 4.0
    suv[:2], suv[9:] = 100.0, 100.0  # 12 mm from the first lesion's outer voxels
    region = regions_of(lesions)[0]
    assert lesion_features([region], suv, np.ones(SHAPE), SPACING).rim == 0.5


def test_lesions_total_and_organs_have_intervals_and_a_rejected_lesion_has_none(tmp_path):
    lesions, organs = lesions_and_organs()
    suv = np.where(lesions > 0, 6.0, 2.0)
    first, second = regions_of(lesions)
    anatomy = Anatomy.of([first, replace(second, rejected_as="bladder")], organs, a_volume(suv))
    uncertainty = Uncertainty(sd=np.full(SHAPE, 0.5), calibration=a_calibration())
    found = measure_anatomy(suv, anatomy, uncertainty=uncertainty)
    assert set(found.lesions[0].intervals) == set(QUANTITIES[LESION])
    assert found.lesions[1].intervals == {}
    interval = found.lesions[0].intervals["suv_max"]
    assert (interval.low, interval.high) == (pytest.approx(3.0), pytest.approx(12.0))
    assert found.total.intervals["mtv_ml"].high == pytest.approx(2 * 27 * VOXEL_ML)
    by_name = {organ.name: organ for organ in found.organs}
    assert by_name["liver"].intervals["suv_mean"].low == pytest.approx(1.0)
    assert by_name["spleen"].intervals == {}

    found.to_csv(tmp_path / "measurements.csv")
    found.to_json(tmp_path / "measurements.json")
    content = json.loads((tmp_path / "measurements.json").read_text(encoding="utf-8"))
    assert content["lesions"][0]["tlg_high_g"] == pytest.approx(2 * 6.0 * 27 * VOXEL_ML)
    assert "suv_max_low_g_per_ml" not in content["lesions"][1]
    assert all(column in content["definitions"] for columns in INTERVALS.values() for column in columns)
    with (tmp_path / "measurements.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["suv_mean_low_g_per_ml"], rows[1]["suv_mean_low_g_per_ml"]) == ("3", "")


def test_an_uncertainty_map_of_another_shape_is_refused():
    lesions, organs = lesions_and_organs()
    suv = np.where(lesions > 0, 6.0, 2.0)
    anatomy = Anatomy.of(regions_of(lesions), organs, a_volume(suv))
    uncertainty = Uncertainty(sd=np.ones((4, 4, 4)), calibration=a_calibration())
    with pytest.raises(ValueError, match="uncertainty map has the shape"):
        measure_anatomy(suv, anatomy, uncertainty=uncertainty)


def test_a_calibration_survives_json_and_a_damaged_one_is_named():
    calibration = a_calibration()
    content = json.loads(json.dumps(calibration.to_dict()))
    assert Calibration.from_dict(content) == calibration
    for damage, said in (
        ({"format": "other"}, "format"),
        ({"version": 99}, "version"),
        ({"references": {}}, "high_count"),
        ({"references": {"high_count": {"lesion_suv_max": {}}}}, "quantiles"),
    ):
        with pytest.raises(ValueError, match=said):
            Calibration.from_dict({**content, **damage})
    lacking = json.loads(json.dumps(content))
    del lacking["references"]["high_count"][calibrated_name(ORGAN, "suv_mean")]["quantiles"]["all"]["0.95"]
    with pytest.raises(ValueError, match="missing"):
        Calibration.from_dict(lacking)
