"""The files of a result."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AMDiffLib.image.overview import write_overview
from AMDiffLib.image.volume import PetVolume
from AMDiffLib.image.writing import (
    write_count_consistency,
    write_denoised,
    write_segmentation,
    write_uncertainty,
)
from AMDiffLib.inference.lesions import label_lesions
from AMDiffLib.inference.provenance import provenance
from AMDiffLib.progress import Reporter
from AMDiffLib.quantification.anatomy import Anatomy
from AMDiffLib.quantification.calibration import Calibration
from AMDiffLib.quantification.count_consistency import CountConsistency
from AMDiffLib.quantification.intervals import Uncertainty
from AMDiffLib.quantification.lean_body_mass import BodyMeasures
from AMDiffLib.quantification.lesion_regions import regions_of
from AMDiffLib.quantification.measurements import MeasureOptions, measure_anatomy

if TYPE_CHECKING:
    # An exporter reads these files without the networks' packages.
    from AMDiffLib.inference.pipeline import Result

DENOISED = "denoised.nrrd"
UNCERTAINTY = "uncertainty.nrrd"
COUNT_CONSISTENCY = "count_consistency.nrrd"
SEGMENTATION = "segmentation.seg.nrrd"
MEASUREMENTS_CSV = "measurements.csv"
MEASUREMENTS_JSON = "measurements.json"
OVERVIEW = "overview.png"
REPORT = "report.json"


def write_results(
    folder: Path,
    volume: PetVolume,
    result: Result,
    reporter: Reporter,
    calibration: Calibration | None = None,
    consistency: CountConsistency | None = None,
) -> list[str]:
    """Measure, and write all files but the report into `folder`; returns their names. Raises Cancelled.

    With the model's `calibration` and the result's uncertainty map, measured values have intervals; with the
    `consistency` of low-count and denoised volume there is a map of it, and lesions have its z-score.
    """
    lesions = label_lesions(result.lesions, spacing=volume.spacing, suv=result.denoised)
    write_denoised(folder / DENOISED, volume, result.denoised)
    files = [DENOISED]
    if result.sd is not None:
        write_uncertainty(folder / UNCERTAINTY, volume, result.sd)
        files.append(UNCERTAINTY)
    if consistency is not None:
        write_count_consistency(folder / COUNT_CONSISTENCY, volume, consistency.z_map())
        files.append(COUNT_CONSISTENCY)
    reporter.check_cancelled()
    write_segmentation(folder / SEGMENTATION, volume, lesions, result.organs)
    reporter.check_cancelled()
    anatomy = Anatomy.of(regions_of(lesions), result.organs, volume)
    options = _options(volume)
    low_count = measure_anatomy(volume.suv, anatomy, options)
    uncertainty = None
    if result.sd is not None and calibration is not None:
        uncertainty = Uncertainty(sd=result.sd, calibration=calibration)
    measurements = measure_anatomy(result.denoised, anatomy, options, uncertainty, consistency)
    measurements.to_csv(folder / MEASUREMENTS_CSV, low_count)
    measurements.to_json(folder / MEASUREMENTS_JSON, low_count)
    reporter.check_cancelled()
    write_overview(folder / OVERVIEW, volume.suv, result.denoised, lesions, result.organs, volume.spacing)
    return [*files, SEGMENTATION, MEASUREMENTS_CSV, MEASUREMENTS_JSON, OVERVIEW]


def _options(volume: PetVolume) -> MeasureOptions:
    """PERCIST where there are DICOM headers to say how large the patient is; what they lack is noted."""
    body = BodyMeasures(**{name: volume.source.get(name) for name in ("height_m", "weight_kg", "sex")})
    return MeasureOptions(percist=volume.source.get("format") == "DICOM", body=body)


def write_report(
    folder: Path,
    volume: PetVolume,
    *,
    model_config: dict[str, Any],
    run: dict[str, Any],
    uncertainty: dict[str, Any] | None = None,
    count_consistency: dict[str, Any] | None = None,
    warnings: list[str],
    files: list[str],
) -> None:
    """Write report.json: the provenance of the other `files`."""
    content = provenance(
        volume=volume,
        model_config=model_config,
        run=run,
        uncertainty=uncertainty,
        count_consistency=count_consistency,
        warnings=warnings,
        files=[*files, REPORT],
    )
    (folder / REPORT).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
