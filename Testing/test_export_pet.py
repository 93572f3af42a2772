"""The derived PET series: its SUV, its place and what it says of itself."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pydicom
import pytest
from dicom_builder import DEFAULT_FACTOR, DOSE_BQ, F18_HALF_LIFE_S, WEIGHT_KG
from export_cases import POSITIONS, SHAPE, a_case, denoised_of

from AMDiffLib.errors import BadInput
from AMDiffLib.export.bundle import ExportRequest, write_export
from AMDiffLib.image.reading import read_pet
from AMDiffLib.progress import SilentReporter

PET_ONLY = ExportRequest(dicom=frozenset({"pet"}))


def exported(folder, **changes):
    """The source's and the derived series' slices, by position, and the derived series' folder."""
    source, results = a_case(folder, **changes)
    out = folder / "out"
    out.mkdir()
    assert write_export(out, PET_ONLY, results=results, source=source, reporter=SilentReporter()) == [
        "denoised_pet"
    ]
    return slices_of(source), slices_of(out / "denoised_pet"), out / "denoised_pet"


def slices_of(folder):
    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    return sorted(images, key=lambda image: float(image.ImagePositionPatient[2]))


def is_denoised(suv, images, factor) -> bool:
    """Whether every voxel is the denoised one, within half a Rescale Slope and the rounding of float32."""
    slopes = np.array([float(image.RescaleSlope) for image in images])[:, None, None]
    step = slopes * np.reshape(factor, (-1, 1, 1))
    return bool((np.abs(suv - denoised_of()) <= step / 2 + np.spacing(np.abs(denoised_of()))).all())


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    return exported(tmp_path_factory.mktemp("pet"))


def test_suv_by_the_definition_is_the_denoised_suv_within_half_a_slope(series):
    _, derived, _ = series
    # SUVbw = activity concentration x weight / dose decayed to the scan, an hour after the injection.
    factor = WEIGHT_KG * 1000 / (DOSE_BQ * 0.5 ** (3600 / F18_HALF_LIFE_S))
    suv = np.stack([image.pixel_array * float(image.RescaleSlope) for image in derived]) * factor
    assert is_denoised(suv, derived, factor)
    assert suv[-1].max() == 0.0
    assert suv[0].min() == pytest.approx(-0.03, abs=1e-4)


def test_suv_by_this_librarys_reader_is_the_same(series):
    _, derived, folder = series
    volume = read_pet(folder, series_uid=derived[0].SeriesInstanceUID)
    assert volume.source["units"] == "BQML"
    assert is_denoised(volume.suv, derived, DEFAULT_FACTOR)


def test_a_result_is_not_taken_for_a_scan_by_mistake(series):
    """Read it is where it is asked for by its UID, as above."""
    with pytest.raises(BadInput, match="itself a result of AMDiff"):
        read_pet(series[2])


def test_every_slice_uses_the_whole_range_of_16_bits(series):
    _, derived, _ = series
    assert all(np.abs(image.pixel_array).max() in (32766, 32767) for image in derived[:-1])
    assert {image.PixelRepresentation for image in derived} == {1}


def test_slices_lie_exactly_where_the_sources_do_gaps_included(series):
    source, derived, _ = series
    for one, other in zip(source, derived, strict=True):
        for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows", "Columns"):
            assert one[keyword].value == other[keyword].value
    gaps = np.diff([float(image.ImagePositionPatient[2]) for image in derived])
    np.testing.assert_allclose(gaps, np.diff(POSITIONS), atol=1e-9)


def test_patient_study_and_frame_of_reference_stay_and_series_and_images_are_new(series):
    source, derived, _ = series
    for keyword in (
        "PatientName", "PatientID", "PatientBirthDate", "PatientWeight", "AccessionNumber",
        "StudyInstanceUID", "StudyDate", "FrameOfReferenceUID", "SeriesDate", "SeriesTime",
        "AcquisitionTime", "DecayCorrection", "CorrectedImage",
    ):  # fmt: skip
        assert {str(image[keyword].value) for image in derived} == {str(source[0][keyword].value)}, keyword
    assert len({image.SeriesInstanceUID for image in derived} - {source[0].SeriesInstanceUID}) == 1
    uids = {image.SOPInstanceUID for image in derived}
    assert len(uids) == SHAPE[0]
    assert not uids & {image.SOPInstanceUID for image in source}
    assert {image.file_meta.MediaStorageSOPInstanceUID for image in derived} == uids


def test_every_image_says_that_an_ai_made_it_and_from_which(series):
    source, derived, _ = series
    for one, image in zip(source, derived, strict=True):
        assert list(image.ImageType) == ["DERIVED", "PRIMARY", "AI_DENOISED"]
        for text in (image.DerivationDescription, image.ImageComments, image.SeriesDescription):
            assert "AI-processed" in text
            assert "not for diagnosis" in text
        assert "amdiff-test 9.8.7" in image.DerivationDescription
        assert image.DerivationCodeSequence[0].CodeValue == "123110"  # Artificial Intelligence
        (reference,) = image.SourceImageSequence
        assert reference.ReferencedSOPInstanceUID == one.SOPInstanceUID
        assert reference.PurposeOfReferenceCodeSequence[0].CodeValue == "121322"
        scanner, software = image.ContributingEquipmentSequence
        assert scanner.PurposeOfReferenceCodeSequence[0].CodeValue == "109101"
        assert (scanner.Manufacturer, scanner.ManufacturerModelName) == ("ACME", "Tomograph")
        assert software.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert (software.ManufacturerModelName, list(software.SoftwareVersions)) == (
            "AMDiff",
            ["9.8.7", "amdiff-test"],
        )
        assert image.ManufacturerModelName == "AMDiff"


def test_what_was_said_of_the_sources_pixels_is_not_inherited(tmp_path):
    def more(header, index):
        header.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240311110000.00")
        header.SmallestImagePixelValue, header.LargestImagePixelValue = 1, 99
        header.WindowCenter, header.WindowWidth = "5", "10"
        header.add_new(0x60003000, "OW", b"\0\0")

    source, derived, _ = exported(tmp_path, each=more)
    assert 0x60003000 in source[0]
    for image in derived:
        assert not any(element.tag.is_private or element.tag.group == 0x6000 for element in image)
        assert "LargestImagePixelValue" not in image
        # SUV 0 to 7, the window that readers look at.
        assert float(image.WindowCenter) * DEFAULT_FACTOR == pytest.approx(3.5, rel=1e-6)
        assert float(image.WindowWidth) * DEFAULT_FACTOR == pytest.approx(7.0, rel=1e-6)


def test_a_reconstruction_made_later_keeps_its_decay_reference(tmp_path):
    """Its true reference stands in a private attribute of the scanner, which is not inherited."""

    def later(header, index):
        header.Manufacturer = "GE MEDICAL SYSTEMS"
        header.SeriesTime = "150000"
        header.AcquisitionTime = "110500"
        header.private_block(0x0009, "GEMS_PETD_01", create=True).add_new(0x0D, "DT", "20240311110000.00")

    _, derived, folder = exported(tmp_path, each=later)
    assert {image.SeriesTime for image in derived} == {"110000.000000"}
    assert is_denoised(read_pet(folder, series_uid=derived[0].SeriesInstanceUID).suv, derived, DEFAULT_FACTOR)


def test_a_series_without_decay_correction_gets_each_slice_its_own_factor(tmp_path):
    def beds(header, index):
        header.AcquisitionTime = "110000" if index < 6 else "111000"
        header.FrameReferenceTime = "0" if index < 6 else "600000"
        header.CorrectedImage = ["NORM", "DTIM", "ATTN", "SCAT", "RAN"]

    _, derived, folder = exported(tmp_path, each=beds, DecayCorrection="NONE")
    # What is left of the dose at the start of each bed's frame, and on average during its two minutes.
    left = np.array([0.5 ** (3600 / F18_HALF_LIFE_S), 0.5 ** (4200 / F18_HALF_LIFE_S)])
    left *= (1 - 0.5 ** (120 / F18_HALF_LIFE_S)) / (np.log(2) * 120 / F18_HALF_LIFE_S)
    volume = read_pet(folder, series_uid=derived[0].SeriesInstanceUID)
    dose_left = np.repeat(left, 6)
    assert is_denoised(volume.suv, derived, WEIGHT_KG * 1000 / (DOSE_BQ * dose_left))
    # The same SUV is fewer Bq/mL ten minutes later.
    ratio = float(derived[0].WindowWidth) / float(derived[-1].WindowWidth)
    assert ratio == pytest.approx(left[0] / left[1], rel=1e-6)


@pytest.mark.parametrize("units", ["GML", "CNTS"])
def test_a_source_in_suv_or_counts_becomes_a_series_in_suv(tmp_path, units):
    def philips(header, index):
        block = header.private_block(0x7053, "Philips PET Private Group", create=True)
        block.add_new(0x00, "DS", "0.000292")

    stored = np.random.default_rng(3).integers(1, 9, SHAPE).astype(np.int16)
    each = philips if units == "CNTS" else None
    _, derived, folder = exported(tmp_path, stored=stored, each=each, Units=units)
    assert {(image.Units, image.SUVType) for image in derived} == {("GML", "BW")}
    suv = np.stack([image.pixel_array * float(image.RescaleSlope) for image in derived])
    assert is_denoised(suv, derived, 1.0)
    np.testing.assert_allclose(read_pet(folder, series_uid=derived[0].SeriesInstanceUID).suv, suv, rtol=1e-6)


def test_a_series_without_a_study_cannot_be_filed(tmp_path):
    with pytest.raises(BadInput, match="StudyInstanceUID is missing"):
        exported(tmp_path, StudyInstanceUID="")


def test_the_time_of_writing_is_the_content_time(series):
    _, derived, _ = series
    assert {image.ContentDate for image in derived} == {datetime.now().strftime("%Y%m%d")}
