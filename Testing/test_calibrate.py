"""From observations to a model's calibration.json and its coverage, and a job that uses it."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import pytest
import SimpleITK as sitk
from calibration_cases import observed_people
from small_cases import a_tiny_model, saved_tiny_model, written_patient
from test_intervals import a_calibration

from AMDiffLib import calibrate, denoise_segment
from AMDiffLib.calibration.observations import write_observations
from AMDiffLib.errors import BadCheckpoint
from AMDiffLib.inference.weights import (
    read_calibration,
    read_config,
    save_calibration,
    save_model,
    write_config,
)


@pytest.fixture
def a_model(tmp_path) -> Path:
    return saved_tiny_model(tmp_path / "tiny", uncertainty=True)


def observations(path: Path, model: Path, *, seed: int, people: int, first: int = 0) -> str:
    run = {"name": "tiny", "sha256": read_config(model)["sha256"], "manifest": "manifest.json"}
    write_observations(path, observed_people(seed, people, first=first), run=run)
    return str(path)


def calibrated(model: Path) -> Path:
    """Give the model a calibration whose intervals reach from half to twice the measured value."""
    calibration = a_calibration()
    save_calibration(
        type(calibration)(**{**vars(calibration), "model_sha256": read_config(model)["sha256"]}), model
    )
    return model


def test_a_model_is_calibrated_with_some_people_and_judged_with_others(a_model, tmp_path, capsys):
    some = observations(tmp_path / "some.json", a_model, seed=0, people=18)
    others = observations(tmp_path / "others.json", a_model, seed=1, people=30, first=100)
    assert calibrate.main(["fit", "--observations", some, "--model", str(a_model)]) == 0
    content = json.loads((a_model / "calibration.json").read_text(encoding="utf-8"))
    assert content["model_sha256"] == read_config(a_model)["sha256"]
    assert content["reference"] == "high_count"
    assert len(content["cohort"]["subjects"]) == 18
    assert content["cohort"]["runs"][0]["manifest"] == "manifest.json"

    output = tmp_path / "coverage"
    arguments = ["check", "--observations", others, "--model", str(a_model), "--output", str(output)]
    capsys.readouterr()
    assert calibrate.main(arguments) == 0
    assert "| lesion | SUVmax | all | 30 |" in capsys.readouterr().out
    with (output / "coverage.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    whole = next(r for r in rows if (r["quantity"], r["by"], r["confidence"]) == ("mtv_ml", "all", "0.9"))
    assert float(whole["covered_low"]) <= float(whole["covered"]) <= float(whole["covered_high"])
    assert 0.8 < float(whole["covered"]) < 0.98
    assert float(whole["covered"]) + float(whole["below"]) + float(whole["above"]) == pytest.approx(
        1, abs=1e-3
    )
    assert 5_000 < (output / "calibration.png").stat().st_size < 60_000


def test_people_of_the_calibration_do_not_judge_it(a_model, tmp_path, capsys):
    some = observations(tmp_path / "some.json", a_model, seed=0, people=18)
    calibrate.main(["fit", "--observations", some, "--model", str(a_model)])
    arguments = ["check", "--observations", some, "--model", str(a_model), "--output", str(tmp_path / "out")]
    assert calibrate.main(arguments) == 2
    assert "person-0" in capsys.readouterr().err


def test_observations_of_another_model_are_refused(a_model, tmp_path, capsys):
    some = observations(tmp_path / "some.json", a_model, seed=0, people=18)
    save_model(a_tiny_model(seed=1, uncertainty=True), a_model)
    assert calibrate.main(["fit", "--observations", some, "--model", str(a_model)]) == 2
    assert "The observations are of weights with the sha256" in capsys.readouterr().err
    assert calibrate.main(["fit", "--observations", some, some, "--model", str(a_model)]) == 2
    assert "another file holds too" in capsys.readouterr().err


def test_the_calibration_is_whole_and_of_the_models_own_weights(a_model):
    assert read_calibration(a_model) is None
    calibrated(a_model)
    path = a_model / "calibration.json"
    assert read_config(a_model)["calibration_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_calibration(a_model).reference == "high_count"

    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"high_count", b"high_c0unt"))
    with pytest.raises(BadCheckpoint, match="damaged"):
        read_calibration(a_model)
    path.unlink()
    with pytest.raises(BadCheckpoint, match=r"has no calibration\.json"):
        read_calibration(a_model)

    path.write_bytes(whole)
    write_config(a_model, {**read_config(a_model), "sha256": "f" * 64})
    with pytest.raises(BadCheckpoint, match="belongs to other weights"):
        read_calibration(a_model)


def test_a_calibration_of_other_weights_is_not_saved_and_goes_with_its_own(a_model):
    with pytest.raises(BadCheckpoint, match="found with other weights"):
        save_calibration(a_calibration(), a_model)
    calibrated(a_model)
    save_model(a_tiny_model(seed=1, uncertainty=True), a_model)
    assert not (a_model / "calibration.json").exists()
    assert read_calibration(a_model) is None


def run_job(tmp_path: Path, model: Path) -> Path:
    scan, output = written_patient(tmp_path / "scan.nrrd"), tmp_path / "results"
    arguments = [str(scan), "--output-dir", str(output), "--model", str(model), "--units", "SUVbw"]
    assert denoise_segment.main([*arguments, "--device", "cpu", "--tile", "48", "--steps", "1"]) == 0
    return output


def test_a_job_writes_the_map_the_intervals_and_what_made_them(a_model, tmp_path):
    output = run_job(tmp_path, calibrated(a_model))
    image = sitk.ReadImage(str(output / "uncertainty.nrrd"))
    scan = sitk.ReadImage(str(tmp_path / "scan.nrrd"))
    assert image.GetMetaData("voxel_units") == "{SUVbw}g/ml"
    assert "standard deviation" in image.GetMetaData("voxel_content")
    assert image.GetPixelIDTypeAsString() == "32-bit float"
    assert (image.GetSize(), image.GetSpacing()) == (scan.GetSize(), scan.GetSpacing())
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert "uncertainty.nrrd" in report["files"]
    assert report["run"]["seconds"]["uncertainty"] > 0
    assert report["uncertainty"]["intervals"] == {"confidence": 0.9, "reference": "high_count"}
    assert report["uncertainty"]["calibration"] == json.loads(
        (a_model / "calibration.json").read_text(encoding="utf-8")
    )
    measured = json.loads((output / "measurements.json").read_text(encoding="utf-8"))
    rows = [*measured["lesions"], *measured["organs"]]
    # Of the random model some regions hold no activity, and no factor of it is an interval.
    rows = [row for row in rows if (row["suv_mean_g_per_ml"] or 0) > 0]
    assert len(rows) > 1
    for row in rows:
        assert row["suv_mean_high_g_per_ml"] == pytest.approx(2 * row["suv_mean_g_per_ml"])


def test_a_model_that_is_not_calibrated_has_a_map_without_intervals(a_model, tmp_path):
    output = run_job(tmp_path, a_model)
    assert (output / "uncertainty.nrrd").is_file()
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["uncertainty"]["intervals"] is None
    assert "not been calibrated" in report["uncertainty"]["note"]
    assert "suv_mean_high_g_per_ml" not in json.loads((output / "measurements.json").read_text())["organs"][0]


def test_a_model_without_the_head_works_without_map_and_says_so(tmp_path):
    output = run_job(tmp_path, saved_tiny_model(tmp_path / "without"))
    assert not (output / "uncertainty.nrrd").exists()
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    assert report["uncertainty"]["map"] is None
    assert "no uncertainty head" in report["uncertainty"]["note"]
