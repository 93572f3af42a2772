"""Headers of NRRD, MetaImage and NIfTI that do not say what is needed are refused, with the reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from AMDiffLib.batch.record import input_checksum
from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet

VALUES = np.random.default_rng(0).uniform(0.5, 9.0, (9, 10, 11)).astype(np.float32)


def written(path: Path) -> Path:
    image = sitk.GetImageFromArray(VALUES)
    image.SetSpacing((4.0, 5.0, 3.0))
    sitk.WriteImage(image, str(path))
    return path


def changed(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1))
    return path


@pytest.mark.parametrize(
    ("suffix", "old", "new", "reason"),
    [
        (".nrrd", b"space directions:", b"# space directions:", "no voxel size"),
        (".nrrd", b"sizes: 11 10 9", b"sizes: 11000 1000 900", "more voxels than its file can hold"),
        (".nrrd", b"dimension: 3\n", b"dimension: 3\ndimension: 3\n", "twice"),
        (".nrrd", b"NRRD0", b"nrrd0", "does not begin as an NRRD"),
        (".nrrd", b"kinds:", b'space units: "cm" "cm" "cm"\nkinds:', "other than mm"),
        (".nrrd", b"space origin: (0,0,0)", b"space origin: " + b"x" * 5000, "space ?origin"),
        (".nrrd", b"space origin: (0,0,0)", b"space origin: (0,0,abc)", "space ?origin"),
        (".mha", b"NDims = 3", b"NDims = 1e30 1e30 1e30", "ndims"),
        (".mha", b"NDims = 3", b"NDims = 2", "one size for each dimension"),
        (".mha", b"ElementSpacing", b"ElementSpicing", "no voxel size"),
        (".mha", b"DimSize = 11 10 9", b"DimSize = 11 10 9000", "more voxels than its file can hold"),
        (".mha", b"ElementDataFile", b"ElementDataFail", "names no ElementDataFile"),
        (".mha", b"ElementDataFile = LOCAL", b"ElementDataFile = LIST ", "several files"),
    ],
)
def test_a_text_header_is_refused_where_itk_would_guess(tmp_path, suffix, old, new, reason):
    path = changed(written(tmp_path / f"scan{suffix}"), old, new)
    with pytest.raises(BadInput, match=reason):
        read_pet(path, units="SUVbw")


@pytest.mark.parametrize(
    ("offset", "form", "value", "reason"),
    [
        (108, "f", 348.0, "where the voxels begin"),
        (108, "f", float("nan"), "where the voxels begin"),
        (80, "f", 0.0, "no valid voxel size"),
        (84, "f", float("inf"), "no valid voxel size"),
        (112, "f", float("nan"), "no number"),
        (344, "4s", b"ni1\0", "not a single file"),
        (0, "i", 347, "damaged"),
    ],
)
def test_a_nifti_header_is_refused_where_itk_would_read_on(tmp_path, offset, form, value, reason):
    """Offsets of nifti1.h. With an offset of 348 ITK takes the four bytes before the voxels for the first."""
    path = written(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<" + form, content, offset, value)
    path.write_bytes(content)
    with pytest.raises(BadInput, match=reason):
        read_pet(path, units="SUVbw")


def test_two_voxel_sizes_in_one_nifti_header_are_refused(tmp_path):
    path = written(tmp_path / "scan.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)  # the sform alone is valid ...
    struct.pack_into("<f", content, 280, 8.0)  # ... and has voxels of 8 mm along x
    path.write_bytes(content)
    with pytest.raises(BadInput, match="two voxel sizes"):
        read_pet(path, units="SUVbw")


def test_a_detached_header_beside_its_data_is_read(tmp_path):
    path = written(tmp_path / "scan.nhdr")
    assert np.array_equal(read_pet(path, units="SUVbw").suv, VALUES)


def test_a_batch_knows_a_study_by_the_data_that_its_header_names(tmp_path):
    """The data file may have any name."""
    path = written(tmp_path / "scan.mhd")
    data = (tmp_path / "scan.raw").rename(tmp_path / "other.bin")
    changed(path, b"scan.raw", b"other.bin")
    before = input_checksum([path])
    content = bytearray(data.read_bytes())
    content[0] ^= 1
    data.write_bytes(content)
    assert input_checksum([path]) != before
