"""Cohort manifests: what is accepted, and how a wrong case is named."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.errors import BadInput
from AMDiffLib.training.dataset import load_cohort, read_manifest

SHAPE = (10, 12, 14)


def write_image(path: Path, array: np.ndarray, *, spacing=(4.0, 4.0, 4.0), direction=None) -> None:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    if direction is not None:
        image.SetDirection(direction)
    sitk.WriteImage(image, path)


def write_manifest(folder: Path, cases: list[dict], **header) -> Path:
    path = folder / "manifest.json"
    path.write_text(json.dumps({"format": "amdiff-manifest", "version": 1, "cases": cases} | header))
    return path


@pytest.fixture
def two_levels(tmp_path) -> list[dict]:
    """One subject at 5 and 20 % counts: a body of SUV 1 with a liver, two lesions, and air around."""
    high = np.zeros(SHAPE, dtype=np.float32)
    high[2:8, 2:10, 2:12] = 1.0
    high[0, 0, 0] = 5.0  # a speck in the air is not body
    organs = np.zeros(SHAPE, dtype=np.uint8)
    organs[2:5, 2:5, 2:5] = 2
    lesions = np.zeros(SHAPE, dtype=np.uint8)
    lesions[6, 6, 6] = 1
    lesions[4, 4, 4:7] = 2
    write_image(tmp_path / "high.nrrd", high)
    write_image(tmp_path / "organs.nrrd", organs)
    write_image(tmp_path / "lesions.nrrd", lesions)
    cases = []
    for level in (5, 20):
        write_image(tmp_path / f"low{level}.nrrd", high * (1 + 1 / level))
        cases.append(
            {
                "subject": "anna",
                "scanner": "mct",
                "counts_percent": level,
                "low_count": f"low{level}.nrrd",
                "high_count": "high.nrrd",
                "organs": "organs.nrrd",
                "lesions": "lesions.nrrd",
                "truth": "not-needed.nrrd",
            }
        )
    return cases


def test_levels_of_a_subject_share_reference_and_labels(two_levels, tmp_path):
    (subject,) = load_cohort(read_manifest(write_manifest(tmp_path, two_levels)), voxel_size_mm=4.0)
    assert subject.name == "anna"
    assert sorted(subject.low_count) == [5.0, 20.0]
    assert subject.high_count.shape == SHAPE
    assert subject.low_count[5.0].dtype == subject.high_count.dtype == np.float16
    assert float(subject.low_count[20.0][4, 4, 4]) == pytest.approx(1.05, rel=5e-4)
    assert [len(voxels) for voxels in subject.lesion_voxels] == [1, 3]
    assert len(subject.body) == 6 * 8 * 10


def test_volumes_are_turned_to_lps_axes(two_levels, tmp_path):
    for name in ("high", "organs", "lesions", "low5", "low20"):
        array = sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"{name}.nrrd"))
        write_image(
            tmp_path / f"{name}.nrrd", array[:, :, ::-1].copy(), direction=(-1, 0, 0, 0, 1, 0, 0, 0, 1)
        )
    (subject,) = load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))
    assert np.argwhere(subject.lesions == 1).tolist() == [[6, 6, 6]]


def test_a_missing_file_names_the_case(two_levels, tmp_path):
    (tmp_path / "low20.nrrd").unlink()
    with pytest.raises(
        BadInput, match=r"'anna' at 20 % counts: the low_count file .*low20\.nrrd does not exist"
    ):
        read_manifest(write_manifest(tmp_path, two_levels))


def test_a_differing_grid_names_the_case_and_both_grids(two_levels, tmp_path):
    write_image(tmp_path / "low5.nrrd", np.zeros(SHAPE, dtype=np.float32), spacing=(4.0, 4.0, 3.0))
    with pytest.raises(BadInput, match=r"'anna' at 5 % .*low_count image has spacing \(4.0, 4.0, 3.0\)"):
        read_manifest(write_manifest(tmp_path, two_levels))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"version": 2}, "manifest version 2; this software reads version 1"),
        ({"format": "other"}, "not a cohort manifest"),
    ],
)
def test_other_manifests_are_refused(two_levels, tmp_path, header, message):
    with pytest.raises(BadInput, match=message):
        read_manifest(write_manifest(tmp_path, two_levels, **header))


def test_an_empty_manifest_is_refused(tmp_path):
    with pytest.raises(BadInput, match="lists no cases"):
        read_manifest(write_manifest(tmp_path, []))


def test_a_missing_key_is_named(two_levels, tmp_path):
    del two_levels[1]["organs"]
    with pytest.raises(BadInput, match="Case 2 of the manifest lacks organs"):
        read_manifest(write_manifest(tmp_path, two_levels))


def test_a_level_given_twice_is_refused(two_levels, tmp_path):
    two_levels[1]["counts_percent"] = 5
    with pytest.raises(BadInput, match="listed twice"):
        read_manifest(write_manifest(tmp_path, two_levels))


def test_a_file_that_is_no_image_is_named(two_levels, tmp_path):
    (tmp_path / "low5.nrrd").write_text("hello")
    with pytest.raises(
        BadInput, match=r"'anna' at 5 % counts: the low_count file .* is not a readable image"
    ):
        read_manifest(write_manifest(tmp_path, two_levels))


def test_values_that_are_not_finite_are_refused(two_levels, tmp_path):
    write_image(tmp_path / "low5.nrrd", np.full(SHAPE, np.nan, dtype=np.float32))
    with pytest.raises(BadInput, match="low_count image holds values that are not finite"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))


def test_unknown_organ_labels_are_refused(two_levels, tmp_path):
    write_image(tmp_path / "organs.nrrd", np.full(SHAPE, 9, dtype=np.uint8))
    with pytest.raises(BadInput, match=r"organ labels \[9\] are unknown"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))


def test_another_voxel_size_than_the_models_is_refused(two_levels, tmp_path):
    with pytest.raises(BadInput, match=r"4 x 4 x 4 mm, the model works at 2\.04 mm"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)), voxel_size_mm=2.04)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda low, high: high, "low_count and the high_count image are the same image"),
        (lambda low, high: low * 0.2, r"the mean of the low_count image is 0\.24 times"),
        (lambda low, high: low * 5000, "the highest value of the low_count image is .* Are these Bq/mL"),
    ],
)
def test_images_that_are_no_two_levels_of_one_scan_are_refused(two_levels, tmp_path, change, message):
    low, high = (
        sitk.GetArrayFromImage(sitk.ReadImage(tmp_path / f"{name}.nrrd")) for name in ("low5", "high")
    )
    write_image(tmp_path / "low5.nrrd", change(low, high))
    with pytest.raises(BadInput, match=f"'anna' at 5 % counts: .*{message}"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))


def test_an_empty_image_is_refused(two_levels, tmp_path):
    write_image(tmp_path / "high.nrrd", np.zeros(SHAPE, dtype=np.float32))
    with pytest.raises(BadInput, match="the high_count image is empty"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))


def test_labels_beyond_a_byte_are_not_wrapped(two_levels, tmp_path):
    write_image(tmp_path / "organs.nrrd", np.full(SHAPE, 258, dtype=np.uint16))
    with pytest.raises(BadInput, match=r"organ labels \[258\] are unknown"):
        load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))


def test_three_hundred_lesions_are_three_hundred(two_levels, tmp_path):
    lesions = np.zeros(SHAPE, dtype=np.uint16)
    lesions.ravel()[:600:2] = np.arange(1, 301)
    write_image(tmp_path / "lesions.nrrd", lesions)
    (subject,) = load_cohort(read_manifest(write_manifest(tmp_path, two_levels)))
    assert len(subject.lesion_voxels) == 300
    assert subject.lesions.max() == 300


def test_every_wrong_case_is_named_at_once(two_levels, tmp_path):
    (tmp_path / "low20.nrrd").unlink()
    write_image(tmp_path / "low5.nrrd", np.zeros(SHAPE, dtype=np.float32), spacing=(4.0, 4.0, 3.0))
    with pytest.raises(BadInput) as caught:
        read_manifest(write_manifest(tmp_path, two_levels))
    assert "at 20 % counts: the low_count file" in str(caught.value)
    assert "at 5 % counts: the low_count image has spacing" in str(caught.value)
