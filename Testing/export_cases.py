"""A small DICOM scan with results of it: what the export tests share."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from dicom_builder import write_series
from trust_cases import a_calibration, an_sd_map

from AMDiffLib.image.reading import read_pet
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.image.writing import write_denoised, write_segmentation, write_uncertainty
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.count_consistency import NOT_SUPPORTED
from AMDiffLib.quantification.intervals import Uncertainty
from AMDiffLib.quantification.lesion_regions import regions_of
from AMDiffLib.quantification.measurements import measure_anatomy

# Uneven, as of a real scanner that rounds its positions.
POSITIONS = [0.0, 3.2, 6.5, 9.8, 13.0, 16.3, 19.6, 22.8, 26.1, 29.4, 32.6, 35.9]
SHAPE = (len(POSITIONS), 20, 24)
WEIGHTS = "5eed" * 16
# Injected an hour before, near the default series' factor of 2.92e-4 per Bq/mL.
BQML_PER_SUV = 3424.0

IDENTITY = {"PatientName": "FAMILY^GIVEN", "PatientID": "MRN4711", "AccessionNumber": "ACC0815"}
STUDY = {
    "StudyInstanceUID": "1.2.3.4.5",
    "FrameOfReferenceUID": "1.2.3.4.6",
    "StudyTime": "104500",
    "StudyID": "7",
    "SeriesNumber": "3",
    "PatientBirthDate": "19500101",
    "PatientSex": "F",
    "ReferringPhysicianName": "DOCTOR^WHO",
    "NumberOfSlices": SHAPE[0],
    "FrameReferenceTime": "60000",
    "ImageIndex": 1,
}


WARNING = "Of the low-count image, 1 hot spot cannot be found in the denoised one."
REMOVED = {
    "centroid_l_mm": -12.0,
    "centroid_p_mm": 34.0,
    "centroid_s_mm": -56.0,
    "volume_ml": 1.5,
    "low_count_suv_max_g_per_ml": 5.25,
    "suv_max_g_per_ml": 1.1,
    "count_z": -7.5,
}


def a_source(folder: Path, stored: np.ndarray | None = None, **changes) -> Path:
    """Write a DICOM series of uneven slice gaps whose values are noise around a body of SUV 1."""
    if stored is None:
        stored = (BQML_PER_SUV * np.random.default_rng(3).uniform(0.2, 1.8, SHAPE)).astype(np.int16)
    write_series(folder, stored, positions=POSITIONS, **{**IDENTITY, **STUDY, **changes})
    return folder


def denoised_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """SUV with two lesions, an empty slice and a little below zero."""
    suv = np.random.default_rng(4).uniform(0.5, 1.5, shape).astype(np.float32)
    suv[lesions_of(shape) == 1] += 8.0
    suv[lesions_of(shape) == 2] += 4.0
    suv[-1] = 0.0
    suv[0, 0, :5] = -0.03
    return suv


def lesions_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Lesion 1 lies in the liver, lesion 2 outside every organ."""
    lesions = np.zeros(shape, np.int32)
    lesions[3:6, 5:9, 6:10] = 1
    lesions[8:10, 14:17, 15:18] = 2
    return lesions


def organs_of(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Liver and, beside it, aorta."""
    organs = np.zeros(shape, np.uint8)
    organs[2:8, 3:12, 4:13] = 2
    organs[1:10, 14:16, 3:5] = 8
    return organs


def results_of(folder: Path, volume: PetVolume, *, bias: float = 0.0) -> Path:
    """Write what denoise_segment would of `volume`, with a denoised image and segments of our making.

    `bias` shifts the logarithm of the intervals, and the counts do not support lesion 2.
    """
    folder.mkdir(parents=True)
    denoised, lesions, organs = denoised_of(), lesions_of(), organs_of()
    write_denoised(folder / "denoised.nrrd", volume, denoised)
    write_segmentation(folder / "segmentation.seg.nrrd", volume, lesions, organs)
    anatomy = Anatomy.of(regions_of(lesions), organs, volume)
    uncertainty = Uncertainty(sd=an_sd_map(denoised), calibration=a_calibration(bias=bias))
    write_uncertainty(folder / "uncertainty.nrrd", volume, uncertainty.sd)
    measurements = measure_anatomy(denoised, anatomy, uncertainty=uncertainty)
    low_count = measure_anatomy(volume.suv, anatomy)
    measurements.to_json(folder / "measurements.json", low_count)
    content = json.loads((folder / "measurements.json").read_text())
    content["lesions"][0] |= {"count_z": 0.4, "count_check": ""}
    content["lesions"][1] |= {"count_z": 5.23, "count_check": NOT_SUPPORTED}
    (folder / "measurements.json").write_text(json.dumps(content))
    measurements.to_csv(folder / "measurements.csv", low_count)
    report = {
        "format": "amdiff-report",
        "software": {"name": "AMDiff", "version": "9.8.7"},
        "input": dict(volume.source),
        "model": {"name": "amdiff-test", "sha256": WEIGHTS},
        "run": {"steps": 1},
        "uncertainty": {
            "intervals": {"confidence": 0.9, "reference": "high_count"},
            "calibration": uncertainty.calibration.to_dict(),
        },
        "count_consistency": {"removed_hot_spots": [REMOVED]},
        "warnings": [WARNING],
    }
    (folder / "report.json").write_text(json.dumps(report))
    return folder


def a_case(folder: Path, **changes) -> tuple[Path, Path]:
    """Return the folders of a DICOM source and of its results."""
    source = a_source(folder / "source", **changes)
    return source, results_of(folder / "results", read_pet(source))
