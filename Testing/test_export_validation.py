"""Exported objects under dciodvfy, the validator of dicom3tools, beside their source series."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from export_cases import a_case
from scipy import ndimage

from AMDiffLib.export.bundle import ExportRequest, write_export
from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.writing import write_denoised, write_segmentation
from AMDiffLib.progress import SilentReporter
from AMDiffLib.quantification.measurements import measure

EVERYTHING = ExportRequest(dicom=frozenset({"sr"}))
# Of the real series: enough slices for its uneven gaps and for a lesion, few enough for a quick test.
REAL_SLICES = slice(150, 180)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    source, results = a_case(folder)
    return source, exported(folder, source, results)


@pytest.fixture(scope="module")
def real(tmp_path_factory, pet_data):
    """A part of the real GE series, smoothed, with what is hot called lesion, exported."""
    folder = tmp_path_factory.mktemp("real")
    whole = [
        pydicom.dcmread(path, specific_tags=["ImagePositionPatient", "SeriesInstanceUID"])
        for path in (pet_data / "sts001-ge-fdg" / "FDG_PET" / "image").iterdir()
    ]
    source = folder / "source"
    source.mkdir()
    for header in sorted(whole, key=lambda header: header.ImagePositionPatient[2])[REAL_SLICES]:
        shutil.copy(header.filename, source)
    volume = read_pet(source)
    denoised = ndimage.gaussian_filter(volume.suv, 1.0)
    lesions = (denoised > 5).astype(np.int32)
    organs = np.where(denoised > 1, 2, 0).astype(np.uint8)
    results = folder / "results"
    results.mkdir()
    write_denoised(results / "denoised.nrrd", volume, denoised)
    write_segmentation(results / "segmentation.seg.nrrd", volume, lesions, organs)
    measure(denoised, lesions, organs, volume=volume).to_json(results / "measurements.json")
    (results / "report.json").write_text(json.dumps({"input": {"series_uid": whole[0].SeriesInstanceUID}}))
    return source, exported(folder, source, results), denoised


def exported(folder, source, results) -> Path:
    out = folder / "out"
    out.mkdir()
    write_export(out, EVERYTHING, results=results, source=source, reporter=SilentReporter())
    return out


def errors_of(path: Path) -> set[str]:
    """What dciodvfy calls an error."""
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: apt-get install dicom3tools)")
    done = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    assert any(line in ("PETImage", "Segmentation", "Comprehensive3DSR") for line in lines), lines
    return {line for line in lines if line.startswith(("Error", "Abort"))}


def check(source: Path, out: Path) -> None:
    of_source = set().union(*(errors_of(path) for path in source.iterdir()))
    assert errors_of(out / "segmentation.dcm") == set()
    assert errors_of(out / "measurements_sr.dcm") == set()
    for path in (out / "denoised_pet").iterdir():
        assert errors_of(path) <= of_source


def test_objects_of_a_small_series_have_no_error_that_it_has_not(small):
    check(*small)


def test_objects_of_the_real_ge_series_have_no_error_that_it_has_not(real):
    check(*real[:2])


def test_the_real_series_derived_suv_is_the_denoised_within_half_a_slope(real):
    """By the definition of SUVbw from the headers alone, the factor 2.42903e-4 being known of this series."""
    source, out, denoised = real
    images = sorted(
        (pydicom.dcmread(path) for path in (out / "denoised_pet").iterdir()),
        key=lambda image: float(image.ImagePositionPatient[2]),
    )
    item = images[0].RadiopharmaceuticalInformationSequence[0]
    seconds = sum(
        sign * (int(time[:2]) * 3600 + int(time[2:4]) * 60 + float(time[4:]))
        for sign, time in ((1, images[0].SeriesTime), (-1, item.RadiopharmaceuticalStartTime))
    )
    left = float(item.RadionuclideTotalDose) * 0.5 ** (seconds / float(item.RadionuclideHalfLife))
    factor = float(images[0].PatientWeight) * 1000 / left
    assert factor == pytest.approx(2.42903e-4, rel=1e-5)
    slopes = np.array([float(image.RescaleSlope) for image in images])[:, None, None]
    suv = np.stack([image.pixel_array for image in images]) * slopes * factor
    assert (np.abs(suv - denoised) <= slopes * factor / 2 * (1 + 1e-9)).all()
    kept = {tuple(image.ImagePositionPatient) for image in images}
    assert kept == {
        tuple(pydicom.dcmread(path, specific_tags=["ImagePositionPatient"]).ImagePositionPatient)
        for path in source.iterdir()
    }
    gaps = np.diff([float(image.ImagePositionPatient[2]) for image in images])
    assert gaps.max() - gaps.min() > 0.01


def test_a_report_of_another_kind_would_be_noticed(small, tmp_path):
    """The check itself: an object with a mandatory attribute missing has an error."""
    dataset = pydicom.dcmread(small[1] / "segmentation.dcm")
    del dataset.SegmentSequence[0].SegmentAlgorithmType
    dataset.save_as(tmp_path / "broken.dcm")
    assert any("SegmentAlgorithmType" in error for error in errors_of(tmp_path / "broken.dcm"))
