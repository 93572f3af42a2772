"""The SUV of the header held against a Real World Value Map that highdicom encodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_builder import DEFAULT_FACTOR, ramp, write_series
from highdicom.pm import RealWorldValueMapping
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from AMDiffLib.image.reading import read_pet

SLOPE = 0.5  # Rescale Slope of the series below


def a_mapping(slope: float, unit=codes.UCUM.StandardizedUptakeValueBodyWeight) -> RealWorldValueMapping:
    return RealWorldValueMapping(
        lut_label="SUV",
        lut_explanation="SUVbw",
        unit=unit,
        value_range=(0, 32767),
        slope=slope,
        intercept=0.0,
    )


def a_series(folder: Path, **changes) -> None:
    write_series(folder, ramp(), RescaleSlope=str(SLOPE), **changes)


def write_map_object(path: Path, images: list[Path], mapping: RealWorldValueMapping) -> None:
    """A Real World Value Mapping object for these images, as a workstation writes it beside the series."""
    first = pydicom.dcmread(images[0], stop_before_pixels=True)
    item = Dataset()
    item.RealWorldValueMappingSequence = [mapping]
    item.ReferencedImageSequence = []
    for image in images:
        reference = Dataset()
        header = pydicom.dcmread(image, stop_before_pixels=True)
        reference.ReferencedSOPClassUID = header.SOPClassUID
        reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
        item.ReferencedImageSequence.append(reference)
    value_map = Dataset()
    value_map.SOPClassUID = "1.2.840.10008.5.1.4.1.1.67"
    value_map.SOPInstanceUID = generate_uid()
    value_map.SeriesInstanceUID = generate_uid()
    value_map.Modality = "RWV"
    value_map.PatientName, value_map.PatientID = first.PatientName, first.PatientID
    value_map.ReferencedImageRealWorldValueMappingSequence = [item]
    value_map.file_meta = FileMetaDataset()
    value_map.file_meta.MediaStorageSOPClassUID = value_map.SOPClassUID
    value_map.file_meta.MediaStorageSOPInstanceUID = value_map.SOPInstanceUID
    value_map.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    value_map.save_as(path, enforce_file_format=True)


def test_a_map_in_the_images_that_agrees_is_said_and_raises_no_warning(tmp_path):
    a_series(tmp_path, RealWorldValueMappingSequence=[a_mapping(SLOPE * DEFAULT_FACTOR * 1.002)])
    volume = read_pet(tmp_path)
    check = volume.source["suv_cross_check"]
    assert check["source"] == "images"
    assert check["images"] == 10
    assert check["difference"] == pytest.approx(0.002, rel=1e-6)
    assert volume.warnings == ()


def test_a_map_in_the_images_that_is_off_by_more_than_one_per_cent_is_a_warning(tmp_path):
    a_series(tmp_path, RealWorldValueMappingSequence=[a_mapping(SLOPE * DEFAULT_FACTOR * 0.93)])
    (warning,) = read_pet(tmp_path).warnings
    assert "-7.0 %" in warning
    assert "real world value map" in warning


def test_an_offset_in_the_map_counts_too(tmp_path):
    mapping = a_mapping(SLOPE * DEFAULT_FACTOR)
    mapping.RealWorldValueIntercept = 0.1
    a_series(tmp_path, RealWorldValueMappingSequence=[mapping])
    # 0.1 SUV at the lower of the two values compared, SUV 1
    assert read_pet(tmp_path).source["suv_cross_check"]["difference"] == pytest.approx(0.1)


def test_a_separate_object_is_found_beside_the_series(tmp_path):
    a_series(tmp_path / "pet")
    images = sorted((tmp_path / "pet").iterdir())
    (tmp_path / "rwv").mkdir()
    write_map_object(tmp_path / "rwv" / "map.dcm", images, a_mapping(SLOPE * DEFAULT_FACTOR * 1.05))
    volume = read_pet(tmp_path)
    check = volume.source["suv_cross_check"]
    assert (check["source"], check["images"]) == ("separate object", 10)
    assert check["difference"] == pytest.approx(0.05, rel=1e-6)
    assert any("+5.0 %" in warning for warning in volume.warnings)
    assert np.isfinite(volume.suv).all()


def test_maps_of_other_images_and_to_other_units_are_passed_over(tmp_path):
    a_series(
        tmp_path / "pet", RealWorldValueMappingSequence=[a_mapping(3.0, codes.UCUM.BecquerelsPerMilliliter)]
    )
    a_series(tmp_path / "other", CorrectedImage=["NORM"])
    write_map_object(tmp_path / "map.dcm", sorted((tmp_path / "other").iterdir()), a_mapping(9.0))
    volume = read_pet(tmp_path)
    assert volume.source["suv_cross_check"] is None
    assert volume.warnings == ()


def test_the_real_series_has_no_map(pet_data):
    assert read_pet(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image").source["suv_cross_check"] is None
