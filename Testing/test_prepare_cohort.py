"""Cohorts as people have them become manifests: each layout end to end, and what is said of bad cases."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from cohort_cases import (
    LESION_SUV,
    a_person,
    an_autopet_cohort,
    an_nnunet_data_set,
    write,
    write_organs,
)
from dicom_builder import DEFAULT_FACTOR, write_series

from AMDiffLib import prepare_cohort
from AMDiffLib.cohorts.autopet import find_examinations
from AMDiffLib.cohorts.examination import Companions
from AMDiffLib.cohorts.udpet import dose_reduction
from AMDiffLib.image.reading import read_pet
from AMDiffLib.training.dataset import load_cohort
from AMDiffLib.training.manifest import read_manifest


def prepare(*arguments: object) -> int:
    return prepare_cohort.main([str(argument) for argument in arguments])


def array(path: Path) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def reasons(folder: Path) -> dict[str, str]:
    with (folder / "cases.csv").open(newline="", encoding="utf-8") as file:
        return {row["case"]: row["reason"] for row in csv.DictReader(file) if row["status"] == "failed"}


@pytest.fixture
def an_autopet(tmp_path):
    """Return the arguments that convert two people in the autoPET layout."""
    an_autopet_cohort(tmp_path)
    places = ["--low-count", f"10={tmp_path / 'low'}", "--organs", tmp_path / "organs"]
    return ["autopet", tmp_path / "cohort", *places, "--scanner", "mCT", "--output", tmp_path / "out"]


def test_an_autopet_cohort_becomes_pairs_on_one_grid(an_autopet, tmp_path):
    assert prepare(*an_autopet) == 0
    cases = read_manifest(tmp_path / "out" / "manifest.json")
    assert [(c.subject, c.patient, c.scanner, c.counts_percent) for c in cases] == [
        ("PETCT_000__01-02-2003-NA", "PETCT_000", "mCT", 10.0),
        ("PETCT_001__01-02-2003-NA", "PETCT_001", "mCT", 10.0),
    ]
    subject = load_cohort(cases[:1], voxel_size_mm=4.0)[0]
    person = a_person(0)
    assert subject.high_count.shape == (24, 24, 24)
    # 96 mm are 24 voxels of 4 mm: averaging keeps the mean of the whole image exactly.
    for new, old in ((array(cases[0].high_count), "high"), (array(cases[0].low_count), "low_10")):
        assert new.mean(dtype=np.float64) == pytest.approx(person[old].mean(dtype=np.float64), rel=1e-5)
    assert len(subject.lesion_voxels) == 2, "connected components of the mask"
    large, small = subject.lesion_voxels
    assert large.size * 0.064 == pytest.approx(6 * 8 * 8 * 0.012, rel=0.15)
    assert small.size == 1
    assert subject.high_count.ravel()[large].max() == pytest.approx(LESION_SUV, rel=0.15)
    assert set(np.unique(subject.organs)) == {0, 2, 8}
    assert (subject.organs == 2).sum() * 0.064 == pytest.approx(person["liver"].sum() * 0.012, rel=0.05)


def test_without_low_counts_no_pairs_are_made_up(tmp_path, capsys):
    an_autopet_cohort(tmp_path, people=1)
    assert prepare("autopet", tmp_path / "cohort", "--output", tmp_path / "out") == 2
    assert "Fewer counts cannot be added to a finished image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_bad_examination_is_named_and_the_others_are_taken(an_autopet, tmp_path, capsys):
    bad = tmp_path / "low" / "PETCT_000" / "01-02-2003-NA" / "SUV.nii.gz"
    write(a_person(0)["low_10"] * 0.2, bad)
    assert prepare(*an_autopet) == 8
    reason = reasons(tmp_path / "out")["PETCT_000/01-02-2003-NA"]
    assert "at 10 % counts: within the body its mean differs by -80" in reason
    assert "1 of 2 examinations could not be taken" in capsys.readouterr().err
    assert [c.patient for c in read_manifest(tmp_path / "out" / "manifest.json")] == ["PETCT_001"]


def test_the_same_command_goes_on_where_it_ended(an_autopet, tmp_path):
    bad = tmp_path / "low" / "PETCT_000" / "01-02-2003-NA" / "SUV.nii.gz"
    right = bad.read_bytes()
    bad.write_bytes(right[:1000])
    assert prepare(*an_autopet) == 8
    assert "damaged or cut short" in reasons(tmp_path / "out")["PETCT_000/01-02-2003-NA"]
    done = tmp_path / "out" / "PETCT_001__01-02-2003-NA" / "high_count.nrrd"
    written = done.stat().st_mtime_ns
    bad.write_bytes(right)
    assert prepare(*an_autopet) == 0
    assert len(read_manifest(tmp_path / "out" / "manifest.json")) == 2
    assert done.stat().st_mtime_ns == written
    assert prepare(*an_autopet, "--voxel-mm", "3") == 2, "other settings need another folder"


def test_the_studies_of_a_patient_stay_together_wherever_the_cohort_lies(tmp_path):
    for place in ("data/PETCT_1/a", "data/PETCT_1/b", "data/PETCT_2/a"):
        write(a_person(0)["high"], tmp_path / place / "SUV.nii.gz")
    found = find_examinations(tmp_path, Companions())
    assert [(e.subject, e.patient) for e in found] == [
        ("data__PETCT_1__a", "data/PETCT_1"),
        ("data__PETCT_1__b", "data/PETCT_1"),
        ("data__PETCT_2__a", "data/PETCT_2"),
    ]


def test_missing_labels_are_said_and_can_be_allowed(an_autopet, tmp_path):
    without_organs = [item for item in an_autopet if item not in ("--organs", tmp_path / "organs")]
    assert prepare(*without_organs) == 8
    assert "There are no labels of organs" in reasons(tmp_path / "out")["PETCT_000/01-02-2003-NA"]
    arguments = [*without_organs[:-1], tmp_path / "out2", "--unlabelled", "organs"]
    assert prepare(*arguments) == 0
    assert {case.unlabelled for case in read_manifest(tmp_path / "out2" / "manifest.json")} == {("organs",)}


def test_a_mask_of_another_scan_is_refused(an_autopet, tmp_path):
    file = tmp_path / "cohort" / "PETCT_001" / "01-02-2003-NA" / "SEG.nii.gz"
    mask = sitk.ReadImage(str(file))
    mask.SetOrigin((500.0, 0.0, 0.0))
    sitk.WriteImage(mask, str(file))
    assert prepare(*an_autopet) == 8
    assert "lie outside of the PET image" in reasons(tmp_path / "out")["PETCT_001/01-02-2003-NA"]


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("Full_dose", 1),
        ("2.886 x 600 WB normal", 1),
        ("1-4 dose", 4),
        ("1-100 dose", 100),
        ("2.886 x 600 WB DRF_20", 20),
        ("2.886 x 600 WB D2", 2),
        ("Anonymous-01_DRF-50", 50),
        ("PET AC", None),
        ("half_dose", None),
    ],
)
def test_a_dose_is_read_off_the_names_that_the_challenge_uses(name, factor):
    found = dose_reduction(name)
    assert (found and found[0]) == factor


def test_dose_reduction_folders_of_dicom_become_pairs_in_suv(tmp_path):
    person = a_person(0)
    names = {"high": "Full_dose", "low_25": "1-4 dose", "low_10": "1-10 dose"}
    for key, name in names.items():
        write_series(
            tmp_path / "cohort" / "Subject_1-2" / "30122021_1" / name,
            np.rint(person[key] / DEFAULT_FACTOR * 0.1).astype(np.int16),
            RescaleSlope="10",
            pixel_spacing=(2.0, 2.0),
            first_voxel=(-47.0, -47.0, -46.5),
            ManufacturerModelName="Biograph Vision Quadra",
        )
    place = Path("Subject_1-2") / "30122021_1"
    write_organs(person, tmp_path / "organs" / place)
    write(person["lesions"], tmp_path / "lesions" / f"{place}.nii.gz")
    labels = ["--organs", tmp_path / "organs", "--lesions", tmp_path / "lesions"]
    assert prepare("udpet", tmp_path / "cohort", *labels, "--output", tmp_path / "out") == 0
    cases = read_manifest(tmp_path / "out" / "manifest.json")
    assert [(c.counts_percent, c.scanner) for c in cases] == [
        (10.0, "Biograph Vision Quadra"),
        (25.0, "Biograph Vision Quadra"),
    ]
    for case, key in ((cases[0], "low_10"), (cases[1], "low_25")):
        assert array(case.low_count).mean() == pytest.approx(person[key].mean(), rel=1e-3)
    assert load_cohort(cases)[0].lesion_voxels[0].size > 60


def test_files_named_after_doses_need_a_stated_unit(tmp_path):
    person = a_person(0)
    for key, name in {"high": "Full_dose", "low_10": "DRF-10"}.items():
        write(person[key], tmp_path / "cohort" / f"Anonymous-01_{name}.nii.gz")
        write(a_person(1)[key], tmp_path / "cohort" / "two" / f"{name}.nii.gz")
    write(person["high"], tmp_path / "cohort" / "Anonymous-02_DRF-4.nii.gz")
    command = ["udpet", tmp_path / "cohort", "--unlabelled", "organs,lesions", "--scanner", "uEXPLORER"]
    assert prepare(*command, "--output", tmp_path / "bare") == 8
    assert "does not say the unit of its values" in reasons(tmp_path / "bare")["Anonymous-01"]
    assert prepare(*command, "--units", "SUVbw", "--output", tmp_path / "out") == 8
    assert reasons(tmp_path / "out").keys() == {"Anonymous-02"}
    assert "no image of full dose" in reasons(tmp_path / "out")["Anonymous-02"]
    cases = read_manifest(tmp_path / "out" / "manifest.json")
    assert [case.subject for case in cases] == ["Anonymous-01", "two"]


def test_an_nnunet_data_set_gives_its_channels_and_labels(tmp_path):
    an_nnunet_data_set(tmp_path / "Dataset001_PET")
    command = ["nnunet", tmp_path / "Dataset001_PET", "--scanner", "mCT", "--low-count", "10=0002"]
    assert prepare(*command, "--units", "SUVbw", "--output", tmp_path / "out") == 0
    (case,) = read_manifest(tmp_path / "out" / "manifest.json")
    assert case.subject == "case_000"
    assert set(np.unique(array(case.organs))) == {0, 2}
    assert array(case.lesions).max() == 2
    assert array(case.low_count).mean() == pytest.approx(a_person(0)["low_10"].mean(), rel=1e-5)


def test_an_nnunet_data_set_of_version_1_says_its_channels_by_modality(tmp_path, capsys):
    an_nnunet_data_set(tmp_path)
    description = {"modality": {"0": "CT", "1": "noNorm"}, "labels": {"0": "background", "1": "tumour"}}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    command = ["nnunet", tmp_path, "--scanner", "mCT", "--low-count", "10=2", "--units", "SUVbw"]
    command += ["--unlabelled", "organs", "--output", tmp_path / "out"]
    assert prepare(*command) == 2
    assert "does not tell which channel is the PET (its channels: 0 CT, 1 noNorm)" in capsys.readouterr().err
    assert prepare(*command, "--pet-channel", "1") == 0


def test_real_pet_crops_keep_their_activity_and_their_tumour(pet_data, tmp_path):
    for name in ("STS_003", "STS_010"):
        crop = sitk.ReadImage(str(pet_data / "sts-crops" / name / "PET_image.nii.gz"))
        mask = sitk.ReadImage(str(pet_data / "sts-crops" / name / "PET_mask.nii.gz"))
        suv = sitk.GetArrayFromImage(crop)
        # No low counts come with the crops: Poisson noise of 40 counts a voxel at SUV 1 stands for them.
        noisy = (np.random.default_rng(0).poisson(np.maximum(suv, 0) * 40) / 40).astype(np.float32)
        write(suv, tmp_path / "imagesTr" / f"{name}_0000.nii.gz", crop.GetSpacing())
        write(noisy, tmp_path / "low" / f"{name}.nii.gz", crop.GetSpacing())
        write(sitk.GetArrayFromImage(mask), tmp_path / "labelsTr" / f"{name}.nii.gz", crop.GetSpacing())
    description = {"channel_names": {"0": "PET"}, "labels": {"background": 0, "tumour": 1}}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    command = ["nnunet", tmp_path, "--scanner", "STS", "--low-count", f"10={tmp_path / 'low'}"]
    command += ["--units", "SUVbw", "--unlabelled", "organs", "--output", tmp_path / "out"]
    assert prepare(*command) == 0
    cases = read_manifest(tmp_path / "out" / "manifest.json")
    for case, tumour_ml in zip(cases, (79.9, 182.0), strict=True):
        high, lesions = array(case.high_count), array(case.lesions)
        source = array(tmp_path / "imagesTr" / f"{case.subject}_0000.nii.gz")
        labels = array(tmp_path / "labelsTr" / f"{case.subject}.nii.gz")
        assert (lesions > 0).sum() * 0.064 == pytest.approx(tumour_ml, rel=0.02)
        assert high[lesions > 0].mean() == pytest.approx(source[labels > 0].mean(), rel=0.03)


def test_a_converted_cohort_trains(an_autopet, tmp_path):
    pytest.importorskip("torch")
    from training_cases import TINY_MODEL, TINY_TRAINING

    from AMDiffLib import train

    assert prepare(*an_autopet) == 0
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps({"model": TINY_MODEL.to_dict(), "training": TINY_TRAINING.to_dict()}))
    arguments = ["--manifest", tmp_path / "out" / "manifest.json", "--output", tmp_path / "run"]
    arguments += ["--config", config, "--steps", 2, "--batch-size", 1, "--device", "cpu", "--threads", 1]
    assert train.main([str(argument) for argument in arguments]) == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


def test_the_help_shows_the_options_of_every_part(capsys):
    with pytest.raises(SystemExit):
        prepare("--help")
    text = capsys.readouterr().out
    for option in ("--low-count", "--pet-channel", "--subjects", "--parts", "--against", "--mean-limit"):
        assert option in text


def test_started_as_a_file_it_ends_with_its_exit_code(tmp_path):
    """As `Slicer --python-script AMDiffLib/prepare_cohort.py -- ...` does."""
    script = Path(prepare_cohort.__file__)
    done = subprocess.run(
        [sys.executable, str(script), "--", "check", str(tmp_path / "none.json"), "--progress", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    error = json.loads(done.stdout.splitlines()[-1])
    assert (error["type"], error["kind"]) == ("error", "bad_input")
    assert "cannot be read" in error["text"]


def test_a_real_dicom_series_is_taken_as_full_dose_with_its_scanner_and_activity(pet_data, tmp_path):
    series = pet_data / "sts001-ge-fdg" / "FDG_PET" / "image"
    folder = tmp_path / "cohort" / "p1"
    folder.mkdir(parents=True)
    (folder / "Full_dose").symlink_to(series, target_is_directory=True)
    volume = read_pet(series)
    # The scan has one level: Poisson noise of 5 counts a voxel at SUV 1 stands for the other.
    noisy = (np.random.default_rng(0).poisson(np.maximum(volume.suv, 0) * 5) / 5).astype(np.float32)
    sitk.WriteImage(volume.with_array(noisy), str(folder / "1-10 dose.nii.gz"))
    command = ["udpet", tmp_path / "cohort", "--units", "SUVbw", "--unlabelled", "organs,lesions"]
    assert prepare(*command, "--output", tmp_path / "out") == 0
    (case,) = read_manifest(tmp_path / "out" / "manifest.json")
    assert (case.scanner, case.counts_percent) == ("Discovery ST", 10.0)
    # The grid ends up to 4 mm beyond the scan: the border's values are repeated there.
    activity = volume.suv.sum(dtype=np.float64) * volume.voxel_volume_ml
    assert array(case.high_count).sum(dtype=np.float64) * 0.064 == pytest.approx(activity, rel=0.005)
