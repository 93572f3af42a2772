"""Organ labels from TotalSegmentator's output: names of both versions, one map or a mask a class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.cohorts.examination import OrganFile
from AMDiffLib.cohorts.label_resampling import organs_onto
from AMDiffLib.cohorts.totalsegmentator import organ_labels, organ_of
from AMDiffLib.errors import BadInput

LIVER, LUNG, BONE, MUSCLE, KIDNEY, SPLEEN, AORTA = range(2, 9)


def write(values: np.ndarray, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(values.astype(np.uint8)), str(path))
    return path


def a_row(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(1, 1, -1).repeat(4, axis=0).repeat(4, axis=1)


def labels_of(source: OrganFile) -> list[int]:
    return sitk.GetArrayFromImage(organ_labels(source))[0, 0].tolist()


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        ("liver", LIVER),
        ("lung_upper_lobe_left", LUNG),
        ("vertebrae_T12", BONE),
        ("rib_right_4", BONE),
        ("autochthon_left", MUSCLE),
        ("skeletal_muscle", MUSCLE),
        ("kidney_right", KIDNEY),
        ("spleen", SPLEEN),
        ("aorta", AORTA),
        ("stomach", 0),
        ("kidney_cyst_left", 0),
        ("brain", 0),
        ("Bone", BONE),
        ("no such class", 0),
    ],
)
def test_classes_belong_to_the_organs_of_the_paper(name, organ):
    assert organ_of(name) == organ


def test_the_same_values_mean_other_organs_in_version_1(tmp_path):
    """TotalSegmentator's map_to_binary.py: 7 is the pancreas in version 2 and was the aorta, 52 reversed."""
    path = write(a_row(1, 5, 7, 52, 0), tmp_path / "map.nii.gz")
    assert labels_of(OrganFile(path=path, names="total")) == [SPLEEN, LIVER, 0, AORTA, 0]
    assert labels_of(OrganFile(path=path, names="total_v1")) == [SPLEEN, LIVER, AORTA, 0, 0]


def test_a_map_that_does_not_say_its_version_is_not_guessed(tmp_path):
    path = write(a_row(1, 5, 7), tmp_path / "map.nii.gz")
    with pytest.raises(BadInput, match="does not say what its labels 1, 5, 7 are"):
        organ_labels(OrganFile(path=path))


def test_own_labels_and_own_names_are_taken(tmp_path):
    path = write(a_row(2, 8, 0), tmp_path / "map.nrrd")
    assert labels_of(OrganFile(path=path, names="amdiff")) == [LIVER, AORTA, 0]
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"2": "spleen", "8": "kidney"}))
    assert labels_of(OrganFile(path=path, names=str(names))) == [SPLEEN, KIDNEY, 0]


@pytest.mark.parametrize("subfolder", ["", "segmentations"])
def test_masks_of_a_class_each_are_put_together(tmp_path, subfolder):
    folder = tmp_path / "s0011"
    for name, row in {"liver": (1, 0, 0), "rib_left_1": (0, 1, 0), "colon": (0, 0, 1)}.items():
        write(a_row(*row), folder / subfolder / f"{name}.nii.gz")
    (folder / subfolder / "statistics.json").write_text("{}")
    assert labels_of(OrganFile(path=folder)) == [LIVER, BONE, 0]


def test_masks_on_several_grids_are_refused(tmp_path):
    write(a_row(1, 0, 0), tmp_path / "liver.nii.gz")
    write(a_row(0, 1), tmp_path / "spleen.nii.gz")
    with pytest.raises(BadInput, match=r"spleen\.nii\.gz lies on another grid than liver\.nii\.gz"):
        organ_labels(OrganFile(path=tmp_path))


def test_folders_and_maps_without_organs_are_refused(tmp_path):
    write(a_row(1, 0), tmp_path / "body.nii.gz")
    with pytest.raises(BadInput, match="no mask named after one of TotalSegmentator's classes"):
        organ_labels(OrganFile(path=tmp_path))
    with pytest.raises(BadInput, match="hold none of liver, lung, bone"):
        organ_labels(OrganFile(path=write(a_row(6, 6), tmp_path / "map.nii"), names="total"))


def test_a_real_map_keeps_its_organs_volumes_on_another_grid(pet_data):
    path = pet_data / "torso-labels" / "example_seg_fast_force_split.nii.gz"
    labels = organ_labels(OrganFile(path=path))
    grid = sitk.Image(92, 76, 84, sitk.sitkUInt8)
    grid.SetSpacing((4.0, 4.0, 4.0))
    grid.SetDirection(labels.GetDirection())
    grid.SetOrigin(labels.GetOrigin())
    before = np.bincount(sitk.GetArrayFromImage(labels).ravel(), minlength=9) * 27.0
    after = np.bincount(organs_onto(labels, grid).ravel(), minlength=9) * 64.0
    for organ in (LIVER, LUNG, KIDNEY, SPLEEN):
        assert after[organ] == pytest.approx(before[organ], rel=0.05)
    # TotalSegmentator's own classes, counted in its file: 1 spleen, 5 liver, 52 aorta, 2 and 3 kidneys.
    values = np.bincount(sitk.GetArrayFromImage(sitk.ReadImage(str(path))).ravel(), minlength=118) * 27.0
    assert (before[LIVER], before[SPLEEN], before[AORTA]) == (values[5], values[1], values[52])
    assert before[KIDNEY] == values[2] + values[3]
