"""Finding the one PET series in a study folder, its pixels, and what a refusal says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_builder import DEFAULT_FACTOR, code, ramp, write_ct, write_series
from pydicom.encaps import encapsulate
from pydicom.uid import (
    EnhancedPETImageStorage,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    MediaStorageDirectoryStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)

from AMDiffLib.errors import BadInput
from AMDiffLib.image.reading import read_pet

NOT_CORRECTED = {"CorrectedImage": ["DECY", "SCAT"], "SeriesDescription": "PET NAC"}


@pytest.fixture
def a_study(tmp_path: Path) -> Path:
    """A folder as exported from an archive: PET with and without correction, CT, and all that lies beside."""
    study = tmp_path / "study"
    write_series(study / "a" / "pet", ramp())
    write_series(study / "b" / "nac", 2 * ramp(), **NOT_CORRECTED)
    write_ct(study / "ct")
    write_series(study / "sc", ramp(1), Modality="PT", SOPClassUID=SecondaryCaptureImageStorage)
    write_series(study / "rt", ramp(1), Modality="RTSTRUCT", SOPClassUID=RTStructureSetStorage)
    write_series(study / "mip", ramp(9), ImageType=["DERIVED", "SECONDARY", "MIP"])
    write_series(study, ramp(1), SOPClassUID=MediaStorageDirectoryStorage, Modality=None)
    (study / "0001.dcm").rename(study / "DICOMDIR")
    (study / "readme.txt").write_text("not an image")
    (study / "empty").touch()
    return study


def test_the_corrected_pet_is_found_in_a_study_folder(a_study: Path):
    assert read_pet(a_study).suv == pytest.approx(ramp() * DEFAULT_FACTOR, rel=1e-6)


def test_dicomdir_stands_for_its_folder(a_study: Path):
    assert read_pet(a_study / "DICOMDIR").suv.shape == (10, 9, 8)


def test_one_file_stands_for_its_series(tmp_path: Path):
    write_series(tmp_path, ramp())
    for path in tmp_path.iterdir():
        path.rename(path.with_name("first_" + path.name))
    uid = write_series(tmp_path, 3 * ramp())
    volume = read_pet(tmp_path / "0004.dcm")
    assert volume.source["series_uid"] == uid
    assert volume.suv == pytest.approx(3 * ramp() * DEFAULT_FACTOR, rel=1e-6)


def test_several_corrected_series_are_listed_and_one_is_chosen_by_its_uid(tmp_path: Path):
    first = write_series(tmp_path / "1", ramp(), SeriesDescription="PET AC 4 mm")
    second = write_series(tmp_path / "2", 2 * ramp(12), SeriesDescription="PET AC PSF")
    with pytest.raises(BadInput, match="2 attenuation-corrected PET series") as caught:
        read_pet(tmp_path)
    for part in (first, "PET AC 4 mm", "10 slices", second, "PET AC PSF", "12 slices", "--series-uid"):
        assert part in str(caught.value)
    assert read_pet(tmp_path, series_uid=second).suv.shape == (12, 9, 8)


def test_an_unknown_series_uid_is_answered_with_those_present(tmp_path: Path):
    uid = write_series(tmp_path, ramp())
    with pytest.raises(BadInput, match=r"no PET series 1\.2\.3 here") as caught:
        read_pet(tmp_path, series_uid="1.2.3")
    assert uid in str(caught.value)


def test_a_file_of_another_series_than_the_one_asked_for_is_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    with pytest.raises(BadInput, match="belongs to series"):
        read_pet(tmp_path / "0001.dcm", series_uid="1.2.3")


def test_uncorrected_pet_alone_is_refused(tmp_path: Path):
    uid = write_series(tmp_path, ramp(), **NOT_CORRECTED)
    with pytest.raises(BadInput, match="None of the PET series here is attenuation-corrected"):
        read_pet(tmp_path)
    with pytest.raises(BadInput, match="not attenuation-corrected"):
        read_pet(tmp_path, series_uid=uid)


def test_ct_alone_is_refused_by_its_modality(tmp_path: Path):
    write_ct(tmp_path)
    with pytest.raises(BadInput, match="modality CT; expected PT"):
        read_pet(tmp_path)
    with pytest.raises(BadInput, match="modality CT; expected PT"):
        read_pet(tmp_path / "0001.dcm")


def test_lutetium_marked_as_pet_is_refused(tmp_path: Path):
    write_series(tmp_path, ramp(), RadionuclideCodeSequence=code("447553000", "SCT", "^177^Lutetium"))
    with pytest.raises(BadInput, match="Lu-177, which is not a PET radionuclide"):
        read_pet(tmp_path)


def test_enhanced_multi_frame_pet_is_refused_by_name(tmp_path: Path):
    write_series(tmp_path, ramp(1), SOPClassUID=EnhancedPETImageStorage)
    with pytest.raises(BadInput, match="Enhanced"):
        read_pet(tmp_path)


def test_a_folder_without_dicom_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(BadInput, match="No DICOM file found"):
        read_pet(tmp_path)


def test_each_slice_has_its_own_slope_and_intercept(tmp_path: Path):
    def rescale(header, index):
        header.RescaleSlope, header.RescaleIntercept = str(1 + 0.5 * index), str(10 * index)

    write_series(tmp_path, ramp(), each=rescale)
    index = np.arange(10)[:, None, None]
    expected = (ramp() * (1 + 0.5 * index) + 10 * index) * DEFAULT_FACTOR
    assert read_pet(tmp_path).suv == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("slope", [None, "-1"])
def test_a_slice_without_a_valid_slope_is_refused(tmp_path: Path, slope: str | None):
    write_series(tmp_path, ramp(), RescaleSlope=slope)
    with pytest.raises(BadInput, match="Rescale Slope"):
        read_pet(tmp_path)


def test_second_copies_of_the_same_files_are_left_out_and_said(tmp_path: Path):
    write_series(tmp_path / "a", ramp())
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    volume = read_pet(tmp_path)
    assert volume.suv.shape == (10, 9, 8)
    assert "10 second copies" in volume.warnings[0]


def test_different_images_under_one_uid_are_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    image = pydicom.dcmread(tmp_path / "0001.dcm")
    image.RescaleSlope = "7"
    image.save_as(tmp_path / "0011.dcm")
    with pytest.raises(BadInput, match="same SOP Instance UID"):
        read_pet(tmp_path)


def test_truncated_pixels_are_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    path = tmp_path / "0005.dcm"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(BadInput, match="cut short"):
        read_pet(tmp_path)


def test_a_slice_without_pixels_is_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    image = pydicom.dcmread(tmp_path / "0005.dcm")
    del image.PixelData
    image.save_as(tmp_path / "0005.dcm")
    with pytest.raises(BadInput, match="no pixels"):
        read_pet(tmp_path)


@pytest.mark.parametrize("kept", [140, 400])
def test_a_damaged_header_is_refused(tmp_path: Path, kept: int):
    write_series(tmp_path, ramp())
    path = tmp_path / "0005.dcm"
    path.write_bytes(path.read_bytes()[:kept] + b"\xff" * 300)
    with pytest.raises(BadInput, match="cannot be read"):
        read_pet(tmp_path)


@pytest.mark.parametrize(
    ("written", "damaged"),
    [(b"US\x02\x00\x09\x00", b"US\x03\x00\x09\x00"), (b"TM\x06\x00100000", b"T\x93\x06\x00100000")],
    ids=["length of Rows", "type of the start time"],
)
def test_a_damaged_attribute_is_refused(tmp_path: Path, written: bytes, damaged: bytes):
    write_series(tmp_path, ramp())
    path = tmp_path / "0005.dcm"
    content = path.read_bytes()
    assert written in content
    path.write_bytes(content.replace(written, damaged))
    with pytest.raises(BadInput, match="cannot be read"):
        read_pet(tmp_path)


def test_pixels_in_an_unknown_encoding_are_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    for path in tmp_path.iterdir():
        content = path.read_bytes()
        # The same length, one digit changed.
        path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.7\0"))
    with pytest.raises(BadInput, match="unknown encoding"):
        read_pet(tmp_path)


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_are_read(tmp_path: Path, implicit: bool):
    write_series(tmp_path, ramp())
    for path in tmp_path.iterdir():
        image = pydicom.dcmread(path)
        del image.file_meta
        image.preamble = None
        image.save_as(path, implicit_vr=implicit, little_endian=True)
        assert path.read_bytes()[:2] == b"\x08\x00"
    assert read_pet(tmp_path).suv == pytest.approx(ramp() * DEFAULT_FACTOR, rel=1e-6)


def recompress(folder: Path, syntax: str) -> None:
    """Replace the pixels of a series by compressed ones; GDCM, in SimpleITK, is the encoder for JPEG."""
    for path in folder.glob("*.dcm"):
        image = pydicom.dcmread(path)
        if syntax == RLELossless:
            image.compress(RLELossless)
        else:
            writer = sitk.ImageFileWriter()
            writer.SetFileName(str(folder / "encoded"))
            writer.SetImageIO("GDCMImageIO")
            writer.UseCompressionOn()
            writer.SetCompressor("JPEG2000" if syntax == JPEG2000Lossless else "JPEG")
            writer.Execute(sitk.GetImageFromArray(image.pixel_array[None]))
            encoded = pydicom.dcmread(folder / "encoded")
            assert encoded.file_meta.TransferSyntaxUID == syntax
            image.PixelData = encapsulate(
                list(pydicom.encaps.generate_frames(encoded.PixelData, number_of_frames=1))
            )
            image["PixelData"].VR = "OB"
            image["PixelData"].is_undefined_length = True
            image.file_meta.TransferSyntaxUID = syntax
            (folder / "encoded").unlink()
        image.save_as(path)


@pytest.mark.parametrize(
    "syntax", [RLELossless, JPEG2000Lossless, JPEGLosslessSV1], ids=["RLE", "JPEG 2000", "JPEG"]
)
def test_compressed_pixels_are_read(tmp_path: Path, syntax: str):
    def rescale(header, index):
        header.RescaleSlope = str(1 + 0.5 * index)

    stored = ramp(9, 16, 16)
    write_series(tmp_path, stored, each=rescale)
    recompress(tmp_path, syntax)
    expected = stored * (1 + 0.5 * np.arange(9))[:, None, None] * DEFAULT_FACTOR
    assert read_pet(tmp_path).suv == pytest.approx(expected, rel=1e-6)


def test_damaged_compressed_pixels_are_refused(tmp_path: Path):
    write_series(tmp_path, ramp())
    for path in tmp_path.glob("*.dcm"):
        image = pydicom.dcmread(path)
        image.PixelData = encapsulate([b"\x00" * 64])
        image["PixelData"].VR = "OB"
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        image.save_as(path)
    with pytest.raises(BadInput, match=r"compressed .JPEG 2000"):
        read_pet(tmp_path)


def test_the_patient_is_named_neither_in_results_nor_in_refusals(tmp_path: Path):
    folder = tmp_path / "FAMILY_Given_MRN4711"
    write_series(folder, ramp(), SeriesDescription="PET AC Family")
    volume = read_pet(folder)
    write_series(folder / "again", ramp(), SeriesDescription="PET AC given")
    with pytest.raises(BadInput) as caught:
        read_pet(folder)
    said = json.dumps(volume.source) + "".join(volume.warnings) + str(caught.value)
    for word in ("family", "given", "4711"):
        assert word not in said.lower()
    assert "PET AC [withheld]" in said


def test_a_real_ge_scan_has_its_known_factor_and_geometry(pet_data: Path):
    volume = read_pet(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image")
    assert volume.source["suv_factor"] == pytest.approx(2.42903e-4, rel=1e-6)
    assert volume.suv.shape == (267, 128, 128)
    assert volume.spacing == pytest.approx((4.6875, 4.6875, 3.27), abs=1e-6)
    assert volume.origin == pytest.approx((-297.65625, -297.65625, -881.3))
    assert volume.source["uptake_minutes"] == pytest.approx(45 + 11 / 60)
    assert volume.source["radionuclide"] == "F-18"
    # Gaps of 3.19 to 3.29 mm.
    assert 0 < volume.source["largest_slice_position_error_mm"] < 0.1
    assert "uneven" in volume.warnings[0]
    # GDCM, the reader of most viewers, gives the same activity.
    image = sitk.ReadImage(
        str(pet_data / "sts001-ge-fdg" / "FDG_PET" / "image" / "1-100.dcm"), sitk.sitkFloat64
    )
    height = round((image.GetOrigin()[2] - volume.origin[2]) / volume.spacing[2])
    assert volume.suv[height] == pytest.approx(sitk.GetArrayFromImage(image)[0] * 2.429029766e-4, rel=1e-6)
