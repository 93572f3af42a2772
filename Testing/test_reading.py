"""Single-file formats, what the voxels must be, and how fast a refusal comes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from conftest import REPOSITORY
from dicom_builder import ramp, write_series

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet

SUFFIXES = [".nrrd", ".nii", ".nii.gz", ".mha"]


def an_image(array: np.ndarray | None = None) -> sitk.Image:
    """A turned image with a different length and spacing along each axis."""
    image = sitk.GetImageFromArray(ramp().astype(np.float32) / 100 if array is None else array)
    image.SetSpacing((2.0, 2.5, 3.0)[: image.GetDimension()] + (1.0,) * (image.GetDimension() - 3))
    if image.GetDimension() == 3:
        image.SetOrigin((-10.5, 20.25, 30.0))
        cosine, sine = np.cos(0.2), np.sin(0.2)
        image.SetDirection((cosine, -sine, 0, sine, cosine, 0, 0, 0, 1))
    return image


def write(tmp_path: Path, array: np.ndarray, name: str = "pet.nrrd") -> Path:
    sitk.WriteImage(an_image(array), str(tmp_path / name))
    return tmp_path / name


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_format_keeps_values_and_geometry(tmp_path: Path, suffix: str):
    image = an_image()
    sitk.WriteImage(image, str(tmp_path / f"pet{suffix}"))
    volume = read_pet(tmp_path / f"pet{suffix}", units="SUVbw")
    assert (volume.suv == sitk.GetArrayFromImage(image)).all()
    assert volume.spacing == pytest.approx(image.GetSpacing(), abs=1e-6)
    assert volume.origin == pytest.approx(image.GetOrigin(), abs=1e-4)
    assert volume.direction == pytest.approx(image.GetDirection(), abs=1e-6)
    assert volume.voxel_volume_ml == pytest.approx(0.015)
    assert volume.source["suv_factor"] is None
    assert volume.source["path"] == f"pet{suffix}"
    assert volume.source["sha256"] == hashlib.sha256(volume.suv.tobytes()).hexdigest()
    json.dumps(volume.source)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_each_format_needs_its_units_said(tmp_path: Path, suffix: str):
    with pytest.raises(BadInput, match="--units SUVbw"):
        read_pet(write(tmp_path, ramp(), f"pet{suffix}"))


def test_other_units_are_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="'BQML' are not known; expected SUVbw"):
        read_pet(write(tmp_path, ramp()), units="BQML")


@pytest.mark.parametrize("pixel_type", [np.uint8, np.int16, np.float64])
def test_any_real_pixel_type_becomes_float32(tmp_path: Path, pixel_type: type):
    array = (ramp() % 200).astype(pixel_type)
    volume = read_pet(write(tmp_path, array), units="SUVbw")
    assert volume.suv.dtype == np.float32
    assert (volume.suv == array).all()


@pytest.mark.parametrize("suffix", [".nrrd", ".nii"])
def test_a_fourth_axis_is_refused_unless_it_has_one_frame(tmp_path: Path, suffix: str):
    frames = np.stack([ramp(), ramp()]).astype(np.float32)
    for name, array in (("several", frames), ("one", frames[:1])):
        image = sitk.JoinSeries([sitk.GetImageFromArray(frame) for frame in array])
        sitk.WriteImage(image, str(tmp_path / f"{name}{suffix}"))
    with pytest.raises(BadInput, match=r"8 x 9 x 10 x 2 .*4-D"):
        read_pet(tmp_path / f"several{suffix}", units="SUVbw")
    assert read_pet(tmp_path / f"one{suffix}", units="SUVbw").suv.shape == (10, 9, 8)


def test_a_list_of_frames_as_vector_image_is_refused(tmp_path: Path):
    sitk.WriteImage(
        sitk.GetImageFromArray(np.ones((9, 9, 9, 3), np.float32), isVector=True), str(tmp_path / "v.nrrd")
    )
    with pytest.raises(BadInput, match="3 component"):
        read_pet(tmp_path / "v.nrrd", units="SUVbw")


def test_a_flat_image_is_refused(tmp_path: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((9, 9), np.float32)), str(tmp_path / "flat.nrrd"))
    with pytest.raises(BadInput, match="2-D image; expected a 3-D volume"):
        read_pet(tmp_path / "flat.nrrd", units="SUVbw")


def test_complex_values_are_refused(tmp_path: Path):
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((9, 9, 9), np.complex64)), str(tmp_path / "c.mha"))
    with pytest.raises(BadInput, match=r"complex|component"):
        read_pet(tmp_path / "c.mha", units="SUVbw")


def test_a_segmentation_is_refused(tmp_path: Path):
    image = an_image((ramp() % 2).astype(np.uint8))
    image.SetMetaData("Segment0_ID", "Segment_1")
    sitk.WriteImage(image, str(tmp_path / "s.seg.nrrd"))
    with pytest.raises(BadInput, match="segmentation; expected a PET volume"):
        read_pet(tmp_path / "s.seg.nrrd", units="SUVbw")


def with_values(*values: float) -> np.ndarray:
    array = np.ones((9, 9, 9), np.float32)
    array.ravel()[: len(values)] = values
    return array


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (with_values(np.nan, np.inf), "2 voxels are not numbers"),
        (with_values(np.inf, -np.inf), "2 voxels are not numbers"),
        (np.zeros((9, 9, 9), np.float32), "All voxels are zero"),
        (-np.ones((9, 9, 9), np.float32), "No voxel is above zero"),
        (with_values(-1000), "lowest value is -1000, impossible for SUV"),
        (np.ones((9, 9, 7), np.float32), "7 x 9 x 9 voxels; expected at least 8"),
    ],
)
def test_voxels_that_are_no_pet_are_refused(tmp_path: Path, array: np.ndarray, message: str):
    with pytest.raises(BadInput, match=message):
        read_pet(write(tmp_path, array), units="SUVbw")


@pytest.mark.parametrize("spacing", [0.05, 40.0])
def test_voxel_sizes_that_are_not_millimetres_are_refused(tmp_path: Path, spacing: float):
    image = an_image()
    image.SetSpacing((spacing,) * 3)
    sitk.WriteImage(image, str(tmp_path / "pet.nrrd"))
    with pytest.raises(BadInput, match=r"expected between 0.2 and 20 mm"):
        read_pet(tmp_path / "pet.nrrd", units="SUVbw")


def test_few_negative_values_are_kept_silently_and_many_with_a_warning(tmp_path: Path):
    few, many = with_values(-0.5), with_values(*[-0.5] * 100)
    volume = read_pet(write(tmp_path, few), units="SUVbw")
    assert volume.suv.min() == -0.5
    assert volume.warnings == ()
    volume = read_pet(write(tmp_path, many), units="SUVbw")
    assert volume.suv.min() == -0.5
    # 50 against the 629 that the other 729 - 100 voxels of 1 hold.
    assert "7.9 % of the activity" in volume.warnings[0]


def test_values_as_high_as_becquerels_are_warned_of(tmp_path: Path):
    assert "not Bq/mL" in read_pet(write(tmp_path, with_values(25000)), units="SUVbw").warnings[0]


def test_voxels_of_dicom_are_checked_too(tmp_path: Path):
    write_series(tmp_path, np.zeros((10, 9, 8), np.int16))
    with pytest.raises(BadInput, match="All voxels are zero"):
        read_pet(tmp_path)


@pytest.mark.parametrize("name", ["pet.nrrd", "pet.nii", "pet.nii.gz", "pet.mha", "pet.dcm", "pet"])
@pytest.mark.parametrize("content", [b"", b"not an image at all", bytes(128) + b"DICM" + b"\xff" * 50])
def test_a_damaged_file_is_refused(tmp_path: Path, name: str, content: bytes):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInput, match="damaged"):
        read_pet(tmp_path / name, units="SUVbw")


@pytest.mark.parametrize("kept", [0.5, 0.999])
@pytest.mark.parametrize("suffix", [".nrrd", ".nii", ".nii.gz", ".mha"])
def test_a_file_cut_short_is_refused(tmp_path: Path, suffix: str, kept: float):
    path = write(tmp_path, ramp(40, 40, 20), f"pet{suffix}")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(BadInput, match="cut short"):
        read_pet(path, units="SUVbw")


def test_a_missing_input_is_refused(tmp_path: Path):
    with pytest.raises(BadInput, match="does not exist"):
        read_pet(tmp_path / "nowhere")


def test_an_array_of_another_shape_does_not_fit_the_grid(tmp_path: Path):
    volume = read_pet(write(tmp_path, ramp().astype(np.float32)), units="SUVbw")
    assert volume.with_array(volume.suv > 1).GetPixelID() == sitk.sitkUInt8
    with pytest.raises(ValueError, match="does not lie on the grid"):
        volume.with_array(volume.suv[1:])


def test_reading_imports_no_torch():
    program = "import sys, AMDiffLib.image.reading; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, check=False).returncode == 0


def test_real_tumours_have_the_uptake_published_for_their_kind(pet_data: Path):
    for folder in sorted((pet_data / "sts-crops").glob("STS_*")):
        volume = read_pet(folder / "PET_image.nii.gz", units="SUVbw")
        tumour = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "PET_mask.nii.gz"))) > 0
        assert 3.4 <= volume.suv[tumour].max() <= 30
